"""EDGE003: the application crashed or ran out of memory."""

from __future__ import annotations

from callpath.doctor.calls import ended_unix_ms
from callpath.doctor.edges import came, posts, process_lines, said, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, FactMissing, Facts, LogLine
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    call = facts.get(CallFacts)
    if EdgeFacts not in facts and (call is None or not call.entries):
        raise FactMissing(EdgeFacts)
    if call is not None and call.entries and not came(facts):
        last = call.entries[-1].at_unix_ms
        died = [
            line for line in process_lines(facts, "crash", "out of memory", near=last) if line.at_unix_ms is not None
        ]
        died = [line for line in died if last <= (line.at_unix_ms or 0) <= last + 10_000]
        if died and ended_unix_ms(call) is None:
            return Finding(
                f"the log tells of {_words(died[0])} right after the call's last line",
                tuple(said(line) for line in died[:3]),
                confidence="medium",
            )
    if EdgeFacts not in facts:
        return None
    rows = [row for row in (*upgrades(facts), *posts(facts)) if row.status in {502, 503, 504} and not came(facts)]
    if not rows:
        return None
    crashes = process_lines(facts, "crash", "out of memory", near=rows[0].at_unix_ms)
    if not crashes:
        return None
    return Finding(
        f"the edge answered {rows[0].status} for want of the application, whose log tells of "
        f"{_words(crashes[-1])} at that time",
        (*(said(line) for line in crashes[-3:]), *(show_row(row) for row in rows[:3])),
    )


def _words(line: LogLine) -> str:
    return "memory that ran out" if line.topic == "out of memory" else "a crash"


RULE = Rule(
    code="EDGE003",
    slug="crash-loop-or-oom",
    title="The application crashed or ran out of memory",
    layer="deploy",
    owner="you",
    why="The process died: the edge had nobody to hand requests to, and what the call needed next was never sent.",
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
