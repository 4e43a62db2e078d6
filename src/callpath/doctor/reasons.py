"""Why a call's own program ended something, in its own words. Pure; for rules about calls that logs tell of.

The words prove little alone: a rule names a cause only where they stand at the moment at which the call stopped.
"""

from __future__ import annotations

from dataclasses import dataclass

from callpath.doctor.calls import NEAR_END_MS, ended_unix_ms, every, first
from callpath.doctor.facts import CallFacts, Facts, ToldError, ToldFacts, ToldLine
from callpath.timeline import (
    Entry,
    FirstOutbound,
    HandlerFailed,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamStopped,
)

BEFORE_MS = 2_000
AFTER_MS = 700
"""How far from the close the sentence that gives its reason may stand."""

AT_ONCE_MS = 3_000
"""A socket that lived no longer was closed for what came with the request."""

OWN_CODES = range(4000, 5000)
"""Codes that a program makes up: Telnyx is not known to send one."""

REFUSING_CODES = {1003, 1007, 1008, 1009, 1013}
"""Codes with which a server refuses what it was sent."""


@dataclass(frozen=True, slots=True)
class Closing:
    """The program closed or refused the call's socket. `line` is its own reason; None where it gave only a code."""

    entry: Entry
    line: ToldLine | None
    at_once: bool


def closed_by_program(facts: Facts) -> Closing | None:
    """The close of this call's socket that the program itself made while the call was on; None where there was none, or
    where nothing shows that it was the program. Raises FactMissing without ToldFacts."""
    known, told = facts[CallFacts], facts[ToldFacts]
    if every(known, HandlerFailed):
        return None  # the exception is the reason
    opened = first(known, SocketReceived)
    ended = ended_unix_ms(known)
    for entry in every(known, SocketClosed, SocketRejected):
        what = entry.what
        if ended is not None and entry.at_unix_ms >= ended - NEAR_END_MS:
            return None
        if any(stop.at_unix_ms <= entry.at_unix_ms for stop in every(known, StreamStopped)):
            return None
        if isinstance(what, SocketClosed) and opened is None:
            continue
        since = opened.at_unix_ms if opened is not None else entry.at_unix_ms
        near = [
            line
            for line in told.complaints
            if max(since - BEFORE_MS, entry.at_unix_ms - BEFORE_MS) <= line.at_unix_ms <= entry.at_unix_ms + AFTER_MS
            and (line.closes or line.because in {"auth", "lookup", "parameters", "busy"})
        ]
        line = next((one for one in near if one.closes and one.because), near[-1] if near else None)
        own_code = isinstance(what, SocketClosed) and (
            what.code in OWN_CODES or what.code in REFUSING_CODES or what.by == "us"
        )
        if line is None and not own_code:
            return None
        talked = any(out.at_unix_ms <= entry.at_unix_ms for out in every(known, FirstOutbound))
        return Closing(entry, line, entry.at_unix_ms - since <= AT_ONCE_MS and not talked)
    return None


def show_line(line: ToldLine) -> str:
    """The program's sentence as evidence, with its place in the file."""
    return f"the program says ({line.where}): {line.text}"


def show_error(error: ToldError) -> str:
    """An exception as evidence: where it stands, what it says, and the program's own innermost frame."""
    return f"the program says ({error.where}): {error.error}" + (f" in {error.frames[-1]}" if error.frames else "")


def last_words(facts: Facts, from_ms: int, until_ms: int) -> tuple[str, ...]:
    """What the program complained of in this time, as evidence; nothing without a log."""
    told = facts.get(ToldFacts)
    if told is None:
        return ()
    lines = [show_line(line) for line in told.complaints if from_ms <= line.at_unix_ms <= until_ms]
    lines += [show_error(error) for error in told.errors if from_ms <= error.at_unix_ms <= until_ms]
    return tuple(lines[:4])
