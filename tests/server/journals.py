"""Journals of calls on a log whose answers a test holds back, with nothing around them that acts by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from callpath.api.app import App
from callpath.api.files import Files
from callpath.call.plan import StreamPlan
from callpath.clock import ManualClock
from callpath.errors import StoreError
from callpath.server.context import Context
from callpath.server.journal import GroupStore, Journal
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Entry, What
from callpath.wire.ids import SessionId

SESSION = SessionId("session-1")


class Log(MemoryCallLog):
    """A log whose writes can be held back, refused, and lose their answer."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.down = False
        """Nothing can be written."""
        self.lost_answers = 0
        """How many of the next writes are carried out and look failed."""
        self.answers = asyncio.Event()
        """Cleared: whoever writes waits for the answer, while others read what was written."""
        self.answers.set()
        self.writes: list[list[str]] = []
        self.refused: list[What] = []
        """What cannot be written."""
        self.reads: list[int] = []
        """After which number each read asked."""

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        if self.down:
            raise StoreError("the log is down")
        self.reads.append(after)
        return await super().read(session, after)

    async def append(self, *entries: Entry) -> bool:
        if self.down or any(entry.what in self.refused for entry in entries):
            raise StoreError("the log is down")
        self.writes.append([type(entry.what).__name__ for entry in entries])
        new = await super().append(*entries)
        await self.answers.wait()
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreError("the connection broke after the commit")
        return new

    def whats(self, session: SessionId = SESSION) -> list[What]:
        return [entry.what for entry in self._timelines.get(session, [])]


class Calls:
    """Journals on one log. Nothing wakes by itself: `woken` counts how often an actor would have been."""

    def __init__(self, control: object) -> None:
        self.clock = ManualClock()
        self.log = Log(self.clock)
        self.context = Context(
            app=App(),
            log=self.log,
            control=cast(Any, control),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=self.clock,
            files=Files.inline(),
            log_entries=False,
        )
        self.group = GroupStore(self.context)
        self.woken = 0

    def journal(self, session: SessionId = SESSION, timeline: Sequence[Entry] = ()) -> Journal:
        return Journal(session, self.context, wake=self._wake, store_soon=self.group.store_soon, timeline=timeline)

    def _wake(self) -> None:
        self.woken += 1


@asynccontextmanager
async def calls(control: object = None) -> AsyncIterator[Calls]:
    """`control` takes the place of Call Control."""
    made = Calls(control)
    async with made.context.tasks.running():
        yield made


async def turns(times: int = 20) -> None:
    """Let every task go as far as it can."""
    for _ in range(times):
        await asyncio.sleep(0)
