"""EDGE005: the application did not answer the edge in time."""

from __future__ import annotations

from callpath.doctor.edges import failed_upgrades, process_lines, said, show_row, timed_out
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 502, 503, 504)
    late = [row for row in rows if row.status == 504 or timed_out(row)]
    if not late:
        return None
    boots = process_lines(facts, "restart", "listening", near=late[0].at_unix_ms, within_ms=60_000)
    woken = [line for line in boots if line.at_unix_ms is not None and line.at_unix_ms >= late[0].at_unix_ms - 1000]
    if woken:
        return Finding(
            "the edge waited for the application in vain, and the application was started at that very time",
            (*(show_row(row) for row in late[:3]), *(said(line) for line in woken[:2])),
            kind="open",
            candidates=("edge-cold-start", "crash-loop-or-oom", "deploy-kills-streams"),
            question="Was it asleep, restarted or deployed? The platform's list of deployments says.",
        )
    return Finding("the edge waited for the application in vain", tuple(show_row(row) for row in late[:3]))


RULE = Rule(
    code="EDGE005",
    slug="proxy-upstream-timeout-504",
    title="The application did not answer the edge in time",
    layer="http",
    owner="you",
    why="The edge took the request and waited in vain: the process hangs, is overloaded, or was still starting (a "
    "platform that puts it to sleep).",
    fix="Keep one instance awake, and nothing that blocks on the way to the answer: accept the socket first, work "
    "later.",
    masked_by=("EDGE003",),
    check=check,
    examples=(
        Example("dial timeout", seen_at_edge(row("GET", 502, errors=("connection dial timeout",))), fires=True),
        Example("504", seen_at_edge(row("GET", 504)), fires=True),
        Example("refused", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
