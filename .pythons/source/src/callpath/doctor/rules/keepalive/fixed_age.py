"""KEEP002: every stream is cut at the same age, whatever moves."""

from __future__ import annotations

from callpath.doctor.closings import AT_ONCE_MS, early
from callpath.doctor.facts import Arrival, Facts, IdleFacts, MediaFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import ended, held, media, nothing


def keep_fixed_age(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    cut = [hold for hold in idle.holds if hold.ending.by == "peer"]
    if len(cut) < len(idle.holds) or not cut or len(cut) < 2:
        return None
    ages = [hold.held_ms for hold in cut]
    if max(ages) - min(ages) > 0.25 * max(ages) + 500:
        return None
    evidence = tuple(
        f"{hold.traffic}: {hold.ending.code or hold.ending.kind} after {hold.held_ms / 1000:.1f} s" for hold in cut
    )
    return Finding(f"quiet and busy streams alike end after {max(ages) / 1000:.1f} s", evidence)


def close_cut_early(facts: Facts) -> Finding | None:
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


CAUSE = Cause(
    code="KEEP002",
    slug="max-duration-cutoff",
    title="Every stream ends at the same age",
    layer="keepalive",
    owner="platform",
    why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud Run (5 min by "
    "default, 60 at most), gateways, Traefik's or Node's request timers, a timer in the application.",
    fix="Raise or switch off that limit for the stream's route, and be ready for a reconnect.",
    signs=(
        Sign(
            "url",
            keep_fixed_age,
            examples=(
                Example("all at 4 s", held(10, silent=4.0, media=4.1), fires=True),
                Example("only the silent one", held(10, silent=4.0, media=None), fires=False),
                Example("not held", nothing(), fires=None),
            ),
        ),
        Sign(
            "url",
            close_cut_early,
            code="CLOSE009",
            title="The stream is cut at a fixed age",
            why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud "
            "Run's request "
            "timeout, a gateway's limit, a proxy's server timeout.",
            fix="Raise the limit (Cloud Run --timeout 3600), switch it off for the stream's route, and be ready to "
            "be reconnected.",
            examples=(
                Example(
                    "cut in the middle of the talk",
                    media(
                        Arrival(990.0, "text", 300, "", "media", b"\xff"),
                        ending=ended("eof", at_ms=1000.0, after="media"),
                    ),
                    fires=True,
                ),
                Example("dropped at once", media(ending=ended("eof")), fires=False),
                Example("no stream was opened", nothing(), fires=None),
            ),
        ),
    ),
)
