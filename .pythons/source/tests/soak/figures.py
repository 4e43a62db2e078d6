"""What is measured, and how it is told."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One line of the report. `limit` is the most that is good, or the least where `at` is "least".

    `is_time`: it is measured and printed; in the short version it decides nothing.
    """

    name: str
    value: float
    limit: float
    at: Literal["most", "least"] = "most"
    is_time: bool = False

    @property
    def ok(self) -> bool:
        return self.value <= self.limit if self.at == "most" else self.value >= self.limit

    def __str__(self) -> str:
        sign = "<=" if self.at == "most" else ">="
        return f"{self.name} {_number(self.value)} {sign}{_number(self.limit)} {'ok' if self.ok else 'FAIL'}"


def at_most(name: str, value: float, limit: float, *, is_time: bool = False) -> Figure:
    return Figure(name, value, limit, "most", is_time)


def at_least(name: str, value: float, limit: float) -> Figure:
    return Figure(name, value, limit, "least")


def none_of(name: str, value: float) -> Figure:
    """Not one may be."""
    return Figure(name, value, 0)


def all_of(name: str, value: float, wanted: float) -> Figure:
    """Every one must be."""
    return Figure(name, value, wanted, "least")


def bad(figures: Sequence[Figure], *, short: bool) -> list[str]:
    """The lines that decide against us."""
    return [str(figure) for figure in figures if not figure.ok and not (short and figure.is_time)]


def percentile(values: Sequence[float], share: float) -> float:
    """0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def memory_kib(pid: int) -> int:
    """What is resident of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def descriptors(pid: int) -> int:
    """How many files and sockets it has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def allow_files(number: int) -> None:
    """Let this process open so many, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def now_s() -> float:
    return time.monotonic()


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.1f}"
