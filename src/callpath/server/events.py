"""What Telnyx tells of a call: webhooks as they come, those that were never delivered, and the line's state when asked."""

from __future__ import annotations

from functools import partial

import structlog

from callpath.errors import ControlError, RemoteProtocolError, StoreError
from callpath.server.context import Context
from callpath.server.journal import write_entry
from callpath.timeline import CallChecked, Entry, WebhookReceived
from callpath.wire.api import CallEvent
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.webhook import ConferenceWebhook, Webhook, read_webhook

logger = structlog.get_logger("callpath")


async def store_conference_webhook(
    context: Context, session: SessionId, webhook: ConferenceWebhook, body: Json
) -> bool:
    """Store an authentic event about a whole conference in the timeline of `session`, the call that made it, once.
    False: it was there already. Raises StoreError."""
    entry = Entry(
        session=session,
        at_unix_ms=context.clock.now_unix_ms(),
        what=WebhookReceived(event_type=webhook.event_type, event_id=webhook.id, body=body),
        key=f"webhook:{webhook.id}",
    )
    return await write_entry(context.log, context.metrics, entry, log_it=context.log_entries)


async def store_webhook(context: Context, webhook: Webhook, body: Json, *, fetched: bool = False) -> bool:
    """Store an authentic event, once. False: it was there already. `fetched`: it was not delivered, but read from
    Telnyx's list of events. Returns once the event is on disk; raises StoreError if it is not."""
    payload = webhook.payload
    entry = Entry(
        session=payload.call_session_id,
        at_unix_ms=context.clock.now_unix_ms(),
        what=WebhookReceived(event_type=webhook.event_type, event_id=webhook.id, body=body, fetched=fetched),
        key=f"webhook:{webhook.id}",
        leg=payload.call_leg_id,
        call_control_id=payload.call_control_id,
    )
    return await write_entry(context.log, context.metrics, entry, log_it=context.log_entries)


async def fetch_missed(context: Context, session: SessionId) -> int:
    """Store the events of a call that were never delivered; how many. Raises ControlError, StoreError."""
    fetched = 0
    for webhook, document in _missed(await context.control.call_events(session)):
        if webhook.payload.call_session_id == session:
            fetched += await store_webhook(context, webhook, document, fetched=True)
    return fetched


async def found_missed(context: Context, session: SessionId) -> bool:
    """Whether events were missed, and are stored now. False also where Telnyx or the log could not be asked."""
    if not context.recovers:
        return False
    try:
        return await fetch_missed(context, session) > 0
    except (ControlError, StoreError) as error:
        logger.error("Events not fetched", event_name="recovery.failed", error=str(error), call_session_id=session)
        return False


async def ask_status(context: Context, call_control_id: CallControlId) -> CallChecked:
    """What Telnyx says of a line. It remembers a call for ten minutes after its end."""
    try:
        status = await context.control.call_status(call_control_id)
    except ControlError as error:
        gone = error.status == 404 and error.code is not None  # a proxy's 404 has no code of Telnyx's
        return CallChecked(alive=False if gone else None, detail=error.detail or "")
    return CallChecked(alive=status.is_alive)


async def make_trace(context: Context, session: SessionId) -> None:
    """Make the trace of a call that is over. One that cannot be made is logged."""
    if context.traces is not None:
        try:
            await context.traces.export(session, context.log, partial(write_entry, context.log, context.metrics))
        except StoreError as error:
            logger.error("No trace made", event_name="trace.failed", error=str(error), call_session_id=session)


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
