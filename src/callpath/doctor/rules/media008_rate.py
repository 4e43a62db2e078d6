"""MEDIA008: more or fewer bytes a second than the codec has."""

from __future__ import annotations

from callpath.doctor.closings import BYTES_PER_SECOND, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import media, nothing

PACED = (15.0, 30.0)
"""A program that sends a frame each 20 ms. Only then do bytes per frame tell the rate."""


def check(facts: Facts) -> Finding | None:
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
        (f"{len(frames)} frames in {(frames[-1].at_ms - frames[0].at_ms) / 1000:.1f} s",),
    )


RULE = Rule(
    code="MEDIA008",
    slug="sample-rate-mismatch",
    title="Audio of another sample rate is sent",
    layer="codec",
    owner="you",
    why="24 or 16 kHz audio in an 8 kHz stream plays slow and deep; the reverse plays like a chipmunk.",
    fix="Resample to the stream's rate with a filter before encoding, or set stream_bidirectional_sampling_rate (L16).",
    masked_by=("URL003", "MEDIA011", "MEDIA001", "MEDIA002", "MEDIA003", "MEDIA006"),
    check=check,
    examples=(
        Example(
            "24 kHz",
            media(*(Arrival(20.0 * n, "text", 700, "", "media", b"\xfe\x7e\x6e" * 160) for n in range(60))),
            fires=True,
        ),
        Example(
            "8 kHz",
            media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xfe" * 160) for n in range(60))),
            fires=False,
        ),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
