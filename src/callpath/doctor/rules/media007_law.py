"""MEDIA007: A-law where mu-law belongs, or the reverse."""

from __future__ import annotations

from callpath.doctor.closings import settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import media, nothing


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or {stream.codec, stream.heard_as} != {"PCMU", "PCMA"}:
        return None
    return Finding(
        f"the stream carries {stream.codec}, the bytes that come are {stream.heard_as}",
        ("by the statistics of the bytes",),
    )


RULE = Rule(
    code="MEDIA007",
    slug="codec-alaw-as-ulaw",
    title="The wrong law: PCMA against PCMU",
    layer="codec",
    owner="you",
    why="Outside North America calls carry PCMA. Bytes of one law read as the other are loud static.",
    fix="Obey start.media_format and stream_bidirectional_codec for each direction, or ask for PCMU in both.",
    masked_by=("URL003", "MEDIA011", "MEDIA001", "MEDIA002", "MEDIA003"),
    check=check,
    examples=(
        Example(
            "A-law",
            media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xd5" * 160) for n in range(60)), heard_as="PCMA"),
            fires=True,
        ),
        Example(
            "mu-law",
            media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60)), heard_as="PCMU"),
            fires=False,
        ),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
