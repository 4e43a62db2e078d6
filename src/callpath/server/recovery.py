"""Recovers calls whose process is gone: those that were up when this one started, and those of a node that died.

Telnyx repeats a webhook for a minute at most, so an outage longer than that loses events for good; its list of call events
still has them. Whatever is missing there is stored like any webhook, Telnyx is asked whether the line is up, and the call
goes on, or is hung up, as CALLPATH_AFTER_RESTART says.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from callpath.call.dials import is_dial
from callpath.call.session import CallSession, fold
from callpath.errors import ControlError, StoreError
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.events import ask_status, fetch_missed
from callpath.server.journal import write_entry
from callpath.store.port import CallLog, CallQuery
from callpath.timeline import CallRecovered, Entry, PolicyActed, What
from callpath.wire.command import Dial
from callpath.wire.ids import CallControlId, SessionId

LIVE_MAX = 5_000
"""Maximum number of calls without an end that a start looks at, those that began last."""

LIVE_MS_MAX = 14_400_000
"""A call of which nothing was heard for so long is over: 4 hours is the longest that Telnyx lets a call last."""

AT_ONCE = 4
"""Maximum number of calls recovered at a time, those of a start and of dead nodes together: Telnyx limits requests, and
new calls go first."""

WAITING_MAX = 10_000
"""Maximum number of calls that wait for it. A scan finds the others again."""

RETRY_MS = 2_000
"""Pause after a call could not be read from the log, or written to it."""

RESTART = "restart"
"""The policy, as timelines name it."""

logger = structlog.get_logger("callpath")


class Recovery:
    """The calls to recover, each once at a time. `run` does the work."""

    def __init__(self, context: Context, then: Literal["resume", "hangup"]) -> None:
        self._log, self._clock = context.log, context.clock
        self._then = then
        self._waiting: asyncio.Queue[SessionId] = asyncio.Queue(WAITING_MAX)
        self._known: set[SessionId] = set()
        """Those that wait or are being recovered."""

    def add(self, session: SessionId) -> None:
        """Recover the call when its turn comes, unless a living node has it by then."""
        if session not in self._known and not self._waiting.full():
            self._known.add(session)
            self._waiting.put_nowait(session)

    async def run(self, calls: Calls) -> None:
        """Recover calls for ever, beginning with those that were up when this process started."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._work(calls), name="recover calls")
            tasks.create_task(self._add_unfinished(), name="find calls to recover")

    async def _add_unfinished(self) -> None:
        while (found := await self._unfinished()) is None:
            await self._clock.sleep_ms(RETRY_MS)
        if found:
            logger.warning(
                f"{len(found)} calls in the log are not over: those without a process are recovered",
                event_name="recovery.found",
            )
        for session in found:
            self.add(session)

    async def _unfinished(self) -> list[SessionId] | None:
        """Calls that were up before this process; None where the log cannot be read now."""
        now = self._clock.now_unix_ms()
        try:
            return [
                call.session
                for call in await self._log.overviews(CallQuery(limit=LIVE_MAX, outcome="live"))
                if call.first_unix_ms < now
                and call.last_unix_ms > now - LIVE_MS_MAX
                and await _seems_live(self._log, call.session)
            ]
        except StoreError as error:
            logger.error("Calls not recovered yet", event_name="recovery.failed", error=str(error))
            return None

    async def _work(self, calls: Calls) -> None:
        while True:
            session = await self._waiting.get()
            try:
                await recover_call(calls, session, self._then)
            except StoreError as error:
                # The lease may be ours by now, so that nobody else would try.
                logger.error(
                    "Call not recovered yet", event_name="recovery.failed", error=str(error), call_session_id=session
                )
                await self._clock.sleep_ms(RETRY_MS)
                self._known.discard(session)
                self.add(session)
            except Exception as error:
                logger.exception(
                    "Call not recovered", event_name="recovery.failed", error=str(error), call_session_id=session
                )
                self._known.discard(session)
            else:
                self._known.discard(session)


async def _seems_live(log: CallLog, session: SessionId) -> bool:
    if is_dial(session):
        return True
    state = fold(session, await log.read(session))
    return _line_of(state) is not None and not state.ended


def _line_of(state: CallSession) -> CallControlId | None:
    """What to ask Telnyx about. Of a call that we dialled, its answer named it before any event came."""
    if state.leg is not None:
        return state.leg.call_control_id
    dialled = (one for one in state.answers.values() if one.command == Dial.NAME and one.accepted)
    return next((one.call_control_id for one in dialled), None)


async def recover_call(calls: Calls, session: SessionId, then: Literal["resume", "hangup"]) -> None:
    """Recover one call, unless a living node has it, or it only rings and no new call can be taken here.

    Raises StoreError.
    """
    context = calls.context
    if is_dial(session):
        if calls.dials is not None:
            await calls.dials.recover(session, resend=then == "resume")
        return
    if context.log.shared and calls.capacity.refusing() is not None:
        state = fold(session, await context.log.read(session))
        if not state.commands:
            return
    if await context.leases.claim_orphan(session):
        await _recover(calls, session, then)


async def _recover(calls: Calls, session: SessionId, then: Literal["resume", "hangup"]) -> None:
    context, fetched, detail = calls.context, 0, ""
    try:
        fetched = await fetch_missed(context, session)
    except ControlError as error:
        detail = f"events that were missed could not be fetched: {error.detail or error}"
    state = fold(session, await context.log.read(session))
    line = _line_of(state)
    if line is not None and not state.ended:
        checked = await ask_status(context, line)
        found: list[What] = [checked]
        if checked.alive is not False:
            rings = "" if state.commands else "it only rang, and no node had taken it"
            found.append(CallRecovered(fetched=fetched, detail=detail or rings))
            if then == "hangup" and state.commands:
                number = 1 + sum(1 for policy, _ in state.acted if policy == RESTART)
                found.append(PolicyActed(policy=RESTART, number=number, step="hangup"))
        for what in found:
            await write_entry(
                context.log,
                context.metrics,
                Entry(
                    session=session,
                    at_unix_ms=context.clock.now_unix_ms(),
                    what=what,
                    leg=state.leg.leg_id if state.leg is not None else None,
                    call_control_id=state.leg.call_control_id if state.leg is not None else None,
                ),
            )
    # Only now, with the whole picture, does the call act.
    call = calls.load(session)
    call.ownership.recovered()
    call.wake()
