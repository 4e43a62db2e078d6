"""EDGE014: the application failed while it answered the upgrade."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, show_row, unreached
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = [row for row in failed_upgrades(facts, 500, 502, 503, 520) if not unreached(row)]
    if not rows or (rows[0].status in {502, 503} and rows[0].upstream_ms is None):
        return None
    return Finding(
        f"the upgrade was answered with {rows[0].status} by the application", tuple(show_row(row) for row in rows[:3])
    )


RULE = Rule(
    code="EDGE014",
    slug="app-crash-on-connect",
    title="The application failed while it answered the upgrade",
    layer="routing",
    owner="you",
    why="5xx by the application itself: an exception in the handler of the upgrade, or in what runs before it.",
    fix="Read the application's log at that second: the stack trace names the line.",
    masked_by=("EDGE003", "EDGE004"),
    check=check,
    examples=(
        Example("500", seen_at_edge(row("GET", 500)), fires=True),
        Example("502 by the edge", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
