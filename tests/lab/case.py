"""What a case is: a cause, set up for real, and the name that the doctor must give it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.bench import Bench

HEALTHY = "healthy"
"""Expected of an endpoint with nothing wrong: any finding is a false alarm."""

UNDECIDED = "undecided"
"""Also right where look-alikes cannot be told apart from outside: a verdict is withheld rather than guessed."""

WITHHELD = "withheld:"
"""Before a slug: no verdict may be given, and the report must say why under that working name."""

Start = Callable[["Bench"], Awaitable["Target"]]


@dataclass(frozen=True, slots=True)
class Target:
    """What the doctor is given: a URL and options. `enter` runs it inside a case's own network."""

    url: str
    options: tuple[str, ...] = ()
    enter: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One cause. `expected` holds every slug that names it rightly, HEALTHY, or UNDECIDED; `needs` names programs."""

    name: str
    expected: frozenset[str]
    why: str
    start: Start
    needs: frozenset[str]


def expect(*slugs: str) -> frozenset[str]:
    return frozenset(slugs)


class Cases(list[Case]):
    """A module's cases, added by decorating the function that starts each; `_` in its name becomes `-`."""

    def case(self, *slugs: str, why: str, needs: str = "") -> Callable[[Start], Start]:
        """Add the decorated `async def start(bench) -> Target`. `needs` holds program names, spaces between."""

        def add(start: Start) -> Start:
            self.add(start.__name__.replace("_", "-"), *slugs, why=why, needs=needs, start=start)
            return start

        return add

    def add(self, name: str, *slugs: str, why: str, start: Start, needs: str = "") -> None:
        assert slugs, f"{name} expects nothing"
        self.append(Case(name, expect(*slugs), why, start, frozenset(needs.split())))
