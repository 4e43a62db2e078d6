"""Each aim of the doctor in a line of its own: `name value limit ok|FAIL`.

`python -m tests.lab --figures` runs the lab and prints all of them; `--results FILE` takes the outcomes of an earlier run
(`--json FILE`), and `--verdicts FILE` those of an earlier `--repeat`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from callpath.doctor.logs.picture import choose, judge_logged, without_a_call
from callpath.doctor.logs.reading import LogReader
from tests.doctor.test_incidents import INCIDENTS, answers_to
from tests.lab.case import HEALTHY
from tests.lab.runner import FALSE_ALARM, MISSED, OK, WRONG, Outcome

ROOT = Path(__file__).parents[2]
FIELD = ROOT / "tests" / "doctor" / "logs" / "field"
READ_AT_MS = 1_893_456_000_000
FINE = {"healthy", "nothing wrong", "nothing"}


def figure(name: str, value: float, limit: float, *, at_least: bool = False) -> str:
    """One aim in a line: `name value limit ok|FAIL`. `value` may not be above `limit`, or not below it."""
    met = value >= limit if at_least else value <= limit
    return f"{name} {value:g} {'>=' if at_least else '<='}{limit:g} {'ok' if met else 'FAIL'}"


def lab_figures(outcomes: list[Outcome]) -> list[str]:
    """What concerns URLs, measured on these outcomes."""
    total = max(1, len(outcomes))
    marks = [outcome.mark for outcome in outcomes]
    healthy = [
        outcome.report for outcome in outcomes if HEALTHY in outcome.expected and outcome.report.get("duration_ms")
    ]
    usual = [report for report in healthy if report.get("traffic") and "idle" not in _steps(report) and _short(report)]
    sent = [report["traffic"]["requests"] for report in usual]
    # What the user asked to be held open or listened to for longer is no part of the promise.
    timed = [
        outcome.report["duration_ms"] / 1000
        for outcome in outcomes
        if outcome.report.get("duration_ms") and "idle" not in _steps(outcome.report)
    ]
    times = sorted(report["duration_ms"] / 1000 for report in usual)
    lines = [
        figure("lab_right_percent", round(100 * marks.count(OK) / total, 1), 98, at_least=True),
        figure("lab_wrong_percent", round(100 * marks.count(WRONG) / total, 1), 0.5),
        figure("lab_false_healthy", marks.count(MISSED), 0),
        figure("lab_false_alarms", marks.count(FALSE_ALARM), 0),
    ]
    if usual:
        lines += [
            figure("healthy_requests_max", max(sent), 12),
            figure("healthy_seconds_median", round(times[len(times) // 2], 2), 3),
        ]
    if timed:
        lines.append(figure("seconds_max", round(max(timed), 1), 30))
    return lines


def _steps(report: dict[str, Any]) -> set[str]:
    return {step["name"] for step in report.get("steps") or ()}


def _short(report: dict[str, Any]) -> bool:
    """Whether the upgrade and the stream took their usual time: a server that answers late is slow by itself."""
    took = {step["name"]: step["duration_ms"] for step in report.get("steps") or ()}
    return bool(took.get("upgrade", 0) < 1000 and took.get("media", 0) < 3000)


def corpus_figures() -> list[str]:
    """Incidents that are kept: every one must be judged rightly."""
    told = list(INCIDENTS.values())
    wrong = sum(1 for one in told if not answers_to(one) & set(one["answers"]))
    return [
        figure("incidents", len(told), 80, at_least=True),
        figure("incidents_healthy", sum(one["answers"] == [HEALTHY] for one in told), 30, at_least=True),
        figure("incidents_judged_otherwise", wrong, 0),
    ]


def field_figures() -> list[str]:
    """Logs from the field, and those written to be like them: a right name, an honest "not decided", or a lie."""
    cases = json.loads((FIELD / "expected.json").read_text())
    right = wrong = false_healthy = fine = fine_healthy = 0
    for names, expected in cases.items():
        reader = LogReader(read_at_ms=READ_AT_MS)
        for name in names.split():
            reader.read(name, [(FIELD / name).read_bytes()])
        found = reader.finish()
        chosen = choose([judge_logged(found, call) for call in found.calls])
        diagnosis = chosen.diagnosis if chosen is not None else without_a_call(found)
        verdict = diagnosis.verdict
        slug = verdict.rule.slug if verdict is not None and verdict.finding.kind != "open" else ""
        is_fine = bool(FINE & set(expected["ok"]))
        fine += is_fine
        fine_healthy += is_fine and diagnosis.healthy is True
        if slug in expected.get("not", ()) or expected.get("calls", len(found.calls)) != len(found.calls):
            wrong += 1
        elif slug:
            right += any(name in slug for name in expected["ok"])
            wrong += not any(name in slug for name in expected["ok"])
        elif diagnosis.healthy and not is_fine:
            false_healthy += 1
        elif is_fine:
            right += 1
    return [
        figure("field_cases", len(cases), 100, at_least=True),
        figure("field_right_percent", round(100 * right / len(cases), 1), 90, at_least=True),
        figure("field_wrong", wrong, 0),
        figure("field_false_healthy", false_healthy, 0),
        figure("field_healthy_called_healthy_percent", round(100 * fine_healthy / max(1, fine), 1), 60, at_least=True),
    ]


_MEASURED = re.compile(r"^(\w+) +([\d.]+) s CPU limit ([\d.]+), +(\d+) MB limit (\d+)", re.M)


def speed_figures(megabytes: float) -> list[str]:
    """Seconds and memory of `doctor logs`, by bench/logs.py; limits are those of 100 MB, scaled."""
    command = (sys.executable, str(ROOT / "bench" / "logs.py"), "--mb", f"{megabytes:g}")
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = []
    for kind, seconds, limit, memory, memory_limit in _MEASURED.findall(printed):
        lines.append(figure(f"logs_{megabytes:g}_mb_{kind}_seconds", float(seconds), float(limit)))
        lines.append(figure(f"logs_{megabytes:g}_mb_{kind}_memory_mb", float(memory), float(memory_limit)))
    return lines or ["logs_seconds not measured: bench/logs.py printed nothing FAIL"]


def repeat_figures(seen: dict[str, dict[str, int]]) -> list[str]:
    """Cases that were run again and again: each must give one verdict alone."""
    return [
        figure("repeats_min", min((sum(counts.values()) for counts in seen.values()), default=0), 20, at_least=True),
        figure("cases_with_more_than_one_verdict", sum(len(counts) > 1 for counts in seen.values()), 0),
    ]


def read_outcomes(path: Path) -> list[Outcome]:
    """What `--json FILE` wrote."""
    return [Outcome(**{**one, "expected": tuple(one["expected"])}) for one in json.loads(path.read_text())]


def all_figures(outcomes: list[Outcome], seen: dict[str, dict[str, int]], megabytes: float) -> str:
    """Every aim; what was not run says so, since an aim that is not measured is not met."""
    lines = [*corpus_figures(), *field_figures()]
    lines += (
        lab_figures(outcomes) if outcomes else ["lab not run: without --results the lab's cases are run first FAIL"]
    )
    lines += (
        repeat_figures(seen) if seen else ["repeats not run: --verdicts FILE of --repeat 20 --timed --json FILE FAIL"]
    )
    if megabytes:
        lines += speed_figures(megabytes)
    return "\n".join(lines)
