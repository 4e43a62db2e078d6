"""WS012: the server stops reading."""

from callpath.doctor.facts import Facts, Hold, IdleFacts, MediaFacts
from callpath.doctor.facts.ending import Ending
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import media


def in_the_stream(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if stream.stalled_ms is None:
        return None
    return Finding(
        f"after {stream.stalled_ms / 1000:.1f} s the server read nothing more: {stream.sent_frames} frames were sent, "
        "and all buffers in between are full",
        (Seen(f"the last send waited for 3 s; {len(stream.arrivals)} messages had come", "the stream"),),
    )


def in_a_held_stream(facts: Facts) -> Finding | None:
    stalled = [hold for hold in facts[IdleFacts].holds if hold.stalled]
    if not stalled:
        return None
    return Finding(
        f"a stream held open was not read any more after {stalled[0].held_ms / 1000:.1f} s: all buffers are full",
        tuple(
            Seen(f"{hold.traffic}: a send waited for 3 s at {hold.held_ms / 1000:.1f} s", f"the {hold.traffic} stream")
            for hold in stalled
        ),
    )


def _held(stalled: bool) -> Facts:
    ending = Ending(by="nobody", kind="open", at_ms=9000.0)
    return Facts(
        IdleFacts(wanted_ms=20_000.0, holds=(Hold(traffic="media", ending=ending, held_ms=9000.0, stalled=stalled),))
    )


CAUSE = Cause(
    code="WS012",
    slug="server-stops-reading",
    title="The server stops reading from the WebSocket",
    owner="you",
    why="Nothing takes the frames from the socket: the event loop is blocked, the read loop has ended or waits for a "
    "full queue. The caller is not heard, and Telnyx drops the stream.",
    fix="Read in a task of its own that never waits for the AI: put frames into a bounded queue and drop the oldest. "
    "Find what blocks the loop: py-spy dump --pid PID.",
    signs=(
        Sign(
            "url",
            in_the_stream,
            named={"full after nine seconds": media(stalled_ms=9000.0)},
            quiet={"read to the end": media()},
        ),
        Sign(
            "url",
            in_a_held_stream,
            code="KEEP004",
            named={"full after nine seconds": _held(True)},
            quiet={"read to the end": _held(False)},
        ),
    ),
)
