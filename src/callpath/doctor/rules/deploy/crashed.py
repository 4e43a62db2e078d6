"""EDGE003: the application crashed or ran out of memory."""

from callpath.doctor.calls import ended_unix_ms, every
from callpath.doctor.edges import came, posts, process_lines, said, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, FactMissing, Facts, LogFacts, LogLine, PlatformFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import platform
from callpath.doctor.rules.sample_call import BOTH_WAYS, hung_up
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.doctor.rules.sample_log import told_call
from callpath.timeline import HandlerFailed, SocketReceived, StreamStarted


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


def log_died_in_call(facts: Facts) -> Finding | None:
    call, log = facts[CallFacts], facts.get(LogFacts)
    if log is None:
        raise FactMissing(LogFacts)
    came_at = next((entry.at_unix_ms for entry in every(call, SocketReceived, StreamStarted)), None)
    if came_at is None or every(call, HandlerFailed):
        return None
    end = ended_unix_ms(call)
    until = end if end is not None else call.looked_at_unix_ms
    died = [
        line
        for line in log.process
        if line.topic in {"out of memory", "crash", "exited"}
        and line.at_unix_ms is not None
        and came_at < line.at_unix_ms < until - 500
    ]
    if not died:
        return None
    return Finding(
        f"{((died[0].at_unix_ms or 0) - came_at) / 1000:.1f} s after the socket came the process ended, and the call "
        "was still on",
        tuple(said(line) for line in died[:3]),
        confidence="medium",
        title="The application died while the call was on",
    )


BOOTS_MIN = 2
"""A process that ended this often, and never took a webhook, does not start."""


def log_never_starts(facts: Facts) -> Finding | None:
    call, log = facts.get(CallFacts), facts.get(LogFacts)
    if log is None:
        raise FactMissing(LogFacts)
    if call is not None and call.entries:
        return None  # a call came: the process ran
    failed = [line for line in log.process if line.topic in {"boot failed", "crash"}]
    exits = [line for line in log.process if line.topic == "exited"]
    last = next((line for line in reversed(log.process) if line.topic in {"boot failed", "crash", "exited"}), None)
    if last is None or len(exits) + len(failed) < BOOTS_MIN:
        return None
    if any(row.at_unix_ms > (last.at_unix_ms or 0) and row.status < 500 for row in log.served):
        return None  # it came up in the end
    reason = next((error.error for error in reversed(log.errors)), failed[-1].text if failed else last.text)
    times = max(len(exits), 1)
    return Finding(
        f"the process does not start: {reason}" + (f" ({times} times in this log)" if times > 1 else ""),
        tuple(said(line) for line in (*failed[:2], *exits[:2])),
        confidence="high" if len(exits) > 1 or len(failed) > 2 else "medium",
        title="The application does not start",
        fix="Fix what the line above names (a module that is missing, a wrong start command, a variable that is not "
        "set), deploy, and look for the line that says that it listens.",
    )


def _words(line: LogLine) -> str:
    return "memory that ran out" if line.topic == "out of memory" else "a crash"


_DOWN = {
    "CRASHED": ("has crashed", "Fix what the last lines of its deploy log name, and deploy again."),
    "REMOVED": ("has been removed", "Deploy the service again."),
    "REMOVING": ("is being removed", "Deploy the service again."),
    "FAILED": ("failed, and nothing older runs", "See the build log, fix it, and deploy again."),
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
    owner="you",
    why="The process died: the edge had nobody to hand requests to, and what the call needed next was never sent.",
    fix="Read the crash's own lines (docker logs NAME, kubectl logs --previous POD, railway logs); give it more "
    "memory or fix the exception, and look at the deployment's restarts.",
    signs=(
        Sign(
            "edge",
            edge_crashed,
            named={
                "502 after a crash": seen_at_edge(
                    row("GET", 502, errors=("connection refused",)), process=("crash: Uncaught Exception",)
                )
            },
            quiet={"502 without one": seen_at_edge(row("GET", 502, errors=("connection refused",)))},
        ),
        Sign(
            "call",
            log_died_in_call,
            code="LOG001",
            named={
                "memory ran out in mid-call": told_call(
                    BOTH_WAYS, (30_000, hung_up()), process=((9_000, "out of memory", "OOM-killed"),)
                )
            },
            quiet={
                "after the call": told_call(
                    BOTH_WAYS, (30_000, hung_up()), process=((40_000, "exited", "exited with code 1"),)
                )
            },
        ),
        Sign(
            "call",
            log_never_starts,
            code="LOG002",
            named={
                "a module is missing, again and again": told_call(
                    process=(
                        (0, "boot failed", "ModuleNotFoundError: No module named 'backend'"),
                        (100, "exited", "exited with code 1"),
                        (9_000, "boot failed", "ModuleNotFoundError: No module named 'backend'"),
                        (9_100, "exited", "exited with code 1"),
                    )
                )
            },
            quiet={"a call came": told_call(BOTH_WAYS, process=((0, "boot failed", "Cannot find module 'x'"),))},
        ),
        Sign(
            "account",
            platform_down,
            code="PLATFORM006",
            title="Nothing runs behind the name",
            why="The host's edge answers 502 or 404 for a service that is not up: no webhook is taken, no audio "
            "either.",
            fix="Deploy the service (railway up), and read its log (railway logs).",
            named={
                "crashed": states("CRASHED", "REMOVED"),
                "removed": states("REMOVED"),
                "the only one failed": states("FAILED"),
                "never deployed": platform(deployments=()),
            },
            quiet={
                "it runs": states("SUCCESS", "REMOVED"),
                "the newest failed, the one before runs": states("FAILED", "SUCCESS"),
                "one is under way": states("BUILDING", "REMOVED"),
                "asleep": states("SLEEPING"),
            },
            unchecked={"deployments may not be asked": platform(deployments=None)},
        ),
    ),
)
