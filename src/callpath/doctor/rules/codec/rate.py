"""MEDIA008: more or fewer bytes a second than the codec has."""

from callpath.doctor.calls import measure, symptom_seen, symptom_words
from callpath.doctor.closings import BYTES_PER_SECOND, heard, settled
from callpath.doctor.facts import Arrival, CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed

PACED = (15.0, 30.0)
"""A program that sends a frame each 20 ms. Only then do bytes per frame tell the rate."""


def media_rate(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    expected = BYTES_PER_SECOND.get(stream.codec)
    if not settled(stream) or expected is None or len(stream.media) < 20:
        return None
    frames = stream.media
    interval_ms = (frames[-1].at_ms - frames[0].at_ms) / (len(frames) - 1)
    sizes = sorted(len(arrival.payload or b"") for arrival in frames)
    size = sizes[len(sizes) // 2]
    per_frame = expected // 50
    if not PACED[0] <= interval_ms <= PACED[1] or size == per_frame:
        return None
    ratio = size / per_frame
    near = next((known for known in (0.5, 2.0, 3.0, 4.0, 6.0) if abs(ratio - known) < 0.1), None)
    if near is None:
        return None
    return Finding(
        f"{size} bytes every {interval_ms:.0f} ms, where {stream.codec} has {per_frame}: {near:g} times the rate",
        (heard(stream, f"{len(frames)} frames in {(frames[-1].at_ms - frames[0].at_ms) / 1000:.1f} s"),),
    )


DOUBLE_WITHIN = 0.2
"""Of times 2."""


def call_rate(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM003")
    if found is None:
        return None
    words = symptom_words(facts[CallFacts], found)
    if abs(measure(found, "times") - 2) > DOUBLE_WITHIN:
        return Finding(*words)
    return Finding(
        *words,
        kind="open",
        candidates=("sample-rate-mismatch", "two-channels"),
        question="Is it twice the sampling rate, or two channels? Both are twice the bytes. If a program stands "
        "between Telnyx and this server, look at what it sends: of two channels it must send one.",
    )


CAUSE = Cause(
    code="MEDIA008",
    slug="sample-rate-mismatch",
    title="Audio of another sample rate is sent",
    owner="you",
    why="24 or 16 kHz audio in an 8 kHz stream plays slow and deep; the reverse plays like a chipmunk.",
    fix="Resample to the stream's rate with a filter before encoding, or set stream_bidirectional_sampling_rate (L16).",
    signs=(
        Sign(
            "url",
            media_rate,
            named={
                "24 kHz": media(
                    *(Arrival(20.0 * n, "text", 700, "", "media", b"\xfe\x7e\x6e" * 160) for n in range(60))
                )
            },
            quiet={"8 kHz": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xfe" * 160) for n in range(60)))},
        ),
        Sign(
            "call",
            call_rate,
            code="CALL062",
            title="Bytes come at another rate than the stream says",
            why="8 kHz read as 16 kHz is a chipmunk, the reverse is slow motion.",
            fix="Ask for PCMU at 8000 Hz, or set CALLPATH_PLAY_RATE_HZ and the codec so that both sides name one rate.",
            owner="Telnyx",
            named={
                "SYM003 was seen": a_call(BOTH_WAYS, noticed("SYM003", times="0.5")),
                "twice the bytes: the rate, or two channels": a_call(BOTH_WAYS, noticed("SYM003", times="1.97")),
            },
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
