"""Figures by name, and what can be expected of them."""

from __future__ import annotations

import pytest

from callpath.errors import ConfigError
from callpath.simulator.ear import FIGURES as MEASURED
from callpath.simulator.figures import FIGURES, parse_duration_ms, parse_expectation, summaries, summary, together


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("3", 3_000), ("0.5", 500), ("1.5s", 1_500), (7, 7_000)],
)
def test_durations_as_people_write_them(text: object, duration_ms: float) -> None:
    """A number without a unit is seconds, everywhere."""
    assert duration_ms == parse_duration_ms(text)


@pytest.mark.parametrize("text", ["", "soon", "-1s", "10 years", "1e3", True, None])
def test_what_is_no_duration(text: object) -> None:
    """Taken for zero it would hang up at once, and nobody would know why."""
    with pytest.raises(ConfigError, match="--hangup-after"):
        parse_duration_ms(text, "--hangup-after")


@pytest.mark.parametrize(
    ("text", "samples", "holds"),
    [
        ("rtt_ms < 40", [10, 39], True),
        ("rtt_ms < 40", [10, 41], False),
        ("heard_ms > 100", [90, 200], False),
        ("min_rtt_ms < 40", [10, 90], True),
        ("p50_rtt_ms<=20", [10, 20, 90], True),
        ("p99_rtt_ms < 40", [10.0] * 99 + [90.0], True),
        ("p99_rtt_ms < 40", [10.0] * 98 + [90.0] * 2, False),
        ("mean_rtt_ms < 40", [30, 60], False),
        ("failed_calls == 0", [0], True),
        ("holes == 0", [0, 1], False),
        ("rtt_ms < 0.04s", [39], True),
        ("rtt_ms < 40ms", [41], False),
    ],
)
def test_a_figure_by_itself_is_the_worst(text: str, samples: list[float], holds: bool) -> None:
    """A threshold that takes the best sample would pass a call that stutters."""
    expectation = parse_expectation(text, total=True)

    assert holds is expectation.check({expectation.figure: samples})[0]


def test_what_was_not_measured_does_not_hold() -> None:
    """A bot that never answers has no response gap: that must not count as a good one."""
    assert (False, "response_gap_ms < 900: it was not measured") == parse_expectation("response_gap_ms < 900").check({})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("rtt < 40", "Did you mean rtt_ms"),
        ("p99_rtt_ms 40", "Right is, for example"),
        ("rtt_ms < fast", "is no number"),
        ("failed_calls == 0", "failed_calls"),
    ],
)
def test_an_expectation_that_makes_no_sense(text: str, hint: str) -> None:
    """A typing slip must not quietly expect nothing."""
    with pytest.raises(ConfigError, match=hint):
        parse_expectation(text)


def test_the_samples_of_all_calls_are_one() -> None:
    """p99 over calls is that of the samples, not of the calls' p99s."""
    figures = together([{"rtt_ms": [1.0, 2.0]}, {"rtt_ms": [3.0]}, {}])

    assert [1.0, 2.0, 3.0] == figures["rtt_ms"]
    assert {"rtt_ms": {"n": 3, "min": 1.0, "p50": 2.0, "p99": 3.0, "max": 3.0}} == summaries(figures)
    assert 2.0 == summary(figures["rtt_ms"], "mean")


def test_each_thing_that_the_ear_measures_can_be_expected() -> None:
    """Else it could be read, but not be held to."""
    assert set(MEASURED) <= set(FIGURES)
