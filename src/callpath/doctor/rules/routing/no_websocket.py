"""APP001: the application has no WebSockets at all."""

from callpath.doctor.answers import alike, any_variant_works, between, refused, show, upgrade_ignored
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import recognise
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_NO_WEBSOCKET = {"WSGI server", "gunicorn", "Flask", "PHP", "Python http.server"}

_MAY_SERVE = {"gunicorn", "Flask"}
"""With flask-sock and threads these serve WebSockets; a wrong path looks the same from outside."""

_CAN = {"uvicorn", "Hypercorn", "Daphne", "FastAPI", "aiohttp", "Tornado", "websockets"}
"""Frameworks that serve a WebSocket beside ordinary pages: an ordinary page says nothing about the other paths."""


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 400, 404, 405, 500, 501)
    if carrier is None or any_variant_works(facts) or not upgrade_ignored(facts):
        return None
    upgrade_facts = facts[UpgradeFacts]
    names = {trace.name for trace in recognise(carrier, *upgrade_facts.shapes)}
    server = names & _NO_WEBSOCKET
    if server and server <= _MAY_SERVE:
        return Finding(
            f"{', '.join(sorted(server))} answers the upgrade with {carrier.status}, like a plain GET",
            (show(carrier),),
            kind="open",
            confidence="low",
            candidates=("url-path-mismatch", "app-has-no-websocket"),
            question="Is there a WebSocket route (flask-sock: @sock.route) on this very path? If so, does its worker "
            "serve WebSockets: gunicorn --worker-class gthread, not sync?",
        )
    if server:
        return Finding(
            f"{', '.join(sorted(server))} answers the upgrade like a plain GET: it serves requests only",
            (show(carrier),),
            confidence="medium" if between(facts) else "high",
        )
    if between(facts) or names & {"Express", "Fastify"}:
        return None
    made_up, made_up_plain = upgrade_facts.shape("made-up-path"), upgrade_facts.shape("made-up-path-plain")
    if names & {"uvicorn", "Hypercorn"} and carrier.status == 404:
        return Finding(
            "the ASGI server answers the upgrade like a plain GET (a real one would get 403): it runs without a "
            "WebSocket library",
            (show(carrier),),
            fix="pip install 'uvicorn[standard]' (or websockets), and start without --ws none.",
        )
    if carrier.status in {200, 405, 501} and alike(made_up, made_up_plain):
        evidence = (show(carrier), *(show(x) for x in (made_up,) if x is not None))
        able = sorted(names & _CAN)
        if able:
            return Finding(
                f"this path is an ordinary page of {', '.join(able)}, which can serve WebSockets on another one",
                evidence,
                kind="open",
                confidence="low",
                candidates=("url-path-mismatch", "app-has-no-websocket"),
                question="Which path does the program's WebSocket route have? Compare it with the path of this URL.",
            )
        return Finding(
            "the application answers every upgrade exactly like a plain GET, on every path tried",
            evidence,
            confidence="medium",
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="APP001",
    slug="app-has-no-websocket",
    title="The application serves no WebSockets",
    owner="you",
    why="The server behind this URL (WSGI, PHP, a plain HTTP handler) knows requests and answers only; the upgrade is "
    "read as an ordinary GET.",
    fix="Run the stream's route on a server that can: uvicorn app:app (ASGI), Node with ws, or a separate process "
    "that the proxy routes to.",
    named={
        "WSGI": upgrade(
            answer(404, "no", Server="WSGIServer/0.2"), answer(404, "no", shape="plain", Server="WSGIServer/0.2")
        ),
        "Flask's 404, where flask-sock may serve another path": upgrade(
            answer(404, "Not Found", Server="Werkzeug/3.0"),
            answer(404, "Not Found", shape="plain", Server="Werkzeug/3.0"),
        ),
        "a page of Flask, where flask-sock may serve another path": upgrade(
            answer(200, "hello", Server="Werkzeug/3.0"), answer(200, "hello", shape="plain", Server="Werkzeug/3.0")
        ),
        "a page of aiohttp, which may serve a stream beside it": upgrade(
            answer(200, "It works!", Server="Python/3.11 aiohttp/3.14.5"),
            answer(200, "It works!", shape="plain", Server="Python/3.11 aiohttp/3.14.5"),
            answer(404, "404: Not Found", shape="made-up-path"),
            answer(404, "404: Not Found", shape="made-up-path-plain"),
        ),
    },
    quiet={"a refusal of its own": upgrade(answer(404, "no"), answer(200, "hello", shape="plain"))},
)
