"""EDGE003: the application crashed or ran out of memory."""

from __future__ import annotations

from callpath.doctor.calls import ended_unix_ms
from callpath.doctor.edges import came, posts, process_lines, said, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, FactMissing, Facts, LogLine, PlatformFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import platform
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def edge_crashed(facts: Facts) -> Finding | None:
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


_DOWN = {
    "CRASHED": ("has crashed", "Mend what the last lines of its deploy log name, and deploy again."),
    "REMOVED": ("has been removed", "Deploy the service again."),
    "REMOVING": ("is being removed", "Deploy the service again."),
    "FAILED": ("failed, and nothing older runs", "See the build log, mend it, and deploy again."),
}


_UNDER_WAY = {"BUILDING", "DEPLOYING", "INITIALIZING", "QUEUED", "WAITING"}


_NEVER_RAN = {"FAILED", "SKIPPED", "NEEDS_APPROVAL"}


def platform_down(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.deployments is None:
        raise FactMissing(PlatformFacts)
    if not seen.deployments:
        return Finding(f"{seen.platform} has no deployment of this service", fix="Deploy the service.")
    if seen.deployments[0][0] in _UNDER_WAY:
        return None
    # One that failed to build leaves the one before it running.
    running = next((row for row in seen.deployments if row[0] not in _NEVER_RAN), seen.deployments[0])
    if running[0] not in _DOWN:
        return None
    words, fix = _DOWN[running[0]]
    return Finding(
        f"the deployment of {running[1] or 'an unknown time'} {words}: nothing runs behind the name",
        (f"status: {running[0]}", *seen.error_lines[-5:]),
        fix=fix,
    )


def states(*statuses: str) -> Facts:
    return platform(deployments=tuple((status, "2026-01-02T03:04:05.000Z") for status in statuses))


CAUSE = Cause(
    code="EDGE003",
    slug="crash-loop-or-oom",
    title="The application crashed or ran out of memory",
    layer="deploy",
    owner="you",
    why="The process died: the edge had nobody to hand requests to, and what the call needed next was never sent.",
    fix="Read the crash's own lines; give it more memory or mend the exception, and look at the deployment's restarts.",
    signs=(
        Sign(
            "edge",
            edge_crashed,
            examples=(
                Example(
                    "502 after a crash",
                    seen_at_edge(
                        row("GET", 502, errors=("connection refused",)), process=("crash: Uncaught Exception",)
                    ),
                    fires=True,
                ),
                Example("502 without one", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=False),
                Example("no edge log", nothing(), fires=None),
            ),
        ),
        Sign(
            "account",
            platform_down,
            code="PLATFORM006",
            title="Nothing runs behind the name",
            why="The host's edge answers 502 or 404 for a service that is not up: no webhook is taken, no audio either.",
            fix="Deploy the service, and see its log.",
            examples=(
                Example("crashed", states("CRASHED", "REMOVED"), fires=True),
                Example("removed", states("REMOVED"), fires=True),
                Example("the only one failed", states("FAILED"), fires=True),
                Example("never deployed", platform(deployments=()), fires=True),
                Example("it runs", states("SUCCESS", "REMOVED"), fires=False),
                Example("the newest failed, the one before runs", states("FAILED", "SUCCESS"), fires=False),
                Example("one is under way", states("BUILDING", "REMOVED"), fires=False),
                Example("asleep", states("SLEEPING"), fires=False),
                Example("deployments may not be asked", platform(deployments=None), fires=None),
                Example("the platform was not asked", nothing(), fires=None),
            ),
        ),
    ),
)
