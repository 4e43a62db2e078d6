"""EDGE010: the application wants a login for the stream."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, refused_by_us, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 401, 407)
    if not rows or refused_by_us(facts):
        return None
    return Finding(f"the upgrade was answered with {rows[0].status}", tuple(show_row(row) for row in rows[:3]))


RULE = Rule(
    code="EDGE010",
    slug="ws-auth-required-401",
    title="The application wants a login for the stream",
    layer="auth",
    owner="you",
    why="A guard over all routes, basic auth or a token check answered 401. Telnyx logs in nowhere; it can only "
    "show the stream's token.",
    fix="Exempt the stream's path from the guard, and prove the caller by a token in the path or by stream_auth_token.",
    masked_by=(),
    check=check,
    examples=(
        Example("401", seen_at_edge(row("GET", 401)), fires=True),
        Example("404", seen_at_edge(row("GET", 404)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
