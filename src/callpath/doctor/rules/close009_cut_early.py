"""CLOSE009: the connection is cut within seconds, though both sides talk."""

from __future__ import annotations

from callpath.doctor.closings import AT_ONCE_MS, early
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind not in {"eof", "reset"} or ending.at_ms < AT_ONCE_MS:
        return None
    stream = facts[MediaFacts]
    spoke_late = any(arrival.at_ms > ending.at_ms - 300 for arrival in stream.arrivals)
    if not spoke_late:
        return None
    return Finding(
        f"cut without a close frame after {ending.at_ms / 1000:.1f} s, while audio went both ways",
        (f"{ending.kind}, {stream.sent_frames} frames sent, {len(stream.arrivals)} messages received",),
        confidence="medium",
    )


RULE = Rule(
    code="CLOSE009",
    slug="max-duration-cutoff",
    title="The stream is cut at a fixed age",
    layer="keepalive",
    owner="platform",
    why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud Run's request "
    "timeout, a gateway's limit, a proxy's server timeout.",
    fix="Raise the limit (Cloud Run --timeout 3600), switch it off for the stream's route, and be ready to be reconnected.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003"),
    check=check,
    examples=(
        Example(
            "cut in the middle of the talk",
            media(Arrival(990.0, "text", 300, "", "media", b"\xff"), ending=ended("eof", at_ms=1000.0, after="media")),
            fires=True,
        ),
        Example("dropped at once", media(ending=ended("eof")), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
