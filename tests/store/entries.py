"""Entries of every kind, for tests to draw from."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from callpath.timeline import KINDS, Entry, Unknown, What
from callpath.wire.ids import CallControlId, LegId, SessionId

SESSION = SessionId("428c31b6-7af4-4bcb-b7f5-5013ef9657c1")
AT = 1_767_323_045_000

_TAGS = {str(kind.__struct_config__.tag) for kind in KINDS}

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
documents = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


def unnamed(document: dict[str, Any]) -> bool:
    """Whether `document` is of a kind that this version has no name for."""
    kind = document.get("kind")
    return not isinstance(kind, str) or kind not in _TAGS


def of_kind(kind: type[What]) -> st.SearchStrategy[What]:
    """Any entry of `kind`, all its fields drawn."""
    if kind is Unknown:
        return st.builds(Unknown, stored=documents.filter(unnamed))
    return st.builds(kind, **{field.name: _value(field.type) for field in msgspec.structs.fields(kind)})


def _value(kind: Any) -> st.SearchStrategy[Any]:
    if kind == float | None:
        return st.none() | st.floats(allow_nan=False, allow_infinity=False)
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind == dict[str, Any]:
        return documents
    return st.from_type(kind)


anything = st.one_of([of_kind(kind) for kind in KINDS])
"""An entry of whichever kind."""


def entry(
    what: What,
    session: str = SESSION,
    *,
    at: int = AT,
    key: str | None = None,
    leg: str | None = None,
    call_control_id: str | None = None,
) -> Entry:
    """An entry as the server would append it."""
    return Entry(
        session=SessionId(session),
        at_unix_ms=at,
        what=what,
        key=key,
        leg=LegId(leg) if leg is not None else None,
        call_control_id=CallControlId(call_control_id) if call_control_id is not None else None,
    )


def unnumbered(entries: list[Entry]) -> list[Entry]:
    """The entries as they were before a store numbered them."""
    return [msgspec.structs.replace(entry, number=0) for entry in entries]
