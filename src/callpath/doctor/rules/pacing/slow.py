"""MEDIA005: less audio than time."""

from itertools import pairwise

from callpath.doctor.calls import every, never, show_entries
from callpath.doctor.closings import audio_ms, heard, settled
from callpath.doctor.facts import Arrival, CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted
from callpath.timeline import MediaCounted

SHARE_MIN = 0.88
"""Below this one frame in eight is missing: heard as a steady stutter."""

STEADY_MS = 900.0

FRAME_MS = 20.0

OUR_LATENESS_MAX = 1.04


def media_slow(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream):
        return None
    frames = stream.media
    span_ms = frames[-1].at_ms - frames[0].at_ms
    gaps = [later.at_ms - earlier.at_ms for earlier, later in pairwise(frames)]
    if span_ms < STEADY_MS or max(gaps) > 400:
        return None  # pauses are speech's own; only a steady trickle shows a slow clock
    if stream.sending_ms > OUR_LATENESS_MAX * stream.sent_frames * FRAME_MS:
        return None  # this machine was itself too busy to keep time: an echo would only repeat that
    sent_ms = sum(audio_ms(stream, arrival) for arrival in frames[:-1])
    share = sent_ms / span_ms
    if share >= SHARE_MIN or not sent_ms:
        return None
    return Finding(
        f"only {share:.2f} s of audio a second: a frame every {span_ms / len(gaps):.0f} ms",
        (heard(stream, f"{len(frames)} frames in {span_ms / 1000:.1f} s, longest gap {max(gaps):.0f} ms"),),
    )


SHARE, LEAST = 0.02, 10


def call_underruns(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    if not every(known, MediaCounted):
        never(known, MediaCounted)
        return None
    underruns = sum(count.underruns for count in known.state.counts.values())
    out = known.state.frames_out
    if underruns < LEAST or underruns < SHARE * out:
        return None
    return Finding(
        f"playout ran dry {underruns} times in {out / 50:.0f} s of our audio",
        show_entries(known, *every(known, MediaCounted)[-1:]),
        confidence="medium",
    )


CAUSE = Cause(
    code="MEDIA005",
    slug="send-too-slow-underrun",
    title="Audio is sent too slowly",
    owner="you",
    why="Each frame waits 20 ms after the last one was made, so that the work in between adds up: the caller hears "
    "gaps.",
    fix="Send on absolute deadlines: at = start + n * 0.020; await asyncio.sleep(at - loop.time())",
    signs=(
        Sign(
            "url",
            media_slow,
            by_time=True,
            named={
                "34 ms a frame": media(*(Arrival(34.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60)))
            },
            quiet={"in time": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(90)))},
        ),
        Sign(
            "call",
            call_underruns,
            code="CALL072",
            title="Our audio has gaps: it is made slower than it is heard",
            why="Each time playout runs dry the caller hears a gap in mid-sentence. (Between sentences it is no "
            "fault, and counts once.)",
            fix="Hand audio to play() earlier and in larger pieces, from a source that is faster than real time.",
            named={"40 times in 10 s": a_call(BOTH_WAYS, counted(underruns=40))},
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without counters": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
