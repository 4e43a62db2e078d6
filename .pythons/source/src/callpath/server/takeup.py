"""After a start: what became of the calls that were up when the last process stopped?

Telnyx repeats a webhook for a minute at most, so an outage longer than that loses events for good; its list of call events
has them still. Whatever is missing there is stored like any webhook, Telnyx is asked whether the line is up, and the call
goes on, or is hung up, as the owner wants.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import structlog

from callpath.call.session import fold
from callpath.errors import ControlError, RemoteProtocolError, StoreError
from callpath.server.runner import CallRunner
from callpath.store.port import CallQuery
from callpath.timeline import CallTakenUp, Entry, PolicyActed, What
from callpath.wire.api import CallEvent
from callpath.wire.document import Json
from callpath.wire.ids import SessionId
from callpath.wire.webhook import Webhook, read_webhook

LIVE_MAX = 5_000
"""So many of the calls whose end nobody has told are looked at, those that began last."""

LIVE_MS_MAX = 14_400_000
"""A call of which nothing was heard for so long is over: 4 hours is the longest that Telnyx lets a call last."""

AT_ONCE = 4
"""So many calls are asked about at the same time: Telnyx limits requests, and new calls go first."""

RESTART = "restart"
"""The policy, as timelines name it."""

logger = structlog.get_logger("callpath")


async def take_up_calls(runner: CallRunner, then: Literal["resume", "hangup"]) -> None:
    """Take up every call that was live before this process, unless a node that lives has it. Runs beside the new calls;
    never raises."""
    now = runner.clock.now_unix_ms()
    try:
        found = [
            call.session
            for call in await runner.log.overviews(CallQuery(limit=LIVE_MAX, outcome="live"))
            if call.first_unix_ms < now and call.last_unix_ms > now - LIVE_MS_MAX
        ]
        live = [session for session in found if await _seems_live(runner, session)]
    except StoreError as error:
        logger.error("Calls not taken up", event_name="takeup.failed", error=str(error))
        return
    if not live:
        return
    logger.warning(
        f"{len(live)} calls in the log are not over: those without a process go on", event_name="takeup.found"
    )
    left = iter(live)

    async def work() -> None:
        for session in left:  # one iterator for all: each takes the next
            await take_up_call(runner, session, then)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work(), name="take up calls")


async def _seems_live(runner: CallRunner, session: SessionId) -> bool:
    state = fold(session, await runner.log.read(session))
    return state.leg is not None and not state.ended


async def take_up_call(runner: CallRunner, session: SessionId, then: Literal["resume", "hangup"]) -> None:
    """Take up one call, unless a node that lives has it; one that only rings, unless no new call can be taken here. Never
    raises."""
    try:
        state = fold(session, await runner.log.read(session))
        if runner.log.shared and not state.commands and runner.refusing() is not None:
            return
        if await runner.leases.claim(session):
            await _take_up(runner, session, then)
    except StoreError as error:
        logger.error("Call not taken up", event_name="takeup.failed", error=str(error), call_session_id=session)


async def _take_up(runner: CallRunner, session: SessionId, then: Literal["resume", "hangup"]) -> None:
    fetched, detail = 0, ""
    try:
        fetched = await _fetch(runner, session)
    except ControlError as error:
        detail = f"events that were missed could not be fetched: {error.detail or error}"
    state = fold(session, await runner.log.read(session))
    if state.leg is not None and not state.ended:
        checked = await runner.ask_status(state.leg.call_control_id)
        found: list[What] = [checked]
        if checked.alive is not False:
            rings = "" if state.commands else "it only rang, and no node had taken it"
            found.append(CallTakenUp(fetched=fetched, detail=detail or rings))
            if then == "hangup" and state.commands:
                number = 1 + sum(1 for policy, _ in state.acted if policy == RESTART)
                found.append(PolicyActed(policy=RESTART, number=number, step="hangup"))
        for what in found:
            await runner.write(
                Entry(
                    session=session,
                    at_unix_ms=runner.clock.now_unix_ms(),
                    what=what,
                    leg=state.leg.leg_id,
                    call_control_id=state.leg.call_control_id,
                )
            )
    # Only now, with the whole picture, does the call act.
    runner.live(session).taken_up()


async def fetch_missed(runner: CallRunner, session: SessionId) -> int:
    """Store the events of a call that lives here and were never delivered. How many; 0 also where Telnyx or the log said
    no: whoever asks has another way."""
    try:
        return await _fetch(runner, session)
    except (ControlError, StoreError) as error:
        logger.error("Events not fetched", event_name="takeup.failed", error=str(error), call_session_id=session)
        return 0


async def _fetch(runner: CallRunner, session: SessionId) -> int:
    fetched = 0
    for webhook, document in _missed(await runner.control.call_events(session)):
        if webhook.payload.call_session_id == session:
            fetched += await runner.receive_webhook(webhook, document, fetched=True)
    return fetched


def _missed(events: list[CallEvent]) -> list[tuple[Webhook, Json]]:
    """The webhooks among the rows, oldest first, as the documents that Telnyx would have sent."""
    found = []
    for row in events:
        event = (row.metadata or {}).get("event")
        if row.type != "webhook" or not isinstance(event, dict):
            continue
        document = {"data": event}
        try:
            webhook = read_webhook(document)
        except RemoteProtocolError:
            continue  # of another shape than we know: nothing can follow from it
        if isinstance(webhook, Webhook):
            found.append((webhook, document))
    return sorted(found, key=lambda item: item[0].occurred_at or "")
