"""MEDIA005: less audio than time."""

from __future__ import annotations

from itertools import pairwise

from callpath.doctor.closings import audio_ms, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import media, nothing

SHARE_MIN = 0.88
"""Below this one frame in eight is missing: heard as a steady stutter."""
STEADY_MS = 900.0
FRAME_MS = 20.0
OUR_LATENESS_MAX = 1.04


def check(facts: Facts) -> Finding | None:
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
        (f"{len(frames)} frames in {span_ms / 1000:.1f} s, longest gap {max(gaps):.0f} ms",),
    )


RULE = Rule(
    code="MEDIA005",
    slug="send-too-slow-underrun",
    title="Audio is sent too slowly",
    layer="pacing",
    owner="you",
    why="Each frame waits 20 ms after the last one was made, so that the work in between adds up: the caller hears gaps.",
    fix="Send on absolute deadlines: next = start + n * 0.020, and sleep until next.",
    masked_by=("URL003", "MEDIA011", "MEDIA001", "MEDIA002", "MEDIA003", "MEDIA006", "MEDIA007", "WS011"),
    by_time=True,
    check=check,
    examples=(
        Example(
            "34 ms a frame",
            media(*(Arrival(34.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60))),
            fires=True,
        ),
        Example(
            "in time",
            media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(90))),
            fires=False,
        ),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
