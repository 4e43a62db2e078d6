"""What the doctor saw once is judged as it was right, by every version to come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callpath.doctor.evidence import judge_again
from callpath.doctor.rules import known
from callpath.doctor.verdict import Diagnosis
from tests.doctor.incidents.add import incident

FILES = sorted((Path(__file__).parent / "incidents").glob("*.json"))
INCIDENTS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in FILES}


def named(diagnosis: Diagnosis) -> str:
    """The slug of the verdict, with a "?" where it is not proven, `healthy` where nothing at all is found, else
    `undecided`."""
    if diagnosis.verdict is not None and diagnosis.verdict.finding.kind in {"fault", "outcome", "limited"}:
        return diagnosis.verdict.rule.slug + ("" if diagnosis.decided else "?")
    if diagnosis.healthy and not diagnosis.findings:
        return "healthy"
    return "undecided"


def answers_to(told: dict[str, Any]) -> set[str]:
    """What this version says of an incident: the word alone, and with the cause of which it is said."""
    diagnosis = judge_again(json.dumps(told))
    word = named(diagnosis)
    return {word, f"{word}:{diagnosis.verdict.rule.slug if diagnosis.verdict is not None else ''}"}


@pytest.mark.parametrize("name", INCIDENTS)
def test_each_is_judged_rightly(name: str) -> None:
    """One of these judged otherwise is somebody accused of what was not."""
    told = INCIDENTS[name]

    assert answers_to(told) & set(told["answers"]), told["about"]


def test_there_are_enough_and_healthy_ones_among_them() -> None:
    """Faults alone would teach a doctor to find one in everybody."""
    healthy = [name for name, told in INCIDENTS.items() if told["answers"] == ["healthy"]]

    assert len(INCIDENTS) >= 80
    assert len(healthy) >= 30


@pytest.mark.parametrize("name", INCIDENTS)
def test_each_says_what_it_is_and_names_causes_that_exist(name: str) -> None:
    """A misspelt answer could never be given."""
    told = INCIDENTS[name]

    assert told["about"]
    assert told["source"]
    for answer in told["answers"]:
        word, _, of_what = answer.partition(":")
        assert word in {"healthy", "undecided"} or known(word.rstrip("?"))
        assert not of_what or known(of_what)


def test_a_report_becomes_an_incident() -> None:
    """What a user sends is kept without the verdict that was wrong."""
    report = {"diagnosis": {"kind": "url", "facts": {}, "steps": [], "url": "wss://x/", "verdict": {"slug": "wrong"}}}
    kept = incident(report, about="a", source="b", date="2026-11-30", answers=["healthy"])

    assert {"about", "source", "date", "answers", "kind", "url", "steps", "facts"} == set(kept)
