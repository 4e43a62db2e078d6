"""Lines of logs that belong to a call."""

from __future__ import annotations

from dataclasses import dataclass

from callpath.doctor.facts.edge import EdgeRow


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log that speaks about the process and not about a call. `topic` is what a pattern took it for."""

    at_unix_ms: int | None
    topic: str
    text: str
    number: int = 0
    source: str = ""
    """The instance, pod, dyno or container that wrote it."""


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
    served: tuple[EdgeRow, ...] = ()
    """Requests as the application's own server logged them: what reached it, and what it answered."""

    errors: tuple[ToldError, ...] = ()
    """Exceptions that belong to no call."""

    timeless: bool = False
    """No line has a time: those of the entries were made up, so that they have an order."""


@dataclass(frozen=True, slots=True)
class ToldLine:
    """One line in which the program says something about a call. `because` is the kind of reason that it gives (`auth`,
    `lookup`, `parameters`, `busy`, `raised`, or ""); `closes`: it ends a socket, a stream or the call; `gone`: what it
    misses should have come with the request (a token, a parameter)."""

    at_unix_ms: int
    text: str
    where: str = ""
    level: str = ""
    because: str = ""
    closes: bool = False
    gone: bool = False


@dataclass(frozen=True, slots=True)
class ToldError:
    """An exception in the log. `frames` are the program's own, the innermost last."""

    at_unix_ms: int
    error: str
    frames: tuple[str, ...] = ()
    uncaught: bool = False
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldCall:
    """One call of the same log, as far as calls are compared: when its socket opened and closed, and how."""

    name: str
    from_unix_ms: int
    until_unix_ms: int
    opened_unix_ms: int | None = None
    closed_unix_ms: int | None = None
    close_code: int | None = None
    stopped: bool = False
    """A stop frame or the call's end came before the close."""

    ended_unix_ms: int | None = None
    refused: bool = False
    complete: bool = False
    """Audio went both ways."""

    source: str = ""

    @property
    def age_ms(self) -> int | None:
        """How long its socket lived; None where it did not, or ended as it should."""
        if self.opened_unix_ms is None or self.closed_unix_ms is None or self.stopped:
            return None
        return self.closed_unix_ms - self.opened_unix_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldFacts:
    """What the program itself says of one call in its log, and how its other calls went. `ends_unix_ms` is the last line
    of the logs, `read_at_unix_ms` when they were read."""

    complaints: tuple[ToldLine, ...] = ()
    errors: tuple[ToldError, ...] = ()
    providers: tuple[ToldLine, ...] = ()
    """The program's own connections to an AI or another service that failed."""

    replies: tuple[ToldLine, ...] = ()
    """Commands that stand in the answer to a webhook, where Telnyx reads none."""

    hangups: tuple[ToldLine, ...] = ()
    """The program says that it hangs up, and perhaps why."""

    this: ToldCall
    others: tuple[ToldCall, ...] = ()
    starts_unix_ms: tuple[int, ...] = ()
    """When the process began to listen."""

    machine: str = ""
    """The result of answering machine detection, where a line has it."""

    conversed: bool = False
    """The log shows what the caller said after the program had played something."""

    ends_unix_ms: int | None = None
    read_at_unix_ms: int | None = None
    ours: bool = False
    """callpath itself wrote the lines."""

    guessed_start: bool = False
    """The start of the stream stands in no line: it follows from others."""

    plays: bool = False
    """Telnyx was told to play frames as they come (`stream_bidirectional_mode` rtp)."""
