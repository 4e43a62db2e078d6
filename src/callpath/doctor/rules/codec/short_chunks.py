"""MEDIA012: the audio comes in chunks shorter than Telnyx documents."""

import statistics

from callpath.doctor.closings import audio_ms, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media

CHUNK_MS_MIN = 20.0
"""Telnyx documents 20 ms to 30 s a message; what it does with less is not published."""


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream):
        return None
    lengths = [audio_ms(stream, arrival) for arrival in stream.media]
    typical = statistics.median(lengths)
    if typical >= 0.9 * CHUNK_MS_MIN or not any(lengths):
        return None
    return Finding(
        f"most of {len(lengths)} media messages hold {typical:.0f} ms of audio; Telnyx documents 20 ms to 30 s",
        (f"shortest {min(lengths):.1f} ms, longest {max(lengths):.1f} ms",),
        kind="open",
        confidence="low",
        candidates=("chunks-too-short",),
        question="Does the caller hear gaps or a quick, high voice? Gather 20 ms a message (160 bytes of PCMU) and "
        "compare.",
    )


def _chunks(size: int) -> Facts:
    return media(*(Arrival(size / 8 * n, "text", 300, "", "media", bytes(range(size))) for n in range(40)))


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA012",
    slug="chunks-too-short",
    title="Media messages are shorter than 20 ms",
    owner="you",
    why="Telnyx documents 20 ms to 30 s of audio a message. Speech services hand out pieces of any length, and a "
    "program that passes them on sends shorter ones.",
    fix="Gather the audio and send 20 ms a message: 160 bytes of PCMU or PCMA, 640 bytes of L16 at 16 kHz.",
    named={"10 ms": _chunks(80)},
    quiet={"20 ms": _chunks(160)},
)
