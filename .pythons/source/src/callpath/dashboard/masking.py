"""Phone numbers and pressed keys, hidden in whatever the dashboard shows."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"\+\d{7,15}(?!\d)|\+\d{1,8}…\d{4}(?!\d)")
"""A number, or one that the doctor has shortened for a terminal, where it shows more of it."""

_DIGIT_KEYS = frozenset({"digit", "digits"})
HIDDEN = "•••"


def mask_number(number: str) -> str:
    """`+15555550123` as `+1555•••23`: enough to tell two callers apart, too little to call one."""
    return f"{number.partition('…')[0][:5]}{HIDDEN}{number[-2:]}"


def mask_text(text: str) -> str:
    """`text` with each phone number in it masked."""
    return _NUMBER.sub(lambda found: mask_number(found.group()), text)


def mask(value: Any) -> Any:
    """A document with every number in it masked, and every pressed key hidden."""
    match value:
        case str():
            return mask_text(value)
        case dict():
            return {
                key: HIDDEN if key in _DIGIT_KEYS and isinstance(item, str) and item else mask(item)
                for key, item in value.items()
            }
        case list():
            return [mask(item) for item in value]
        case _:
            return value
