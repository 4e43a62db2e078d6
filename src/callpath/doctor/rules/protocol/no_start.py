"""CALL050: the socket opened, and no start frame came that a stream can begin with."""

from callpath.doctor.calls import (
    EARLY_END_MS,
    START_MS,
    closings,
    ended_unix_ms,
    every,
    first,
    never,
    overdue,
    show_entries,
    waited_ms,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import CAME, STARTED, a_call, hung_up
from callpath.timeline import FirstInbound, FrameRejected, SocketReceived, SocketRejected, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    came = first(known, SocketReceived)
    if came is None or every(known, StreamStarted, FirstInbound, SocketRejected):
        return None
    never(known, StreamStarted)
    closed = closings(known)
    if not closed and not overdue(known, came, START_MS):
        return None
    if closed and closed[-1][0].at_unix_ms - came.at_unix_ms < EARLY_END_MS and ended_unix_ms(known) is not None:
        return None
    skipped = every(known, FrameRejected)
    starts = [entry.what for entry in skipped if isinstance(entry.what, FrameRejected) and entry.what.is_start]
    if any(start.reason == "encoding" for start in starts):
        return None  # CALL049
    if starts:
        return Finding(
            f"the start frame came, and no stream can begin with it: {starts[-1].detail}",
            show_entries(known, came, *skipped[:3], *(entry for entry, _ in closed[-1:])),
            kind="open",
            candidates=("not-telnyx", "ws-frames-invalid"),
            question="Who connected? A start frame of Telnyx's has call_control_id and media_format, and names the "
            "call whose URL was opened. Compare the address with Telnyx's own; if it is Telnyx, report the frame to "
            "callpath.",
        )
    return Finding(
        f"the socket opened and brought no start frame in {waited_ms(known, came) / 1000:.1f} s"
        + (f"; {len(skipped)} kind{'s' * (len(skipped) > 1)} of frame could not be used" if skipped else ""),
        show_entries(known, came, *skipped[:3], *(entry for entry, _ in closed[-1:])),
        kind="open",
        candidates=("not-telnyx", "handler-attached-late", "proxy-buffering-or-compression", "ws-frames-invalid"),
        question="Who connected? Telnyx sends connected and start at once. Compare the address with Telnyx's own; if "
        "it is Telnyx, something on the way holds frames back: callpath doctor url URL shows whether frames pass.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL050",
    slug="stream-never-started",
    title="The socket opened, and the stream did not begin",
    owner="unclear",
    why="Telnyx's second frame is start; it says whose audio this is. Without it nothing can be decoded, and the "
    "handler is not entered.",
    fix="Look at what connected, and at proxies that buffer.",
    named={
        "nothing came": a_call(CAME, (20_000, hung_up())),
        "one that lacks its format": a_call(
            CAME,
            FrameRejected(reason="unusable_start", detail="start frame has no usable start.media_format"),
            (20_000, hung_up()),
        ),
    },
    quiet={
        "with an encoding that we cannot decode": a_call(
            CAME, FrameRejected(reason="encoding", detail="there is no encoding 'G729'"), (20_000, hung_up())
        ),
        "started": a_call(STARTED),
        "still within its time": a_call(CAME, looked_ms=2_000),
    },
)
