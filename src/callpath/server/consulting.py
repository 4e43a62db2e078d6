"""The link between the two calls of a consult: each writes what the other has to know into the other's timeline.

What is written bears a key, so that it stands there once, however often it is told. As the process may die before it is
told, or another node has the other call, each also reads the other's timeline: once when it is loaded, and every few
seconds while the consult goes on.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callpath.call.client_state import FirstCall
from callpath.call.consult import (
    ends_for,
    first_call,
    is_joined,
    news_of,
    open_consult,
    over_unix_ms,
    second_session,
)
from callpath.call.session import fold
from callpath.errors import StoreError
from callpath.server.context import Context
from callpath.server.journal import Journal, write_entry
from callpath.timeline import ConsultEnded, ConsultNews, Entry
from callpath.wire.ids import SessionId

logger = structlog.get_logger("callpath")

LOOK_EVERY_MS = 5_000.0
"""How often a call of a consult looks at the other's timeline for what it may not have been told."""

RETRY_MS = 1_000.0
"""When what could not be written or read is tried again."""


class Consulting:
    """One call's links to the other calls of its consults. `wake_other` wakes, or loads, the other call in this process."""

    def __init__(self, journal: Journal, context: Context, wake_other: Callable[[SessionId], None]) -> None:
        self.next_turn_ms: float | None = None
        """When to exchange again without news; None: when there is some."""
        self._journal = journal
        self._context = context
        self._wake_other = wake_other
        self._told: set[str] = set()
        """Keys of what was told."""
        self._looked_ms: float | None = None

    async def exchange(self) -> None:
        """Tell the other call what it has to know, and look for what this one was not told."""
        self.next_turn_ms = None
        session = self._journal.session
        first = first_call(session)
        if (first is None and not session.consults) or self._journal.has_pending:
            return  # what is not stored is not told: this process may die first
        news = news_of(session)
        ends = {command_id: ends_for(session, command_id) for command_id in session.consults}
        try:
            if first is not None:
                await self._tell(first[1].session_id, news)
                if (
                    over_unix_ms(session) is None
                    and not session.ended
                    and self._is_look_due(often=not is_joined(session))
                ):
                    await self._look_at_first(*first)
            for command_id, told in ends.items():
                second = second_session(session, command_id)
                if second is not None:
                    await self._tell(second.call_session_id, told)
            await self._look_at_second()
        except StoreError as error:
            logger.error(
                "The two calls of a consult could not exchange what they know",
                event_name="consult.not_told",
                error=str(error),
                call_session_id=session.session,
            )
            self._looked_ms = None
            self._again_in(RETRY_MS)

    async def _look_at_first(self, command_id: str, first: FirstCall) -> None:
        state = fold(first.session_id, await self._context.log.read(first.session_id))
        await self._learn(ends_for(state, command_id))

    async def _look_at_second(self) -> None:
        session = self._journal.session
        started = open_consult(session)
        second = second_session(session, started.command_id) if started is not None else None
        if second is None or session.ended or not self._is_look_due(often=True):
            return
        state = fold(second.call_session_id, await self._context.log.read(second.call_session_id))
        await self._learn(news_of(state))

    def _is_look_due(self, *, often: bool) -> bool:
        now_ms = self._context.clock.now_ms()
        if self._looked_ms is not None and now_ms < self._looked_ms + LOOK_EVERY_MS:
            if often:
                self._again_in(self._looked_ms + LOOK_EVERY_MS - now_ms)
            return False
        due = often or self._looked_ms is None
        self._looked_ms = now_ms
        if often:
            self._again_in(LOOK_EVERY_MS)
        return due

    def _again_in(self, ms: float) -> None:
        at_ms = self._context.clock.now_ms() + ms
        self.next_turn_ms = at_ms if self.next_turn_ms is None else min(at_ms, self.next_turn_ms)

    async def _tell(self, other: SessionId, whats: list[ConsultNews] | list[ConsultEnded]) -> None:
        news = [what for what in whats if _key(what) not in self._told]
        for what in news:
            await self._write(other, what)
            self._told.add(_key(what))
        if news:
            self._wake_other(other)

    async def _learn(self, whats: list[ConsultNews] | list[ConsultEnded]) -> None:
        """Write down here what the other call would have told."""
        session = self._journal.session
        for what in whats:
            known = session.consult_news if isinstance(what, ConsultNews) else session.consult_ends
            about = (what.command_id, what.news if isinstance(what, ConsultNews) else what.status)
            if about not in known:
                await self._write(session.session, what)
                self._journal.has_news = True
                self._journal.wake()

    async def _write(self, session: SessionId, what: ConsultNews | ConsultEnded) -> None:
        context = self._context
        entry = Entry(session=session, at_unix_ms=context.clock.now_unix_ms(), what=what, key=_key(what))
        await write_entry(context.log, context.metrics, entry, log_it=context.log_entries)


def _key(what: ConsultNews | ConsultEnded) -> str:
    said = what.news if isinstance(what, ConsultNews) else what.status
    return f"consult:{what.command_id}:{said}"
