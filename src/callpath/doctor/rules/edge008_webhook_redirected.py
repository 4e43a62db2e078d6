"""EDGE008: the webhook's URL redirects, which turns POST into GET."""

from __future__ import annotations

from callpath.doctor.edges import show_row
from callpath.doctor.facts import EdgeFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = facts[EdgeFacts].rows
    moved = [row for row in rows if row.method == "POST" and row.status in {301, 302, 303, 307, 308}]
    if not moved:
        return None
    paths = {row.path for row in moved}
    if any(row.method == "POST" and row.path in paths and row.status < 300 for row in rows):
        return None
    turned = [row for row in rows if row.method == "GET" and row.path in paths and row.status in {404, 405}]
    return Finding(
        f"{len(moved)} webhooks were answered with {moved[0].status}"
        + (f", and came back as GET → {turned[0].status}" if turned else ""),
        tuple(show_row(row) for row in (*moved[:2], *turned[:2])),
    )


RULE = Rule(
    code="EDGE008",
    slug="webhook-redirected",
    title="The webhook's URL redirects, which turns POST into GET",
    layer="webhook",
    owner="you",
    why="The webhook's URL is http:// or another host than the final one. The edge answers 301, the POST becomes "
    "a GET, and the application answers 404 or 405.",
    fix="Put the final https:// URL into the Call Control application.",
    masked_by=(),
    check=check,
    examples=(
        Example("301, then GET 405", seen_at_edge(row("POST", 301), row("GET", 405, path="/webhook")), fires=True),
        Example("200", seen_at_edge(row("POST")), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
