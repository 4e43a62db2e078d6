"""JSON of other programs: read leniently, and never into what cannot be written again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.wire.document import decode_foreign


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'"cut off \ud83d"', "cut off \ufffd"),
        (r'"\ude00 the other half"', "\ufffd the other half"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (r'"\uD83D\uDE00 whole"', "😀 whole"),
    ],
)
def test_half_a_character_is_replaced(text: str, found: str) -> None:
    """A logger that cuts at 1,000 UTF-16 units writes such. No file and no terminal takes it. (Found by tests/soak.)"""
    assert found == decode_foreign(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_everything_else_is_read_as_it_is(value: object) -> None:
    """Whether characters are written out or as escapes."""
    assert value == decode_foreign(json.dumps(value)) == decode_foreign(json.dumps(value, ensure_ascii=False))


@given(st.text(alphabet='\\ud83de0"0', max_size=30))
def test_whatever_is_read_can_be_written(text: str) -> None:
    """Escapes of every kind beside each other."""
    try:
        found = decode_foreign(f'"{text}"')
    except ValueError:
        return

    assert found.encode().decode() == found


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_what_is_nested_too_deep_is_no_json(text: str) -> None:
    """An answer of a stranger must not end the program that reads it."""
    with pytest.raises(ValueError, match=r"nested too deep|Expecting|line 1"):
        decode_foreign(text)
