"""KEEP002: every stream is cut at the same age, whatever moves."""

from __future__ import annotations

from callpath.doctor.facts import Facts, IdleFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import held, nothing


def check(facts: Facts) -> Finding | None:
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


RULE = Rule(
    code="KEEP002",
    slug="max-duration-cutoff",
    title="Every stream ends at the same age",
    layer="keepalive",
    owner="platform",
    why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud Run (5 min by "
    "default, 60 at most), gateways, Traefik's or Node's request timers, a timer in the application.",
    fix="Raise or switch off that limit for the stream's route, and be ready for a reconnect.",
    masked_by=("URL003",),
    check=check,
    examples=(
        Example("all at 4 s", held(10, silent=4.0, media=4.1), fires=True),
        Example("only the silent one", held(10, silent=4.0, media=None), fires=False),
        Example("not held", nothing(), fires=None),
    ),
)
