"""The timeline of one call as its process knows it, and its way into the log, on a log whose answers a test holds back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
from callpath.timeline import CallRecovered, Entry, MediaCounted, What
from callpath.wire.ids import SessionId, StreamId

SESSION = SessionId("session-1")
RECOVERED, COUNTED = CallRecovered(fetched=1), MediaCounted(stream_id=StreamId("stream-1"), frames_in=50)


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

    async def append(self, *entries: Entry) -> bool:
        if self.down:
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

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = Log(self.clock)
        self.context = Context(
            app=App(),
            log=self.log,
            control=cast(Any, None),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=self.clock,
            files=Files.inline(),
            log_entries=False,
        )
        self.group = GroupStore(self.context)
        self.woken = 0

    def journal(self, session: SessionId = SESSION) -> Journal:
        return Journal(session, self.context, wake=self._wake, store_soon=self.group.store_soon)

    def _wake(self) -> None:
        self.woken += 1


@asynccontextmanager
async def calls() -> AsyncIterator[Calls]:
    made = Calls()
    async with made.context.tasks.running():
        yield made


async def turns(times: int = 20) -> None:
    """Let every task go as far as it can."""
    for _ in range(times):
        await asyncio.sleep(0)


# --- an answer that gets lost ----------------------------------------------------------------------------------------


async def test_what_is_read_back_before_its_answer_is_lost_is_not_written_again() -> None:
    """The actor reads while the group writes: the entry has a number that is known already, and was looked for only among
    newer ones."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.answers.clear()
        log.lost_answers = 1
        journal.note(COUNTED)
        await turns()
        await journal.read_news()
        log.answers.set()
        await turns()
        await journal.store()

        assert log.whats() == [COUNTED]
        assert not journal.has_pending


async def test_what_the_actor_wrote_and_does_not_know_of_is_not_written_by_the_group() -> None:
    """A counter that asks for the group in the same turn took the entry along a second time."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.lost_answers = 1
        journal.note(RECOVERED)
        await journal.store()
        journal.note(COUNTED)
        await turns()
        woken = made.woken
        await journal.store()

        assert log.whats() == [RECOVERED, COUNTED]
        assert woken, "the group leaves it to the actor, which has to be told"


async def test_an_entry_that_was_not_stored_is_stored_when_the_log_is_back() -> None:
    """One before it, of which only the answer was lost, is not stored again with it."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.lost_answers = 1
        journal.note(RECOVERED)
        await journal.store()
        log.down = True
        journal.note(CallRecovered(fetched=2))
        await journal.store()
        failed = journal.failed
        log.down = False
        await journal.store()

        assert failed and not journal.failed
        assert log.whats() == [RECOVERED, CallRecovered(fetched=2)]
