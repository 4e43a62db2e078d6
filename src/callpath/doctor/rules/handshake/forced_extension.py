"""WS006: an extension nobody asked for."""

from callpath.doctor.facts import Facts, MediaFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    chosen = carrier.header("sec-websocket-extensions")
    if carrier.status == 101 and chosen:
        return Finding(
            f"the server switched on {chosen!r}, though no extension was offered",
            (f"Sec-WebSocket-Extensions: {chosen}",),
        )
    media = facts.get(MediaFacts)
    if media is not None and any("compressed" in fault for fault in media.protocol_errors):
        return Finding("frames come compressed, though no extension was agreed", media.protocol_errors)
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="WS006",
    slug="ws-extension-forced",
    title="The server forces an extension",
    owner="you",
    why="A client that offered no extension must close the connection (RFC 6455 4.1); compressed frames cannot be read.",
    fix="Switch compression off (ws perMessageDeflate: false), or use it only when the request offers it.",
    named={"deflate": upgrade(answer(101, Sec_WebSocket_Extensions="permessage-deflate"))},
    quiet={"none": upgrade(answer(101))},
)
