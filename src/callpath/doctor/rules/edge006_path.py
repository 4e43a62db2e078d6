"""EDGE006: the path in the stream's URL is not one that the application serves."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, refused_by_us, show_row, unreached
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = [row for row in failed_upgrades(facts, 404) if not unreached(row)]
    if not rows or refused_by_us(facts):
        return None
    if rows[0].upstream_ms is None and not rows[0].upstream_address:
        return Finding(
            "the upgrade was answered with 404",
            (show_row(rows[0]),),
            kind="open",
            candidates=(
                "url-path-mismatch",
                "edge-app-not-found",
                "proxy-location-missing",
                "proxy-upgrade-headers-stripped",
                "node-ws-attached-to-other-server",
            ),
            question="Whose 404 was it, the application's or the edge's? callpath doctor url on that URL shows it.",
        )
    return Finding("the application answered the upgrade with 404", tuple(show_row(row) for row in rows[:3]))


RULE = Rule(
    code="EDGE006",
    slug="url-path-mismatch",
    title="The path in the stream's URL is not one that the application serves",
    layer="routing",
    owner="you",
    why="Telnyx came through, and the application knows no such path: another prefix, another case, a doubled or "
    "trailing slash.",
    fix="One constant for the path, used by the route and by the URL that Telnyx is sent.",
    masked_by=(),
    check=check,
    examples=(
        Example("404 by the application", seen_at_edge(row("GET", 404)), fires=True),
        Example("101", seen_at_edge(row("GET", 101, duration=20_000)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
