"""WS005: a subprotocol nobody asked for."""

from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    chosen = carrier.header("sec-websocket-protocol")
    if carrier.status != 101 or chosen is None:
        return None
    return Finding(
        f"the server chose the subprotocol {chosen!r}, though none was offered", (f"Sec-WebSocket-Protocol: {chosen}",)
    )


CAUSE = Cause.of(
    "url",
    check,
    code="WS005",
    slug="ws-subprotocol-forced",
    title="The server forces a subprotocol",
    owner="you",
    why="A client that offered none must close the connection (RFC 6455 4.1). Lenient test clients do not notice.",
    fix="Answer with Sec-WebSocket-Protocol only when the request had it (ws handleProtocols: return false otherwise).",
    named={"audio": upgrade(answer(101, Sec_WebSocket_Protocol="audio"))},
    quiet={"none": upgrade(answer(101))},
)
