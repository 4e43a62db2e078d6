"""Aims in lines: what is measured, and that a miss is seen."""

from __future__ import annotations

from pathlib import Path

from tests.lab.case import HEALTHY
from tests.lab.cases import ALL, is_timed
from tests.lab.figures import (
    all_figures,
    corpus_figures,
    field_figures,
    figure,
    lab_figures,
    read_outcomes,
    repeat_figures,
)
from tests.lab.runner import OK, WRONG, Outcome, as_json

TRAFFIC = {"requests": 5, "requests_max": 12}
OUTCOMES = [
    Outcome("healthy-x", (HEALTHY,), HEALTHY, OK, 2.0, {"duration_ms": 1900, "traffic": TRAFFIC, "steps": []}),
    Outcome("tls-x", ("tls-expired",), "dns-nxdomain", WRONG, 1.0, {"duration_ms": 31_000, "steps": []}),
]


def test_a_figure_says_whether_its_aim_is_met() -> None:
    assert "right 97.5 >=98 FAIL" == figure("right", 97.5, 98, at_least=True)
    assert "wrong 0 <=0 ok" == figure("wrong", 0, 0)


def test_the_labs_aims_are_counted(tmp_path: Path) -> None:
    """From the outcomes of a run, or from the file that it wrote."""
    file = tmp_path / "outcomes.json"
    file.write_text(as_json(OUTCOMES))
    lines = lab_figures(read_outcomes(file))

    assert lab_figures(OUTCOMES) == lines
    assert "lab_right_percent 50 >=98 FAIL" in lines
    assert "lab_wrong_percent 50 <=0.5 FAIL" in lines
    assert "healthy_requests_max 5 <=12 ok" in lines
    assert "healthy_seconds_median 1.9 <=3 ok" in lines
    assert "seconds_max 31 <=30 FAIL" in lines


def test_the_incidents_and_the_field_meet_theirs() -> None:
    """What needs no server is measured each time."""
    assert [] == [line for line in (*corpus_figures(), *field_figures()) if not line.endswith(" ok")]


def test_a_case_with_two_verdicts_is_seen() -> None:
    assert ["repeats_min 20 >=20 ok", "cases_with_more_than_one_verdict 1 <=0 FAIL"] == repeat_figures(
        {"one": {"a": 20}, "two": {"a": 19, "b": 1}}
    )


def test_what_was_not_measured_is_no_success() -> None:
    lines = all_figures([], {}, 0).splitlines()

    assert 2 == len([line for line in lines if " not run" in line and line.endswith("FAIL")])


def test_cases_that_hang_on_time() -> None:
    """Limits, races of a close with an answer, rates; not the names of certificates."""
    timed = {case.name for case in ALL if is_timed(case)}

    assert {"pace-burst", "ends-after-101", "idle-nginx", "unseen-cut-once", "healthy-slow-accept"} <= timed
    assert not {"tls-expired", "url-localhost", "healthy-nginx"} & timed
