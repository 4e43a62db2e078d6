"""EDGE003: the application crashed or ran out of memory."""

from __future__ import annotations

from callpath.doctor.edges import came, posts, process_lines, said, show, upgrades
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = [row for row in (*upgrades(facts), *posts(facts)) if row.status in {502, 503, 504} and not came(facts)]
    if not rows:
        return None
    crashes = process_lines(facts, "crash", "out of memory", near=rows[0].at_unix_ms)
    if not crashes:
        return None
    return Finding(
        f"the edge answered {rows[0].status} for want of the application, whose log tells of "
        + ("memory that ran out" if crashes[-1].topic == "out of memory" else "a crash")
        + " at that time",
        (*(said(line) for line in crashes[-3:]), *(show(row) for row in rows[:3])),
    )


RULE = Rule(
    code="EDGE003",
    slug="crash-loop-or-oom",
    title="The application crashed or ran out of memory",
    layer="deploy",
    owner="you",
    why="The edge had nobody to hand the upgrade to: the process had died shortly before and was being started again.",
    fix="Read the crash's own lines; give it more memory or mend the exception, and look at the deployment's restarts.",
    masked_by=(),
    check=check,
    examples=(
        Example(
            "502 after a crash",
            seen_at_edge(row("GET", 502, errors=("connection refused",)), process=("crash: Uncaught Exception",)),
            fires=True,
        ),
        Example("502 without one", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
