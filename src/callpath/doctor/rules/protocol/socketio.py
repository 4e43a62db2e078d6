"""SOCKETIO001: Socket.IO answers, which is no plain WebSocket server."""

import re

from callpath.doctor.answers import refused, show, words_of
from callpath.doctor.facts import Facts, MediaFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_ENGINE_IO = re.compile(
    r'\{"code":[0-5],"message":"(Transport unknown|Session ID unknown|Bad handshake method|Bad request'
    r'|Forbidden|Unsupported protocol version)"'
)


def check(facts: Facts) -> Finding | None:
    media = facts.get(MediaFacts)
    if media is not None and media.arrivals and re.match(r'0\{"sid":"', media.arrivals[0].head):
        return Finding("the server greets with Socket.IO's own handshake", (media.arrivals[0].head[:80],))
    carrier = refused(facts)
    greeted = facts[UpgradeFacts].shape("socket.io")
    made_up = facts[UpgradeFacts].shape("made-up-path")
    if (
        carrier is not None
        and greeted is not None
        and greeted.upgraded
        and not (made_up is not None and made_up.upgraded)
    ):
        return Finding("the server upgrades Socket.IO's own path only", (show(carrier), show(greeted)))
    if carrier is None or not _ENGINE_IO.search(words_of(carrier)):
        return None
    return Finding("Socket.IO answers, and understands only its own protocol", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="SOCKETIO001",
    slug="socketio-not-websocket",
    title="Socket.IO is not a plain WebSocket server",
    owner="you",
    why="Socket.IO speaks a protocol of its own on top of WebSocket; a carrier's frames mean nothing to it.",
    fix="Serve the stream with the ws package on a path of its own, next to Socket.IO.",
    named={"it says so": upgrade(answer(400, '{"code":0,"message":"Transport unknown"}'))},
    quiet={"another 400": upgrade(answer(400, "Bad Request"))},
)
