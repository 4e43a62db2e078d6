"""One gather in literal presses, with the documented defaults."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.simulator.gather import Gathering
from callpath.wire.command import Gather, GatherUsingSpeak


def gathering(**fields: Any) -> Gathering:
    """A gather that listens from 0 on."""
    one = Gathering(Gather(**fields), "g")
    one.listen(0)
    return one


def test_the_defaults_are_the_documented_ones() -> None:
    """5 s for the first key, 5 s between keys, 60 s in all, ended by #."""
    one = gathering()

    assert 5_000 == one.due_at_ms
    assert [None] * 12 == [one.press("1", 4_900 * number) for number in range(12)]
    assert 53_900 + 5_000 == one.due_at_ms
    assert one.press("1", 58_000) is None
    assert 60_000 == one.due_at_ms
    assert "valid" == one.press("#", 59_000)
    assert "1" * 13 == one.digits


@pytest.mark.parametrize(
    ("fields", "keys", "result", "digits"),
    [
        ({"maximum_digits": 3}, "123", "valid", "123"),
        ({"minimum_digits": 3}, "12#", "invalid", "12"),
        ({"valid_digits": "12"}, "13#", "invalid", "13"),
        ({"terminating_digit": "*"}, "1#*", "valid", "1#"),
        ({"terminating_digit": "", "maximum_digits": 2}, "1#", "valid", "1#"),
        ({}, "#", "invalid", ""),
    ],
)
def test_how_keys_end_it(fields: dict[str, Any], keys: str, result: str, digits: str) -> None:
    """Menus hang on these; the terminating key is never among the digits."""
    one = gathering(**fields)
    results = [one.press(key, 100) for key in keys]

    assert [None] * (len(keys) - 1) + [result] == results
    assert digits == one.digits


@pytest.mark.parametrize(("keys", "result"), [("", "timeout"), ("1", "invalid"), ("12", "valid")])
def test_how_time_ends_it(keys: str, result: str) -> None:
    """Nothing at all is a time-out; something is judged."""
    one = gathering(minimum_digits=2)
    for key in keys:
        one.press(key, 10)

    assert result == one.expire()


def test_a_prompted_gather_asks_three_times() -> None:
    """Documented default of maximum_tries; each time begins with no digits."""
    one = Gathering(GatherUsingSpeak(payload="x", voice="female"), "g")
    assert one.due_at_ms is None
    one.listen(100)
    assert 60_100 == one.due_at_ms
    one.press("7", 200)

    assert [True, True, False] == [one.asks_again("invalid") for _ in range(3)]
    assert "" == one.digits
    assert not one.asks_again("valid")


def test_a_plain_gather_asks_once() -> None:
    """It has no prompt to repeat."""
    assert not gathering().asks_again("timeout")
