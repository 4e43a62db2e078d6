"""Phone numbers and pressed keys do not stand in what the dashboard shows."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.dashboard.masking import mask, mask_number, mask_text


def test_two_callers_can_still_be_told_apart() -> None:
    """A list of equal rows would be of no use."""
    assert "+1555•••23" == mask_number("+15555550123")
    assert mask_number("+15555550123") != mask_number("+15555550199")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("from +15555550123 to sip:+4930123456@example.com", "from +1555•••23 to sip:+4930•••56@example.com"),
        ("number +1555…0199: active, +49…1234", "number +1555•••99: active, +49•••34"),
        ("1+1=2, +12", "1+1=2, +12"),
        ("id 15555550123", "id 15555550123"),
    ],
)
def test_numbers_inside_a_text(text: str, shown: str) -> None:
    """Only what is written as a phone number is one; ids stay whole, since they are searched for."""
    assert shown == mask_text(text)


def test_a_document_is_masked_whole() -> None:
    """The raw body of a webhook names both parties several times, and the keys that were pressed."""
    body: dict[str, Any] = {"a": [{"from": "+15555550123"}], "digit": "7", "digits": "1234#", "n": 5, "none": None}

    assert {"a": [{"from": "+1555•••23"}], "digit": "•••", "digits": "•••", "n": 5, "none": None} == mask(body)
    assert {"digit": ""} == mask({"digit": ""})
