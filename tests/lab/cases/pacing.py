"""Section 13: the right sound at the wrong time."""

from __future__ import annotations

from tests.lab.case import HEALTHY, Cases
from tests.lab.cases import protocol

CASES = Cases()


def pace(name: str, *slugs: str, why: str, handler: str, options: tuple[str, ...] = ()) -> None:
    protocol.app(name, *slugs, why=why, handler=handler, options=options)
    CASES.append(protocol.CASES.pop())


pace("pace-burst", HEALTHY, why="Ten seconds of speech in a tenth of one: Telnyx queues them.", handler="pace-burst")
pace("pace-fivefold", HEALTHY, why="Five times real time: the same, a little later.", handler="pace-fivefold")
pace(
    "pace-slow",
    "send-too-slow-underrun",
    why="34 ms for each 20 ms of sound.",
    handler="pace-slow",
    options=("--media", "4"),
)
pace(
    "pace-blocked",
    "event-loop-blocked",
    why="Two seconds of synchronous work on the loop, again and again.",
    handler="pace-blocked",
    options=("--media", "4"),
)
