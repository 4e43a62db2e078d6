"""CLOSE003: a Fastify handler written for another version of the plugin."""

from callpath.doctor.closings import AT_ONCE_MS, early
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import recognise
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, ended, media


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind not in {"eof", "reset"} or ending.at_ms >= AT_ONCE_MS:
        return None
    upgrade = facts[UpgradeFacts]
    if not any(trace.name == "Fastify" for trace in recognise(upgrade.carrier, *upgrade.shapes)):
        return None
    return Finding(
        f"Fastify accepted the WebSocket and dropped it {ending.at_ms:.0f} ms later without a close frame",
        (f"{ending.kind} after our {ending.after}",),
        confidence="medium",
    )


def _fastify() -> Facts:
    return Facts(
        *media(ending=ended("eof")),
        UpgradeFacts(
            carrier=answer(101),
            shapes=(answer(404, '{"message":"Route GET:/x not found"}', shape="made-up-path-plain"),),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="CLOSE003",
    slug="fastify-websocket-handler-signature",
    title="The Fastify handler throws: it expects another first argument",
    owner="you",
    why="From version 10 @fastify/websocket passes the socket itself. A handler in the old style reads "
    "connection.socket, which is undefined, and throws; the plugin then destroys the connection.",
    fix="app.get(path, { websocket: true }, (socket, req) => { socket.on('message', ...) })   // not connection.socket",
    named={"dropped by Fastify": _fastify()},
    quiet={"dropped by something else": media(ending=ended("eof"))},
)
