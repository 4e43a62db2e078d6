"""Headers of the 101 that a strict client closes for: one cause a header."""

from dataclasses import replace

from callpath.doctor.facts import Facts, MediaFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import answer, upgrade


def bad_101(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    if carrier.outcome != "answer" or carrier.status != 101 or not carrier.has("upgrade", "websocket"):
        return None
    got = carrier.header("sec-websocket-accept")
    if got is None:
        return Finding(
            "101 without Sec-WebSocket-Accept",
            tuple(Seen(f"{name}: {value}", "the answer") for name, value in carrier.headers),
        )
    if not carrier.accept_ok:
        return Finding(
            "Sec-WebSocket-Accept does not belong to our key",
            (f"Sec-WebSocket-Key: {carrier.key}", Seen(f"Sec-WebSocket-Accept: {got}", "the answer")),
            fix="Compute base64(sha1(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11')) for each request, and let no "
            "cache or proxy replay a 101.",
        )
    return None


def incomplete_101(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    if carrier.outcome != "answer":
        return None
    if carrier.status == 200 and carrier.has("sec-websocket-accept"):
        return Finding(
            "the handshake is answered with 200 in the place of 101",
            tuple(Seen(f"{n}: {v}", "the answer") for n, v in carrier.headers),
        )
    if carrier.status != 101 or (not carrier.accept_ok and carrier.has("upgrade", "websocket")):
        return None
    missing = [
        f"{name}: {part}"
        for name, part in (("Upgrade", "websocket"), ("Connection", "Upgrade"))
        if not carrier.has(name, part)
    ]
    if not missing:
        return None
    return Finding(
        f"the 101 lacks {' and '.join(missing)}",
        tuple(Seen(f"{name}: {value}", "the answer") for name, value in carrier.headers),
    )


def forced_subprotocol(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    chosen = carrier.header("sec-websocket-protocol")
    if carrier.status != 101 or chosen is None:
        return None
    return Finding(
        f"the server chose the subprotocol {chosen!r}, though none was offered",
        (Seen(f"Sec-WebSocket-Protocol: {chosen}", "the answer"),),
    )


def forced_extension(facts: Facts) -> Finding | None:
    carrier = facts[UpgradeFacts].carrier
    chosen = carrier.header("sec-websocket-extensions")
    if carrier.status == 101 and chosen:
        return Finding(
            f"the server switched on {chosen!r}, though no extension was offered",
            (Seen(f"Sec-WebSocket-Extensions: {chosen}", "the answer"),),
        )
    media = facts.get(MediaFacts)
    if media is not None and any("compressed" in fault for fault in media.protocol_errors):
        return Finding(
            "frames come compressed, though no extension was agreed",
            tuple(Seen(fault, f"frame {n}") for n, fault in enumerate(media.protocol_errors)),
        )
    return None


CAUSES = (
    Cause.of(
        "url",
        bad_101,
        code="WS003",
        slug="ws-accept-wrong",
        title="Invalid 101: Sec-WebSocket-Accept mismatch",
        owner="you",
        why="A client must close when Sec-WebSocket-Accept is missing or wrong (RFC 6455 4.1): the server is "
        "hand-made, or a proxy or cache replays or edits the answer.",
        fix="Use a WebSocket library (pip install websockets, npm install ws), and keep the proxy from changing "
        "Sec-WebSocket-* headers.",
        named={"a wrong one": upgrade(replace(answer(101), accept_ok=False))},
        quiet={"a right one": upgrade(answer(101))},
    ),
    Cause.of(
        "url",
        incomplete_101,
        code="WS007",
        slug="ws-101-incomplete",
        title="The 101 lacks the headers that make it an upgrade",
        owner="you",
        why="Clients must close when Upgrade or Connection is missing or different in the 101 (RFC 6455 4.1); a proxy "
        "that deletes them on the way back has the same effect.",
        fix="Keep Upgrade and Connection in the answer (no proxy_hide_header, http-response del-header or Header "
        "unset for them).",
        named={
            "no Connection": upgrade(
                replace(answer(101), headers=(("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "right")))
            )
        },
        quiet={"a whole one": upgrade(answer(101))},
    ),
    Cause.of(
        "url",
        forced_subprotocol,
        code="WS005",
        slug="ws-subprotocol-forced",
        title="The server forces a subprotocol",
        owner="you",
        why="A client that offered none must close the connection (RFC 6455 4.1). Lenient test clients do not notice.",
        fix="Answer with Sec-WebSocket-Protocol only when the request had it (ws handleProtocols: return false "
        "otherwise).",
        named={"audio": upgrade(answer(101, Sec_WebSocket_Protocol="audio"))},
        quiet={"none": upgrade(answer(101))},
    ),
    Cause.of(
        "url",
        forced_extension,
        code="WS006",
        slug="ws-extension-forced",
        title="The server forces an extension",
        owner="you",
        why="A client that offered no extension must close the connection (RFC 6455 4.1); compressed frames cannot be "
        "read.",
        fix="Switch compression off (ws perMessageDeflate: false), or use it only when the request offers it.",
        named={"deflate": upgrade(answer(101, Sec_WebSocket_Extensions="permessage-deflate"))},
        quiet={"none": upgrade(answer(101))},
    ),
)
