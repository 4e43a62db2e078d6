"""WS003: a 101 that a strict client does not take."""

from dataclasses import replace

from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    if carrier.outcome != "answer" or carrier.status != 101 or not carrier.has("upgrade", "websocket"):
        return None
    got = carrier.header("sec-websocket-accept")
    if got is None:
        return Finding("101 without Sec-WebSocket-Accept", tuple(f"{name}: {value}" for name, value in carrier.headers))
    if not carrier.accept_ok:
        return Finding(
            "Sec-WebSocket-Accept does not belong to our key",
            (f"Sec-WebSocket-Key: {carrier.key}", f"Sec-WebSocket-Accept: {got}"),
            fix="Compute base64(sha1(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')) for each request, and let no "
            "cache or proxy replay a 101.",
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="WS003",
    slug="ws-accept-wrong",
    title="Invalid 101: Sec-WebSocket-Accept mismatch",
    owner="you",
    why="A client must close when Sec-WebSocket-Accept is missing or wrong (RFC 6455 4.1): the server is hand-made, "
    "or a proxy or cache replays or edits the answer.",
    fix="Use a WebSocket library, and keep the proxy from changing Sec-WebSocket-* headers.",
    named={"a wrong one": upgrade(replace(answer(101), accept_ok=False))},
    quiet={"a right one": upgrade(answer(101))},
)
