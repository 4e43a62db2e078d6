"""WS009: the server does not take version 13 or our key."""

import re

from callpath.doctor.answers import any_variant_works, refused, show, upgrade_missed, words_of
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400, 426)
    if carrier is None or any_variant_works(facts):
        return None
    offered = carrier.header("sec-websocket-version")
    if offered is not None and "13" not in [part.strip() for part in offered.split(",")]:
        return Finding(
            f"the server wants WebSocket version {offered}, carriers speak 13",
            (show(carrier), f"Sec-WebSocket-Version: {offered}"),
        )
    if upgrade_missed(carrier):
        return None
    if re.search(
        r"unsupported (web)?socket version|(invalid|bad|wrong) (sec-websocket-)?key\b", words_of(carrier), re.IGNORECASE
    ):
        return Finding("the server refuses the handshake's version or key", (show(carrier),))
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="WS009",
    slug="ws-version-or-key-rejected",
    title="The server speaks another WebSocket version",
    owner="you",
    why="An ancient or hand-made server knows an early draft only, or misjudges the key.",
    fix="Update the WebSocket library; version 13 is RFC 6455, from 2011.",
    named={"version 8": upgrade(answer(426, Sec_WebSocket_Version="8"))},
    quiet={"version 13 is fine": upgrade(answer(426, Sec_WebSocket_Version="13"))},
)
