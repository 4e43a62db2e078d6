"""EDGE012: a rate limit turned the upgrade away."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 429)
    return Finding("the upgrade was answered with 429", tuple(show_row(row) for row in rows[:3])) if rows else None


RULE = Rule(
    code="EDGE012",
    slug="rate-limited-429",
    title="A rate limit turned the upgrade away",
    layer="http",
    owner="you",
    why="All calls come from a handful of carrier addresses, so that a limit per client address is soon used up.",
    fix="Exempt the stream's path or the carrier's ranges from the limiter.",
    masked_by=(),
    check=check,
    examples=(
        Example("429", seen_at_edge(row("GET", 429)), fires=True),
        Example("404", seen_at_edge(row("GET", 404)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
