"""MEDIA014: what comes back is far too loud, or far too quiet."""

from typing import Any

from callpath.doctor.closings import early, heard, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media

FULL_SCALE_MAX = 0.1
"""Loud speech and music reach the end of the scale for one sample in a hundred."""
SENT_DBFS = -15.0
QUIETER_DB = 25.0
ALIKE_MIN = 0.9


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or early(facts) is not None or stream.level_dbfs is None:
        return None
    level = f"level of what came back: {stream.level_dbfs:.0f} dBFS"
    if stream.full_scale > FULL_SCALE_MAX and stream.heard_as == "unknown":
        return Finding(
            f"{100 * stream.full_scale:.0f} % of what came back is at the end of the scale, and it is like no telephone "
            "audio: a caller hears noise",
            (heard(stream, level),),
            kind="open",
            confidence="medium",
            candidates=("codec-pcm16-sent-as-ulaw", "codec-alaw-as-ulaw", "outbound-clipped"),
            title="What comes back is loud noise",
            question="Save what the program sends and listen to it as it is encoded: sox -t ul -r 8000 -c 1 FILE -d. "
            "Noise from the first moment is a wrong encoding, harsh speech is a wrong gain.",
        )
    if stream.echo_likeness >= ALIKE_MIN and stream.level_dbfs < SENT_DBFS - QUIETER_DB:
        return Finding(
            f"our sound comes back {SENT_DBFS - stream.level_dbfs:.0f} dB quieter than it was sent",
            (heard(stream, level),),
            kind="open",
            confidence="medium",
            candidates=("outbound-quiet-on-purpose",),
            title="What comes back can hardly be heard",
            question="Is the program to play the caller's own voice so quietly? If not, a gain or a scale is wrong: "
            "floats from -1 to 1 have to be multiplied by 32767.",
        )
    return None


def _came(**fields: Any) -> Facts:
    given: dict[str, Any] = {"heard_as": "PCMU", "level_dbfs": -15.0} | fields
    return media(
        *(Arrival(20.0 * n, "text", 300, "", "media", bytes([n, 255 - n]) * 80) for n in range(60)),
        **given,
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA014",
    slug="outbound-level-wrong",
    title="What comes back is far too loud or far too quiet",
    owner="you",
    why="The frames are well formed, so every counter looks right, and the caller hears noise or nothing.",
    fix="Listen to what is sent, before and after it is encoded: sox -t ul -r 8000 -c 1 FILE -d",
    named={
        "8-bit samples as a WAV file has them": _came(heard_as="unknown", full_scale=0.3, level_dbfs=-6.0),
        "a hundredth of the level": _came(echo_likeness=0.98, level_dbfs=-55.0),
    },
    quiet={
        "a tone at full scale": _came(full_scale=0.28, level_dbfs=-3.0),
        "an echo": _came(echo_likeness=0.99),
        "comfort noise": _came(heard_as="unknown", level_dbfs=-60.0),
    },
)
