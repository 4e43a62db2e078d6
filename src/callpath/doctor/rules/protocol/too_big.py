"""CLOSE004: the server takes smaller messages only."""

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import ended, media


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.code != 1009:
        return None
    return Finding(f"the server closed with {show_ending(ending)} after our {ending.after}", (show_ending(ending),))


CAUSE = Cause.of(
    "url",
    check,
    code="CLOSE004",
    slug="message-too-big-1009",
    title="The server's message limit is below a frame's size",
    owner="you",
    why="A start frame has about 600 bytes, 20 ms of PCMU 340, of L16 at 24 kHz 1.4 KB; larger packets exist.",
    fix="Allow 1 MiB: ws maxPayload, websockets max_size, uvicorn --ws-max-size.",
    named={"1009": media(ending=ended(code=1009))},
    quiet={"1011": media(ending=ended(code=1011))},
)
