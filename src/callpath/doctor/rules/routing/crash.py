"""CLOSE002: the handler crashes after it accepted."""

from callpath.doctor.answers import any_variant_works, refused, sentence, show
from callpath.doctor.closings import AT_ONCE_MS, early, show_ending
from callpath.doctor.edges import failed_upgrades, show_row, unreached
from callpath.doctor.facts import Facts, MediaFacts, UpgradeFacts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import answer, ended, media, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def close_crash(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None:
        return None
    if ending.kind == "close-frame" and ending.code == 1011:
        return Finding(
            f"the server accepted and closed with {show_ending(ending)}, {ending.at_ms:.0f} ms in, after our "
            f"{ending.after}",
            (show_ending(ending),),
        )
    if ending.kind in {"eof", "reset"} and ending.at_ms < AT_ONCE_MS:
        upgrade = facts[UpgradeFacts]
        if any(trace.name == "Fastify" for trace in recognise(upgrade.carrier, *upgrade.shapes)):
            return None
        return Finding(
            f"the connection was dropped without a close frame {ending.at_ms:.0f} ms after the 101, after our "
            f"{ending.after}",
            (Seen(f"{ending.kind}; {len(facts[MediaFacts].arrivals)} messages had come", "the end of the stream"),),
            confidence="medium",
        )
    return None


def edge_app_error(facts: Facts) -> Finding | None:
    rows = [row for row in failed_upgrades(facts, 500, 502, 503, 520) if not unreached(row)]
    if not rows or (rows[0].status in {502, 503} and rows[0].upstream_ms is None):
        return None
    return Finding(
        f"the upgrade was answered with {rows[0].status} by the application", tuple(show_row(row) for row in rows[:3])
    )


def http_server_error(facts: Facts) -> Finding | None:
    carrier = refused(facts, 500)
    if carrier is None or any_variant_works(facts):
        return None
    who = author(carrier)
    if who.kind == "proxy":
        return None
    made_up = facts[UpgradeFacts].shape("made-up-path")
    everywhere = made_up is not None and made_up.status == 500
    told = sentence(carrier)
    return Finding(
        "the application fails with 500"
        + (" on every path" if everywhere else " on this path")
        + (f": {told!r}" if told else ""),
        (show(carrier), *((show(made_up),) if made_up else ())),
    )


CAUSE = Cause(
    code="CLOSE002",
    slug="app-crash-on-connect",
    title="The application crashes when the stream opens",
    owner="you",
    why="The handler throws after the upgrade: a missing setting, a failing dependency, a frame that it does not "
    "expect. 1011 is what servers send then; a process that dies sends nothing.",
    fix="Read the stack trace in the application's log for this second: docker logs --since 5m NAME, kubectl logs "
    "POD, railway logs",
    signs=(
        Sign(
            "url",
            close_crash,
            named={"1011": media(ending=ended(code=1011)), "gone without a word": media(ending=ended("eof"))},
            quiet={"a lookup": media(ending=ended(code=1008))},
        ),
        Sign(
            "edge",
            edge_app_error,
            code="EDGE014",
            title="The application failed while it answered the upgrade",
            why="5xx by the application itself: an exception in the handler of the upgrade, or in what runs before it.",
            fix="Read the application's log at that second (docker logs --since 5m NAME): the stack trace names the "
            "line.",
            named={"500": seen_at_edge(row("GET", 500))},
            quiet={"502 by the edge": seen_at_edge(row("GET", 502, errors=("connection refused",)))},
        ),
        Sign(
            "url",
            http_server_error,
            code="HTTP017",
            title="The application crashes on the upgrade (500)",
            why="An exception before the upgrade was answered: a missing setting, a failing dependency, a bug in "
            "middleware.",
            named={"a crash": upgrade(answer(500, "Internal Server Error", Server="uvicorn"))},
            quiet={"a refusal": upgrade(answer(403))},
        ),
    ),
)
