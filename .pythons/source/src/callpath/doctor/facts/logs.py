"""Lines of logs that belong to a call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log that speaks about the process and not about a call. `topic` is what a pattern took it for."""

    at_unix_ms: int | None
    topic: str
    text: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFacts:
    """What else the logs say: where they begin and end, what was dropped, and the lines about the process (`listening`,
    `crash`, `out of memory`, `restart`, `stopping`, …)."""

    formats: tuple[str, ...]
    lines: int
    from_unix_ms: int | None = None
    until_unix_ms: int | None = None
    dropped: bool = False
    process: tuple[LogLine, ...] = ()
