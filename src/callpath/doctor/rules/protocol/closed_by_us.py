"""CALL082: we closed the socket over what came on it."""

from callpath.doctor.calls import closings, every, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call
from callpath.timeline import FrameRejected, SocketClosed, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    closed = [(e, w) for e, w in closings(known) if w.by == "us" and w.code in {1002, 1003, 1007, 1008, 1009}]
    if not closed or not every(known, StreamStarted):
        return None
    entry, what = closed[-1]
    return Finding(
        f"our server closed the socket with {what.code} {what.reason}",
        show_entries(known, *every(known, FrameRejected)[:3], entry),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL082",
    slug="peer-breaks-protocol",
    title="What came on the socket was not Telnyx's protocol",
    owner="far end",
    why="Frames that break WebSocket's or Telnyx's rules come from somebody who is not Telnyx, or through a "
    "proxy that changes them.",
    fix="See who connects (the client's address in the timeline), and what stands in between.",
    named={"1008": a_call(BOTH_WAYS, SocketClosed(code=1008, reason="100 frames in a row", by="us"))},
    quiet={"closed in order": a_call(GOOD)},
)
