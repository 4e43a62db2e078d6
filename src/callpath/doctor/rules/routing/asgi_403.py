"""ROUTE005: an ASGI application refuses before it accepts."""

from callpath.doctor.answers import alike, any_variant_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 403)
    if carrier is None or any_variant_works(facts) or carrier.body or author(carrier).kind in {"proxy", "edge"}:
        return None
    upgrade_facts = facts[UpgradeFacts]
    made_up, made_up_plain = upgrade_facts.shape("made-up-path"), upgrade_facts.shape("made-up-path-plain")
    if made_up is None or not alike(made_up, carrier):
        # Another answer on a path that does not exist: this path has a route, which refuses on its own.
        return None
    if made_up_plain is None or made_up_plain.status == 403:
        return None  # everything is forbidden, not only upgrades to unknown paths
    names = {trace.name for trace in recognise(carrier, *upgrade_facts.shapes)}
    asgi = bool(names & {"uvicorn", "Hypercorn", "Daphne", "FastAPI", "gunicorn"})
    return Finding(
        "upgrades to this path and to a made-up one get the same empty 403, plain requests do not: no such WebSocket "
        "route",
        (show(carrier), show(made_up), show(made_up_plain)),
        confidence="high" if asgi else "medium",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="ROUTE005",
    slug="asgi-route-missing-403",
    title="The ASGI application has no WebSocket route for this path",
    owner="you",
    why="Starlette, FastAPI and Channels answer an upgrade that no WebSocket route takes with an empty 403, not 404. "
    "It looks like a firewall and is a missing route (or a dependency that refused).",
    fix="@app.websocket('/api/calls/{call_session_id}/audio') on the application that uvicorn runs; mind prefixes of "
    "mounted routers.",
    named={
        "uvicorn": upgrade(
            answer(403, Server="uvicorn"),
            answer(403, shape="made-up-path", Server="uvicorn"),
            answer(404, '{"detail":"Not Found"}', shape="made-up-path-plain", Server="uvicorn"),
        )
    },
    quiet={"a page of nginx": upgrade(answer(403, "<center>nginx</center>"))},
)
