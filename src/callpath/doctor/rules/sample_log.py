"""Calls as a foreign program's log tells them, as short literals for the examples of rules about logs."""

from __future__ import annotations

from typing import Any

from callpath.doctor.facts import Facts, LogFacts, LogLine, ToldCall, ToldError, ToldFacts, ToldLine
from callpath.doctor.rules.sample_call import BEGIN_UNIX_MS, SESSION, Timed, call

HOUR_MS = 3_600_000


def at(ms: int) -> int:
    return BEGIN_UNIX_MS + ms


def line(ms: int, text: str, **more: Any) -> ToldLine:
    """A sentence of the program's, at `ms` of the call."""
    return ToldLine(at(ms), text, "bot.log:7", **more)


def another(name: str, from_ms: int, *, opened_ms: int, closed_ms: int, close_code: int | None = 1006) -> ToldCall:
    """Another call of the same log, whose socket broke; times are of this call's clock."""
    return ToldCall(
        name=name,
        from_unix_ms=at(from_ms),
        until_unix_ms=at(closed_ms),
        opened_unix_ms=at(opened_ms),
        closed_unix_ms=at(closed_ms),
        close_code=close_code,
    )


def another_call(name: str, from_ms: int, *, complete: bool) -> ToldCall:
    """Another call of the same log, which had audio both ways or had not."""
    return ToldCall(name=name, from_unix_ms=at(from_ms), until_unix_ms=at(from_ms + 10_000), complete=complete)


def told_call(
    *happened: Timed | list[Timed],
    complaints: tuple[ToldLine, ...] = (),
    errors: tuple[ToldError, ...] = (),
    providers: tuple[ToldLine, ...] = (),
    replies: tuple[ToldLine, ...] = (),
    hangups: tuple[ToldLine, ...] = (),
    this: ToldCall | None = None,
    others: tuple[ToldCall, ...] = (),
    process: tuple[tuple[int, str, str], ...] = (),
    conversed: bool = False,
    machine: str = "",
    starts: tuple[int, ...] = (),
    read_ms: int = HOUR_MS,
    looked_ms: int = 60_000,
) -> Facts:
    """A call in which this happened, and what else its log says. `process` holds (ms, topic, text)."""
    known = call(*happened, source="logs", looked_ms=looked_ms)
    return Facts(
        known,
        ToldFacts(
            complaints=complaints, errors=errors, providers=providers, replies=replies, hangups=hangups,
            this=this or ToldCall(name=str(SESSION), from_unix_ms=at(0), until_unix_ms=at(looked_ms)),
            others=others, conversed=conversed, machine=machine, starts_unix_ms=tuple(at(ms) for ms in starts),
            ends_unix_ms=at(looked_ms), read_at_unix_ms=at(read_ms),
        ),
        LogFacts(
            formats=("text",), lines=100, from_unix_ms=at(0), until_unix_ms=at(looked_ms),
            process=tuple(LogLine(at(ms), topic, text, 7) for ms, topic, text in process),
        ),
    )  # fmt: skip
