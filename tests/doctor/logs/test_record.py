"""Values out of documents."""

from __future__ import annotations

import pytest

from callpath.doctor.logs.record import decoded, number_of, text_of


def test_only_objects_are_documents() -> None:
    """A line may begin with a brace and be no JSON; NaN is JSON to half of all loggers."""
    assert {"a": 1} == decoded('{"a": 1}')
    assert decoded('{"a": NaN}') is not None
    assert decoded("[1]") is None and decoded("{not json}") is None


@pytest.mark.parametrize(
    ("value", "number"), [("12ms", 12.0), ("0.3s", 0.3), (5, 5.0), ("x", None), (True, None), (1e20, None)]
)
def test_numbers_with_their_units(value: object, number: float | None) -> None:
    """Edges write durations as text."""
    assert number == number_of(value)


def test_the_first_key_that_is_there() -> None:
    """Loggers name the same thing differently; a nested object is no text."""
    assert "b" == text_of({"x": {"y": 1}, "b": "b"}, "a", "x", "b")
    assert "" == text_of({}, "a")
