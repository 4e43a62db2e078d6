"""The doctor's word on the calls of a list: in short, once for each state of a call, and within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from callpath.cli.dashboard import diagnose_call
from callpath.config import Settings
from callpath.dashboard import verdicts
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import Entry, Noted
from tests.dashboard.calls import AT, accepted_call, failed_call, good_call, looking


class Counting:
    """The doctor, and how often it was asked for which call."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._diagnose = partial(diagnose_call, Settings())

    def __call__(self, entries: Sequence[Entry]) -> Diagnosis | None:
        self.asked.append(entries[0].session)
        return self._diagnose(entries)


async def test_a_list_gets_the_word_that_the_call_s_own_page_says(tmp_path: Path) -> None:
    """Two different verdicts for one call would make both worthless."""
    async with looking(tmp_path, door={"diagnose_call": Counting()}) as it:
        await it.take("good", good_call())
        await it.take("failed", failed_call(session="failed"), AT + 1000)
        found = await it.get("/verdicts", sessions="failed,nobody, good,,failed")
        pages = [(await it.get(f"/calls/{one}"))["diagnosis"] for one in ("failed", "good")]
        said = [page | (page["verdict"] or page["undecided"]) | {"decided": page["decided"]} for page in pages]
        names = ("code", "slug", "title", "owner", "decided", "healthy")

        assert ["failed", "good"] == [one["session"] for one in found]
        assert [[one[name] for name in names] for one in said] == [[one[name] for name in names] for one in found]
        assert found[0]["code"] and found[0]["code"] != found[1]["code"]


async def test_an_ended_call_is_judged_anew_only_when_its_timeline_goes_on(tmp_path: Path) -> None:
    """A page of 50 that is looked at again must cost nothing; a late entry may change the verdict."""
    doctor = Counting()
    async with looking(tmp_path, door={"diagnose_call": doctor}) as it:
        await it.take("call", failed_call())
        first = await it.get("/verdicts", sessions="call")
        again = await it.get("/verdicts", sessions="call")
        await it.take("call", [Noted(text="more")], AT + 5000)
        (later,) = await it.get("/verdicts", sessions="call")

        assert first == again
        assert ["call", "call"] == doctor.asked
        assert later["number"] > first[0]["number"]


async def test_a_call_that_goes_on_is_judged_each_time(tmp_path: Path) -> None:
    """What it lacks may only be late: "not yet" must not be kept for ever."""
    doctor = Counting()
    async with looking(tmp_path, door={"diagnose_call": doctor}) as it:
        await it.take("call", accepted_call())
        for _ in range(2):
            await it.get("/verdicts", sessions="call")

        assert ["call", "call"] == doctor.asked


async def test_of_too_many_verdicts_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scrolling through 100,000 calls must not fill the server's memory."""
    monkeypatch.setattr(verdicts, "KEPT_MAX", 1)
    doctor = Counting()
    async with looking(tmp_path, door={"diagnose_call": doctor}) as it:
        await it.take("a", good_call())
        await it.take("b", good_call())
        for session in ("a", "b", "b", "a"):
            await it.get("/verdicts", sessions=session)

        assert ["a", "b", "a"] == doctor.asked


@pytest.mark.parametrize("sessions", ["", " , ", ",".join(map(str, range(51)))])
async def test_none_and_too_many_are_refused(tmp_path: Path, sessions: str) -> None:
    """One question must not judge the whole call log."""
    async with looking(tmp_path) as it:
        answer = await it.http.get("/api/v1/verdicts", params={"sessions": sessions})

        assert (400, "sessions: give 1 to 50 session ids with commas between") == (
            answer.status_code,
            answer.json()["detail"],
        )
