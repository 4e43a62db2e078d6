"""Runs the doctor's command line against a case, judges what it said, and lays the results out as a table."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from callpath.clock import SystemClock
from tests.lab.bench import Bench
from tests.lab.case import HEALTHY, UNDECIDED, WITHHELD, Case, Target
from tests.lab.certificates import Authority

DOCTOR_SECONDS_MAX = 45
"""The doctor promises 30 s; what takes longer is stopped and counted as broken."""

DOCTOR = (sys.executable, "-m", "callpath", "doctor")
"""The command under test, to which `url URL --json …` is added."""

OK = "ok"
WRONG = "WRONG"
MISSED = "missed"
FALSE_ALARM = "FALSE ALARM"
BROKEN = "broken"
LIES = {WRONG, MISSED, FALSE_ALARM}
"""What sends an operator the wrong way. To withhold a verdict does not."""

_clock = SystemClock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the doctor said of one case. `verdict` is its slug, HEALTHY, UNDECIDED, or what went wrong with the run."""

    case: str
    expected: tuple[str, ...]
    verdict: str
    mark: str
    seconds: float
    report: dict[str, Any] = field(default_factory=dict)


class Laboratory:
    """One run's directory, certificates and addresses."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = Authority(directory / "certificates")
        # Two octets at random, so that two runs on one machine do not meet.
        self._network = f"127.{random.randint(16, 250)}.{random.randint(0, 255)}"
        self._count = 0

    def bench(self, name: str) -> Bench:
        self._count += 1
        network, number = divmod(self._count, 250)
        first, second, third = self._network.split(".")
        address = f"{first}.{second}.{(int(third) + network) % 256}.{number + 1}"
        return Bench(self._directory / name, address, self._authority)


@asynccontextmanager
async def laboratory(keep: Path | None = None) -> AsyncIterator[Laboratory]:
    """A laboratory in a directory that is removed afterwards, or in `keep`."""
    if keep is not None:
        yield Laboratory(keep)
        return
    with tempfile.TemporaryDirectory(prefix="callpath-lab-", ignore_cleanup_errors=True) as directory:
        # Servers that drop their privileges must still find their files.
        Path(directory).chmod(0o755)
        yield Laboratory(Path(directory))


async def run_case(case: Case, lab: Laboratory, doctor: tuple[str, ...] = DOCTOR) -> Outcome:
    """Set the case up, ask the doctor, take it down."""
    async with lab.bench(case.name) as bench:
        try:
            target = await case.start(bench)
        except Exception as error:
            return _outcome(case, f"not set up: {error}", 0.0, {})
        begin_ms = _clock.now_ms()
        report = await ask_doctor(target, doctor)
        thorough = verdict_of(report) == UNDECIDED and _advises_thorough(report)
        if thorough:
            # Do as the report says, as a person would.
            again = replace(target, options=(*target.options, "--thorough"))
            report = {**await ask_doctor(again, doctor), "thorough": True}
        seconds = (_clock.now_ms() - begin_ms) / 1000.0
        (bench.directory / "report.json").write_text(json.dumps(report, indent=1))
    return _outcome(case, verdict_of(report), seconds, report)


def _advises_thorough(report: dict[str, Any]) -> bool:
    return any("--thorough" in step["command"] for step in report.get("next_steps") or ())


async def ask_doctor(target: Target, doctor: tuple[str, ...] = DOCTOR) -> dict[str, Any]:
    """The doctor's JSON, or an object with only `error`."""
    command = (*target.enter, *doctor, "url", target.url, "--json", *target.options)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), DOCTOR_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        await process.communicate()
        return {"error": f"the doctor took more than {DOCTOR_SECONDS_MAX} s"}
    try:
        report = json.loads(said)
        assert isinstance(report, dict)
    except (ValueError, AssertionError):
        lines = complaint.decode(errors="replace").strip().splitlines() or ["nothing on stderr"]
        return {"error": f"no JSON, exit {process.returncode}: {lines[-1][:200]}"}
    return {**report, "exit": process.returncode}


def verdict_of(report: dict[str, Any]) -> str:
    """The primary verdict's slug, HEALTHY, UNDECIDED, or the error."""
    if "error" in report:
        return str(report["error"])
    verdict = report.get("verdict")
    if verdict:
        return str(verdict.get("slug") or verdict.get("code"))
    if report.get("healthy") is True:
        findings = report.get("findings") or []
        return HEALTHY if not findings else f"{HEALTHY} but finds {_slug(findings[0])}"
    return UNDECIDED


def _slug(finding: Any) -> str:
    return str(finding.get("slug") or finding.get("code")) if isinstance(finding, dict) else str(finding)


def judge(expected: frozenset[str], verdict: str, report: dict[str, Any]) -> str:
    """OK, WRONG (another name: the worst), MISSED (said healthy), UNDECIDED, FALSE_ALARM, or BROKEN."""
    if verdict in expected:
        return OK
    if not report or "error" in report:
        return BROKEN
    withheld = report.get("undecided") or {}
    if f"{WITHHELD}{withheld.get('slug')}" in expected or (withheld and UNDECIDED in expected):
        return OK
    if verdict == UNDECIDED:
        return UNDECIDED
    if HEALTHY in expected:
        return FALSE_ALARM
    return MISSED if verdict == HEALTHY else WRONG


def _outcome(case: Case, verdict: str, seconds: float, report: dict[str, Any]) -> Outcome:
    mark = judge(case.expected, verdict, report)
    return Outcome(case.name, tuple(sorted(case.expected)), verdict, mark, round(seconds, 2), report)


async def run_all(
    cases: Iterable[Case],
    jobs: int,
    tell: Callable[[Outcome], None],
    keep: Path | None = None,
    doctor: tuple[str, ...] = DOCTOR,
) -> list[Outcome]:
    """Run the cases, `jobs` at a time; `tell` hears each outcome as it comes. Returned in the order of `cases`."""
    cases = list(cases)
    places = asyncio.Semaphore(jobs)
    mine = asyncio.current_task()
    assert mine is not None
    # Stopped from outside, the servers must not stay behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, mine.cancel)
    outcomes: dict[str, Outcome] = {}
    async with laboratory(keep) as lab, asyncio.TaskGroup() as tasks:

        async def run(case: Case) -> None:
            async with places:
                outcomes[case.name] = await run_case(case, lab, doctor)
            tell(outcomes[case.name])

        for case in cases:
            tasks.create_task(run(case), name=case.name)
    return [outcomes[case.name] for case in cases]


# --- the table ---


def row(outcome: Outcome) -> str:
    expected = "|".join(outcome.expected)
    return f"{outcome.mark:<11} {outcome.seconds:5.1f}s  {outcome.case:<38} {outcome.verdict:<34} {expected}"


def summary(outcomes: list[Outcome]) -> str:
    """Totals: how many are right, how many wrong names, alarms on the healthy, and the slowest runs."""
    counts: dict[str, int] = {}
    for outcome in outcomes:
        counts[outcome.mark] = counts.get(outcome.mark, 0) + 1
    total = max(1, len(outcomes))
    healthy = [outcome for outcome in outcomes if HEALTHY in outcome.expected]
    times = sorted(outcome.seconds for outcome in outcomes)
    healthy_times = sorted(outcome.seconds for outcome in healthy)
    thorough = sum(1 for outcome in outcomes if outcome.report.get("thorough"))
    lines = [
        f"{len(outcomes)} cases ({thorough} asked again with --thorough, as the report said): "
        + ", ".join(f"{number} {mark}" for mark, number in sorted(counts.items())),
        f"right {100 * counts.get(OK, 0) / total:.1f} %, wrong names {100 * counts.get(WRONG, 0) / total:.1f} %, "
        f"false alarms on {len(healthy)} healthy: {counts.get(FALSE_ALARM, 0)}",
    ]
    if times:
        lines.append(f"time a case: median {times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s")
    if healthy_times:
        lines.append(f"healthy: median {healthy_times[len(healthy) // 2]:.1f} s, longest {healthy_times[-1]:.1f} s")
    return "\n".join(lines)


def table(outcomes: list[Outcome]) -> str:
    """All of it as text: what went wrong first, since that is what is looked for."""
    worst_first = [WRONG, FALSE_ALARM, MISSED, BROKEN, UNDECIDED, OK]
    head = f"{'result':<11} {'time':>6}  {'case':<38} {'verdict':<34} expected"
    ordered = sorted(outcomes, key=lambda outcome: worst_first.index(outcome.mark))
    return "\n".join([head, *(row(outcome) for outcome in ordered), "", summary(outcomes)]) + "\n"


def as_json(outcomes: list[Outcome]) -> str:
    return json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n"
