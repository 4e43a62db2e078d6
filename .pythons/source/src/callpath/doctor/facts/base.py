"""All facts of one examination, by type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class FactMissing(Exception):  # noqa: N818 (not an error: the engine turns it into "not checked")
    """A rule asked for what no probe could get. `fact` is the dataclass."""

    def __init__(self, fact: type) -> None:
        super().__init__(fact.__name__)
        self.fact = fact


class Facts:
    """All facts of one examination, by type."""

    def __init__(self, *facts: object) -> None:
        self._by_type: dict[type, Any] = {type(fact): fact for fact in facts}

    def __getitem__(self, kind: type[T]) -> T:
        fact = self._by_type.get(kind)
        if fact is None:
            raise FactMissing(kind)
        return fact  # type: ignore[no-any-return]

    def __contains__(self, kind: type) -> bool:
        return kind in self._by_type

    def __iter__(self) -> Iterator[object]:
        return iter(self._by_type.values())

    def get(self, kind: type[T]) -> T | None:
        """The fact, or None. For rules that can judge without it."""
        return self._by_type.get(kind)

    def add(self, fact: object) -> None:
        """Keep `fact`, in the place of an older one of its kind."""
        self._by_type[type(fact)] = fact
