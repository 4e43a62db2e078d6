"""EDGE007: the upgrade was redirected."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 301, 302, 303, 307, 308)
    return (
        Finding(f"the upgrade was answered with {rows[0].status}", tuple(show_row(row) for row in rows[:3]))
        if rows
        else None
    )


RULE = Rule(
    code="EDGE007",
    slug="redirect-on-upgrade",
    title="The upgrade was redirected",
    layer="http",
    owner="you",
    why="A WebSocket client does not follow redirects: http for https, ws for wss, a missing slash, another host, "
    "a login page.",
    fix="Give Telnyx the URL that the redirect leads to: wss, the final host and the exact path.",
    masked_by=(),
    check=check,
    examples=(
        Example("301", seen_at_edge(row("GET", 301)), fires=True),
        Example("404", seen_at_edge(row("GET", 404)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
