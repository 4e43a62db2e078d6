"""One test a case: the doctor must name what is set up, and nothing where nothing is wrong.

The first test starts all that were chosen, several at a time, in a thread of its own; each test then waits for its
case. A case whose software is missing is skipped. `-m "lab and not lab_more"` takes one case a cause.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from _pytest.mark import ParameterSet

from callpath.doctor.rules import RULES
from tests.lab.case import HEALTHY, UNDECIDED, WITHHELD, Case
from tests.lab.cases import ALL, further_cases
from tests.lab.programs import missing
from tests.lab.runner import OK, Outcome, laboratory, row, run_case

JOBS = 8
"""Most of a case is waiting for time limits; two cores carry this many."""

SECONDS_MAX = 900
"""For the last case, which waits for all the others."""

BY_NAME = {case.name: case for case in ALL}


def parameters() -> list[ParameterSet]:
    """All cases; the second and further ones of a cause, healthy ones apart, carry the marker `lab_more` as well."""
    rows = []
    further = further_cases(ALL)
    for case in ALL:
        marks: list[pytest.MarkDecorator] = []
        if lacks := missing(case):
            marks.append(pytest.mark.skip(reason=f"not here: {', '.join(lacks)}"))
        elif case in further:
            marks.append(pytest.mark.lab_more)
        rows.append(pytest.param(case, id=case.name, marks=marks))
    return rows


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Outcome]]]:
    """The outcome to come of each chosen case, by name."""
    chosen: list[Case] = []
    for item in request.session.items:
        call = getattr(item, "callspec", None)
        if call is not None and isinstance(call.params.get("case"), Case) and not item.get_closest_marker("skip"):
            chosen.append(call.params["case"])
    coming: dict[str, Future[Outcome]] = {case.name: Future() for case in chosen}
    thread = threading.Thread(target=lambda: asyncio.run(_run(chosen, coming)), name="lab")
    thread.start()
    yield coming
    for future in coming.values():
        future.cancel()
    thread.join()


async def _run(cases: list[Case], coming: dict[str, Future[Outcome]]) -> None:
    places = asyncio.Semaphore(JOBS)
    async with laboratory() as lab, asyncio.TaskGroup() as tasks:

        async def run(case: Case) -> None:
            future = coming[case.name]
            async with places:
                if not future.set_running_or_notify_cancel():
                    return
                try:
                    future.set_result(await run_case(case, lab))
                except Exception as error:
                    future.set_exception(error)

        for case in cases:
            tasks.create_task(run(case), name=case.name)


@pytest.mark.lab
@pytest.mark.timeout(SECONDS_MAX)
@pytest.mark.parametrize("case", parameters())
def test_verdict(case: Case, outcomes: dict[str, Future[Outcome]]) -> None:
    """A wrong name sends an operator the wrong way at night; a false alarm on a healthy endpoint does too."""
    outcome = outcomes[case.name].result()

    assert outcome.mark == OK, f"{case.why}\n{row(outcome)}"


def test_cases_are_told_apart_by_name() -> None:
    """`--only NAME` and the table would otherwise show one for the other."""
    assert len(ALL) == len(BY_NAME)


def test_no_case_expects_health_and_a_fault() -> None:
    """A case that takes both would pass whatever the doctor says."""
    both = [case.name for case in ALL if HEALTHY in case.expected and case.expected - {HEALTHY}]

    assert [] == both


def test_every_case_can_be_right() -> None:
    """A slug that no rule has, by a slip or since a rule was renamed, would be a fault that can only be missed."""
    known = {rule.slug for rule in RULES} | {HEALTHY, UNDECIDED}
    hopeless = [case.name for case in ALL if not {slug.removeprefix(WITHHELD) for slug in case.expected} & known]

    assert [] == hopeless
