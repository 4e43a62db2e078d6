"""EDGE021: the proxy's upstream is not there."""

from __future__ import annotations

from callpath.doctor.edges import PROXIES, nobody_there, process_lines, said, show_row
from callpath.doctor.facts import EdgeFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    if facts[EdgeFacts].platform not in PROXIES:
        return None
    told = nobody_there(facts)
    if not told:
        return None
    return Finding(
        f"the proxy answered {told[0].status} itself: {', '.join(told[0].upstream_errors) or told[0].response_details}",
        (*(show_row(row) for row in told[:3]), *(said(line) for line in process_lines(facts, "listening")[-2:])),
    )


RULE = Rule(
    code="EDGE021",
    slug="proxy-upstream-down",
    title="The proxy cannot reach the application",
    layer="http",
    owner="you",
    why="The proxy took the upgrade, and nobody listens where its configuration sends this path: another port, another "
    "address (localhost against ::1), or a process that is down.",
    fix="Compare the upstream of this very location with the address that the application listens on.",
    masked_by=("EDGE003",),
    check=check,
    examples=(
        Example(
            "nginx with a dead upstream",
            seen_at_edge(row("GET", 502, errors=("connect() failed (111: Connection refused)",)), platform="nginx"),
            fires=True,
        ),
        Example("a platform's edge", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
