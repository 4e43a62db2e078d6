"""The time in a line, and the platform's stamp on it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.doctor.logs.times import LEADING, WHOLE, Clockwork, Stamp, leading_time, read_time

AT = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("2026-01-02T03:04:05.678Z text", "text"),
        ("[2026-01-02T03:04:05.678901234Z] text", "text"),
        ("2026-01-02 03:04:05,678 - voice - INFO - text", "voice - INFO - text"),
        ("2026-01-02T05:04:05.678+02:00 text", "text"),
        ("2026-01-02 03:04:05.678 | INFO | text", "INFO | text"),
        ("2026/01/02 03:04:05.678 text", "text"),
        ("1767323045.678 text", "text"),
        ("1767323045678 text", "text"),
    ],
)
def test_times_at_the_head(text: str, rest: str) -> None:
    """Each is the form of some logger that bots use."""
    found = leading_time(text)

    assert found is not None
    assert (AT, rest) == (found[0].unix_ms, found[1])


def test_whole_seconds_and_times_of_day() -> None:
    """Access logs know seconds only; a time without a date is one of a day that nobody names."""
    access, clock, evening = (
        leading_time("02/Jan/2026:03:04:05 +0000"),
        leading_time("03:04:05 text"),
        leading_time("9:99 x"),
    )

    assert access is not None and AT - 678 == access[0].unix_ms
    assert clock is not None and not clock[0].dated
    assert evening is None
    assert leading_time("1/2/2026, 3:04:05 PM text") is not None
    assert leading_time("Jan  2 03:04:05 host") is not None


@pytest.mark.parametrize(
    "value", ["2026-01-02T03:04:05.678Z", 1_767_323_045_678, 1_767_323_045.678, "1767323045678000000"]
)
def test_times_that_stand_alone(value: object) -> None:
    """Loggers write ISO, seconds, ms or ns."""
    found = read_time(value)

    assert found is not None and AT == found.unix_ms


@pytest.mark.parametrize("value", [None, True, "", "soon", -1, 12, float("inf"), float("nan"), "9" * 30, {}])
def test_what_is_no_time(value: object) -> None:
    """A field named `time` may hold anything."""
    assert read_time(value) is None


def test_the_time_in_the_line_wins_and_the_skew_is_told() -> None:
    """Railway took this line in 7.7 s after it was written: by its stamp the call would have waited for nothing."""
    clock = Clockwork()

    assert AT == clock.at(Stamp(AT), Stamp(AT + 7_700))
    assert (1, 7_700) == (clock.late, clock.skew_ms_max)


def test_lines_between_take_their_place_by_the_stamps() -> None:
    """Lines of one delivery keep their distance to the last line that told its own time."""
    clock = Clockwork()
    clock.at(Stamp(AT), Stamp(AT + 7_700))

    assert AT + 3 == clock.at(None, Stamp(AT + 7_703))
    assert AT + 60_000 == clock.at(None, Stamp(AT + 60_000))


def test_a_time_that_cannot_be_true_gives_way() -> None:
    """A date that the line speaks of is not when it was written."""
    assert AT == Clockwork().at(Stamp(AT - 86_400_000), Stamp(AT))


def test_local_time_is_set_right_by_the_stamp() -> None:
    """Python's logging writes local time without a zone."""
    assert AT - 120 == Clockwork().at(Stamp(AT - 120 + 3_600_000, zoned=False), Stamp(AT))


def test_a_clock_past_midnight() -> None:
    """Times without a date go on over midnight."""
    clock = Clockwork()
    before, after = clock.at(Stamp(86_399_000, dated=False), None), clock.at(Stamp(1_000, dated=False), None)

    assert before is not None and after is not None
    assert 2_000 == after - before


def test_a_number_of_hundreds_of_digits_is_no_time() -> None:
    """JSON knows no largest number; one of these must not end the reading of a whole log. (Found by tests/soak.)"""
    assert read_time(10**400) is None


@pytest.mark.parametrize("pattern", [LEADING, WHOLE])
@given(data=st.data())
def test_whatever_looks_like_a_time_is_read_or_is_none(pattern: re.Pattern[str], data: st.DataObject) -> None:
    """A date without a time of day ended the reading of a whole log. (Found by tests/soak.)"""
    text = data.draw(st.from_regex(pattern))
    found = leading_time(text)

    assert found is None or text.endswith(found[1])
    assert isinstance(read_time(text), Stamp | None)
