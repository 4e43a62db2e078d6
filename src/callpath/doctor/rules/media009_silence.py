"""MEDIA009: frames come, and hold nothing."""

from __future__ import annotations

from callpath.doctor.closings import settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import media, nothing


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or len(stream.media) < 25:
        return None
    values = {value for arrival in stream.media for value in (arrival.payload or b"")}
    if len(values) > 1:
        return None
    if not values:
        return Finding(f"{len(stream.media)} media frames came, all with an empty payload")
    value = next(iter(values))
    return Finding(
        f"{len(stream.media)} frames came, all of one byte: 0x{value:02X}",
        ("0xFF and 0x7F are mu-law's silence, 0xD5 A-law's, 0x00 what zeroed PCM leaves",),
    )


RULE = Rule(
    code="MEDIA009",
    slug="sends-silence",
    title="The application sends nothing but silence",
    layer="codec",
    owner="you",
    why="The stream works, its source does not: a muted or failing speech service, zeroed buffers, a wrong conversion.",
    fix="Log the level of what the source gives before it is encoded.",
    masked_by=("URL003", "MEDIA011", "MEDIA001", "MEDIA002"),
    check=check,
    examples=(
        Example(
            "0xFF", media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60))), fires=True
        ),
        Example(
            "sound",
            media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xfe\x7e" * 80) for n in range(60))),
            fires=False,
        ),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
