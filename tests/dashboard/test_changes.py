"""The stream of changes: nothing missed, nothing twice, and an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from callpath.call.overview import CallOverview
from callpath.clock import ManualClock
from callpath.dashboard.changes import KEEP_ALIVE_MS, LATE_MS, LOOK_EVERY_MS, Tell, Telling, watch
from callpath.errors import StoreError
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Noted
from tests.dashboard.calls import entries


class Stopping(ManualClock):
    """A clock on which each wait is over at once, and which says after some of them that the server stops."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.waits = waits

    async def sleep_ms(self, duration_ms: float) -> None:
        self._now_ms += duration_ms
        self.waits -= 1

    def stopped(self) -> bool:
        return self.waits <= 0


def row(overview: CallOverview) -> dict[str, Any]:
    return {"session": overview.session, "entries": overview.entries}


def parsed(text: bytes) -> tuple[str, Any, str | None]:
    """(event, data, id)"""
    fields = dict(line.split(": ", 1) for line in text.decode().strip().splitlines() if line)
    return fields.get("event", ""), json.loads(fields["data"]) if "data" in fields else None, fields.get("id")


async def told(stream: AsyncIterator[bytes]) -> list[tuple[str, Any, str | None]]:
    return [parsed(text) async for text in stream if text.startswith((b"id:", b"event:"))]


async def note(log: MemoryCallLog, session: str) -> None:
    for entry in entries(session, [Noted(text="x")]):
        await log.append(entry)


async def test_a_page_is_told_what_changed_since_it_came() -> None:
    """Each call that changed once, with all its changes."""
    log, clock = MemoryCallLog(), Stopping(2)
    await note(log, "before")
    stream = watch(log, None, clock, clock.stopped, row)
    assert b"retry: 1000\n\n" == await anext(stream)
    hello = parsed(await anext(stream))
    for session in ("a", "b", "a"):
        await note(log, session)
    events = await told(stream)

    assert ("hello", {"number": 1, "login": False}, "1") == hello
    assert [("calls", [{"session": "b", "entries": 1}, {"session": "a", "entries": 2}], "4")] == events


async def test_a_page_that_comes_back_misses_nothing() -> None:
    """It says by the last id where it was."""
    log, clock = MemoryCallLog(), Stopping(1)
    for session in ("a", "b", "c"):
        await note(log, session)
    events = await told(watch(log, 1, clock, clock.stopped, row))

    assert ["hello", "calls"] == [name for name, _, _ in events]
    assert [{"session": "b", "entries": 1}, {"session": "c", "entries": 1}] == events[1][1]


class TwoNodes(MemoryCallLog):
    """Another node's transaction has its numbers, and is committed after ours."""

    shared = True

    def __init__(self) -> None:
        super().__init__()
        self.uncommitted: set[str] = set()

    async def changes(self, after: int, limit: int) -> list[CallOverview]:
        return [one for one in await super().changes(after, limit) if one.session not in self.uncommitted]


async def test_a_row_that_was_committed_late_is_told() -> None:
    """Two nodes write at the same moment: the hang-up with the lower number would never appear in the list."""
    log, clock = TwoNodes(), Stopping(int(3 * LATE_MS / LOOK_EVERY_MS))
    stream = watch(log, None, clock, clock.stopped, row)
    for _ in range(2):
        await anext(stream)
    log.uncommitted = {"theirs"}
    for session in ("theirs", "ours"):
        await note(log, session)
    first = parsed(await anext(stream))
    log.uncommitted = set()
    events = await told(stream)

    assert ("calls", [{"session": "ours", "entries": 1}], "2") == first
    assert [("calls", [{"session": "theirs", "entries": 1}], "2")] == events


async def test_nothing_is_told_twice_by_looking_again() -> None:
    """A page would blink."""
    log, clock = TwoNodes(), Stopping(int(4 * LATE_MS / LOOK_EVERY_MS))
    stream = watch(log, None, clock, clock.stopped, row)
    for _ in range(2):
        await anext(stream)
    for session in ("a", "b"):
        await note(log, session)
    events = await told(stream)

    assert [["a", "b"]] == [[one["session"] for one in data] for _, data, _ in events]


async def test_a_quiet_stream_is_kept_open() -> None:
    """Proxies cut what says nothing for a while."""
    log, clock = MemoryCallLog(), Stopping(int(KEEP_ALIVE_MS / LOOK_EVERY_MS) + 3)
    texts = [text async for text in watch(log, None, clock, clock.stopped, row)]

    assert [b": still here\n\n"] == texts[2:]


async def test_a_log_that_cannot_be_read_ends_it() -> None:
    """With a word; the browser tries again by itself."""

    class Ill(MemoryCallLog):
        async def changes(self, after: int, limit: int) -> list[CallOverview]:
            raise StoreError("the disk is gone")

    class IllAtOnce(MemoryCallLog):
        async def outcomes(self) -> tuple[int, dict[str, int]]:
            raise StoreError("the disk is gone")

    clock = Stopping(5)
    later = await told(watch(Ill(), None, clock, clock.stopped, row))
    at_once = await told(watch(IllAtOnce(), None, clock, clock.stopped, row))

    assert ("trouble", {"detail": "the disk is gone"}, None) == later[-1]
    assert [("trouble", {"detail": "the disk is gone"}, None)] == at_once


async def test_work_ends_when_nobody_reads_it_any_more() -> None:
    """A probe or a replay whose page was closed must not go on for half a minute."""
    ended: list[str] = []
    sent: list[Any] = []
    left = asyncio.Event()

    async def work(tell: Tell) -> None:
        tell("begun", {})
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if b"begun" in message.get("body", b""):
            left.set()

    await Telling(work)({"type": "http"}, receive, send)

    assert ["cancelled"] == ended
    assert ("http.response.start", False) == (sent[0]["type"], sent[-1]["more_body"])


@pytest.mark.parametrize("error", [StoreError("the disk is gone"), ValueError("x"), ExceptionGroup("x", [OSError()])])
async def test_work_that_fails_says_so_in_an_event(error: Exception) -> None:
    """The answer has begun with 200. The page says that the server's log has the reason, and not what it was."""
    sent: list[bytes] = []

    async def work(tell: Tell) -> None:
        tell("step", {})
        raise error

    async def receive() -> dict[str, str]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    with capture_logs() as logs:
        await Telling(work)({"type": "http"}, receive, send)

    assert ["step", "trouble"] == [parsed(text)[0] for text in sent if text]
    assert type(error).__name__ in parsed(sent[2])[1]["detail"]
    assert ["error"] == [line["log_level"] for line in logs]
