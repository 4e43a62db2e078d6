"""EDGE017: webhooks come to a path that does not exist."""

from __future__ import annotations

from callpath.doctor.edges import posts, show_row, unreached
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = posts(facts)
    lost = [row for row in rows if row.status == 404 and not unreached(row)]
    if not lost:
        return None
    paths = {row.path for row in lost}
    if any(row.status < 300 for row in rows):
        return None  # some other path takes them
    return Finding(
        f"{len(lost)} POSTs to {', '.join(sorted(paths)[:3])} were answered with 404",
        tuple(show_row(row) for row in lost[:3]),
    )


RULE = Rule(
    code="EDGE017",
    slug="webhook-404",
    title="Webhooks come to a path that does not exist",
    layer="webhook",
    owner="you",
    why="The URL in the Call Control application leads to this host, and to a path that the application does not "
    "serve. No event is ever seen, so nothing is ever answered.",
    fix="Put the URL that your server names at its start into the Call Control application, path and all.",
    masked_by=("EDGE008",),
    check=check,
    examples=(
        Example("404", seen_at_edge(row("POST", 404)), fires=True),
        Example("200", seen_at_edge(row("POST")), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
