"""EDGE013: telnyx gave up before the application answered the upgrade."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 499, 408)
    return (
        Finding(
            f"the client went away after {rows[0].duration_ms or 0:.0f} ms without an answer",
            tuple(show_row(row) for row in rows[:3]),
        )
        if rows
        else None
    )


RULE = Rule(
    code="EDGE013",
    slug="ws-handshake-slow",
    title="Telnyx gave up before the application answered the upgrade",
    layer="handshake",
    owner="you",
    why="499 in the edge's log: the client went away while the application was still at work before accepting (a "
    "database, a connection to an AI).",
    fix="Accept the socket first, and do everything else afterwards.",
    masked_by=(),
    check=check,
    examples=(
        Example("499", seen_at_edge(row("GET", 499, duration=5000)), fires=True),
        Example("404", seen_at_edge(row("GET", 404)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
