"""MEDIA004: much more audio than time."""

from callpath.doctor.closings import audio_ms, heard, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media

LEAD_MS_MAX = 3000.0
QUEUE_MS_MAX = 30_000.0
"""Telnyx documents chunks of 20 ms to 30 s and a queue: a greeting sent in one go is played."""

"""Telnyx takes chunks of up to 30 s; some lead is sound. Beyond a few seconds a barge-in finds a long queue."""


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream):
        return None
    span_ms = stream.media[-1].at_ms - stream.media[0].at_ms
    sent_ms = sum(audio_ms(stream, arrival) for arrival in stream.media)
    lead_ms = sent_ms - span_ms
    if lead_ms < LEAD_MS_MAX or sent_ms < 2 * span_ms:
        return None
    if lead_ms < QUEUE_MS_MAX:
        return Finding(
            f"{sent_ms / 1000:.1f} s of audio came within {span_ms / 1000:.2f} s: Telnyx queues it, and a barge-in "
            "has to send clear",
            kind="note",
        )
    return Finding(
        f"{sent_ms / 1000:.1f} s of audio came within {span_ms / 1000:.2f} s",
        (heard(stream, f"{len(stream.media)} frames, {sum(len(a.payload or b'') for a in stream.media)} bytes"),),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA004",
    slug="burst-send-too-fast",
    title="Audio is sent all at once",
    owner="you",
    why="The carrier queues it and plays on: when the caller interrupts, seconds of speech are still to come. Long "
    "answers may hit the rate limit (100005).",
    fix='Send about real time with 200 to 500 ms of lead, and send {"event": "clear"} when the caller speaks.',
    by_time=True,
    named={"10 s at once": media(*(Arrival(0.1 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(500)))},
    quiet={"in time": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(90)))},
)
