"""`python -m tests.lab`: run the doctor against the lab's cases and print what it got right.

Exit 0 if every verdict is right, 1 if one is not, 2 on wrong usage, 130 if stopped. With --ci, one case a cause and all
the healthy ones run; what did not come out right runs once more, alone, since a busy machine makes time limits lie; and
only a wrong name, a false alarm or a missed fault counts.
With --figures each aim of the doctor stands in a line of its own: its name, the value, the limit, and ok or FAIL. The
incidents, the field's logs and the speed of `doctor logs` are among them; --results and --verdicts take the lab's part from
files.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import json
import shlex
import sys
from pathlib import Path

from tests.lab.case import Case
from tests.lab.cases import ALL, further_cases, is_timed
from tests.lab.figures import all_figures, read_outcomes, repeat_figures
from tests.lab.look import look_at
from tests.lab.programs import missing
from tests.lab.runner import DOCTOR, LIES, OK, Outcome, as_json, row, run_all, summary, table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", help="cases whose name or layer matches, such as 'tls*'")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="cases at a time (default 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome with the doctor's whole report")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write the table, worst first")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="work here and leave configurations and logs")
    parser.add_argument("--doctor", metavar="COMMAND", help="another doctor, such as 'callpath doctor' of a wheel")
    parser.add_argument("--ci", action="store_true", help="fewer cases, a second try, and only lies count")
    parser.add_argument("--figures", action="store_true", help="also print each figure: name value limit ok|FAIL")
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="run each case N times: is the verdict the same?"
    )
    parser.add_argument("--timed", action="store_true", help="only cases whose verdict depends on times")
    parser.add_argument("--results", type=Path, metavar="FILE", help="figures of an earlier run (--json), run no case")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="figures of an earlier --repeat (--json)")
    parser.add_argument(
        "--mb", type=float, default=100, metavar="N", help="size of the logs of --figures; 0 leaves out"
    )
    parser.add_argument("--list", action="store_true", help="only list the cases")
    parser.add_argument("--look", action="store_true", help="without the doctor: show what a plain client sees")
    arguments = parser.parse_args()

    chosen = [case for case in ALL if arguments.only is None or _matches(case.name, arguments.only)]
    if arguments.timed:
        chosen = [case for case in chosen if is_timed(case)]
    if arguments.results is not None:
        say(all_figures(read_outcomes(arguments.results), _verdicts(arguments.verdicts), arguments.mb))
        return 0
    if arguments.ci:
        further = further_cases(chosen)
        chosen = [case for case in chosen if case not in further]
    if not chosen:
        parser.error(f"no case matches {arguments.only}")
    if arguments.list:
        for case in chosen:
            say(f"{case.name:<38} {'|'.join(sorted(case.expected)):<44} {case.why}")
        return 0
    present = [case for case in chosen if not missing(case)]
    for case in chosen:
        if case not in present:
            say(f"skipped     {case.name}: {', '.join(missing(case))} is not here")
    if arguments.look:
        asyncio.run(look_at(present, arguments.jobs, arguments.keep))
        return 0
    if arguments.repeat > 1:
        return repeat(present, arguments.repeat, arguments.jobs, arguments.json)
    doctor = tuple(shlex.split(arguments.doctor)) if arguments.doctor else DOCTOR
    outcomes: list[Outcome] = []

    def hear(outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(row(outcome))

    stopped = False
    try:
        outcomes = asyncio.run(run_all(present, arguments.jobs, hear, arguments.keep, doctor))
        if arguments.ci:
            again = {outcome.case for outcome in outcomes if outcome.mark != OK}
            second = asyncio.run(run_all([case for case in present if case.name in again], 1, hear, None, doctor))
            outcomes = [outcome for outcome in outcomes if outcome.case not in again] + second
    except (asyncio.CancelledError, KeyboardInterrupt):
        stopped = True
        say(f"stopped after {len(outcomes)} of {len(present)} cases")
    say("\n" + summary(outcomes))
    if arguments.figures:
        say("\n" + all_figures(outcomes, _verdicts(arguments.verdicts), arguments.mb))
    if arguments.json:
        arguments.json.write_text(as_json(outcomes))
    if arguments.table:
        arguments.table.write_text(table(outcomes))
    if stopped:
        return 130
    if arguments.ci:
        return 1 if any(outcome.mark in LIES for outcome in outcomes) else 0
    return 0 if all(outcome.mark == OK for outcome in outcomes) else 1


def repeat(cases: list[Case], times: int, jobs: int, file: Path | None) -> int:
    """Run each case `times` times; 0 where each gave one verdict alone. `file` gets the verdicts, counted."""
    seen: dict[str, dict[str, int]] = {}
    for number in range(1, times + 1):
        for outcome in asyncio.run(run_all(cases, jobs, lambda _: None)):
            counts = seen.setdefault(outcome.case, {})
            counts[outcome.verdict] = counts.get(outcome.verdict, 0) + 1
            if len(counts) > 1 and counts[outcome.verdict] == 1:
                say(f"round {number}: {outcome.case} says {outcome.verdict}, too")
        if file is not None:
            file.write_text(json.dumps(seen, indent=1) + "\n")
    for name, counts in seen.items():
        mark = OK if len(counts) == 1 else "DIFFERS"
        say(f"{mark:<11} {name:<38} " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items()))
    say("\n" + "\n".join(repeat_figures(seen)))
    return 1 if any(len(counts) > 1 for counts in seen.values()) else 0


def _verdicts(file: Path | None) -> dict[str, dict[str, int]]:
    return json.loads(file.read_text()) if file is not None else {}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns.split(","))


if __name__ == "__main__":
    sys.exit(main())
