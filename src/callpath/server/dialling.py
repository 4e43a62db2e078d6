"""Dials, tells what came of it, and finds again what a process left behind that died while it dialled.

The session of a call that is dialled is known only by Telnyx's answer. So each dial has a timeline of its own, named by
its command_id (`call/dials.py`), and the command stands there before it is sent. Whoever finds a dial there without an
answer sends the same command again while Telnyx still knows its command_id, and never after that.

    guard       Destinations and DialCaps: what may be dialled, and how much
    begin       written down and on its way; its id
    dial        the same, and wait for the outcome
    look        what came of it so far, from the log: any process can tell
    recover     a dial of a process that is gone
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import structlog

from callpath.api.app import Order
from callpath.call.client_state import ClientState, decode_client_state, encode_client_state
from callpath.call.destinations import Destinations
from callpath.call.dials import (
    DialRecord,
    DialView,
    dial_session,
    placed_outcome,
    read_dial,
    unplaced_outcome,
    wait_ms_max,
)
from callpath.call.outcomes import Dialled, refusal_code
from callpath.call.plan import derived_command_id
from callpath.call.session import CallSession, fold
from callpath.control import RETRY_MS_MAX
from callpath.errors import ControlError, InvalidRequestError, LocalProtocolError, RemoteProtocolError, StoreError
from callpath.server.calls import Calls
from callpath.server.events import found_missed
from callpath.server.journal import log_entry
from callpath.store.port import DialCounts
from callpath.timeline import (
    CommandAnswered,
    CommandRetried,
    CommandSent,
    DialPlaced,
    Entry,
    Noted,
    What,
    without_numbers,
)
from callpath.wire.api import ActiveCall, CallStatus, read_one
from callpath.wire.command import Dial, Hangup, read_command
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.webhook import CallInitiated, Webhook

logger = structlog.get_logger("callpath")

STARTING_MS_MAX, STARTING_EVERY_MS = 10_000.0, 50.0
"""How long a dial waits for the server to start, and how often it looks."""

LOOK_EVERY_MS = 100.0
"""How often a dial that another process sends is looked for in the log."""

NEWS_ASKED_MS = 2_000.0
"""How long events that were fetched from Telnyx's list may take to reach the call."""

ATTEMPTS_MAX = 100
"""Maximum dials with one key that Telnyx refused. The next one is the last one again."""

PLACED_KEY = "placed"

_KEYS = UUID("c411ba70-0000-4000-8000-00000000d1a1")


class Dials:
    """The application's dialler while the server runs."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._context = calls.context
        self._destinations = Destinations(calls.context.dials_as.allowed)
        self._counting = asyncio.Lock()
        """Held from counting the calls to the entry of one more."""
        self._sending: dict[str, asyncio.Task[None]] = {}
        """Dials that are being sent here, by id."""
        calls.dials = self

    # --- dialling ----------------------------------------------------------------------------------------------------

    async def dial(self, order: Order) -> Dialled:
        """Dial, and wait for the outcome. Raises InvalidRequestError, StoreError."""
        dial_id = await self.begin(order)
        try:
            return await self.outcome(dial_id)
        except asyncio.CancelledError:
            self._give_up(dial_id)
            raise

    async def begin(self, order: Order) -> str:
        """Write the dial down and have it sent. Returns its id at once. Raises InvalidRequestError, StoreError."""
        command = self._command(order)
        await self._until_started()
        if not self._calls.ready:
            raise InvalidRequestError(
                "not_running", "the server does not run yet, or is stopping: no calls are dialled now"
            )
        why = self._destinations.refusal(order.to)
        if why is not None:
            await self._reject("not_allowed", f"the call may not be dialled: {why}", order)
        async with self._counting:
            dial_id, known = await self._choose_id(order, command)
            if known:
                return dial_id
            state = ClientState(handler=order.handler, leg=dial_id, dialled=True, variables=order.variables)
            command = msgspec.structs.replace(command, command_id=dial_id, client_state=encode_client_state(state))
            await self._check_caps(order, with_this=0)
            await self._context.leases.claim(dial_session(dial_id))
            sent = CommandSent(command=command.NAME, command_id=dial_id, body=write(command))
            written = await self._write(
                self._entry(dial_id, sent, key="sent"), self._entry(dial_id, Noted(text=f"Dialled {order.source}"))
            )
            if not written:
                return dial_id  # another process dials with the same key
            if self._context.log.shared:
                # Others may have dialled since: whoever counts last sees all.
                await self._check_caps(order, with_this=1, dial_id=dial_id)
        self._send_soon(command, dial_id)
        return dial_id

    async def outcome(self, dial_id: str) -> Dialled:
        """Wait for what comes of a dial; `unknown` after the time in which that must be known. Raises StoreError."""
        clock = self._context.clock
        until_ms = clock.now_ms() + 2 * RETRY_MS_MAX
        sending = self._sending.get(dial_id)
        if sending is not None:
            await asyncio.shield(sending)
        while True:
            record = await self._read(dial_id)
            if record is not None and not record.is_open:
                break
            if clock.now_ms() >= until_ms:
                return Dialled("unknown", id=dial_id)
            await clock.sleep_ms(LOOK_EVERY_MS)
        refused = unplaced_outcome(record)
        if refused is not None:
            return refused
        assert record.placed is not None, "it is neither open nor refused"
        live = self._calls.load(record.placed.session)
        find = self._finder(record, lambda: live.session)
        told = await live.news.until(find, wait_ms_max(record))
        if told is None and await found_missed(self._context, record.placed.session):
            live.wake()
            told = await live.news.until(find, NEWS_ASKED_MS)
        placed = record.placed
        return Dialled("unknown", placed.session, placed.call_control_id, id=dial_id) if told is None else told

    async def look(self, dial_id: str) -> DialView | None:
        """What the log tells of a dial; None: it knows none of that id. Raises StoreError."""
        record = await self._read(dial_id)
        if record is None:
            return None
        if record.placed is None:
            return DialView(record, None, unplaced_outcome(record))
        session = fold(record.placed.session, await self._context.log.read(record.placed.session))
        found, _ = placed_outcome(record, session, now_unix_ms=self._context.clock.now_unix_ms())
        overdue = self._context.clock.now_unix_ms() > record.sent_unix_ms + wait_ms_max(record)
        if found is None and overdue and not session.answered_unix_ms:
            placed = record.placed
            found = Dialled("unknown", placed.session, placed.call_control_id, id=dial_id)
        return DialView(record, session, found)

    async def hang_up(self, dial_id: str) -> bool:
        """End a call that was dialled, whichever process serves it. False: it is over, or was never placed. Raises
        ControlError, StoreError, InvalidRequestError (`not_running`) while it is not known whether it became a call."""
        view = await self.look(dial_id)
        if view is None or (view.record.placed is None and not view.record.is_open):
            return False
        placed = view.record.placed
        if placed is None or view.session is None:
            raise InvalidRequestError("not_running", "the call is being dialled at this moment: hang up in a second")
        if view.session.ended:
            return False
        command_id = derived_command_id(placed.call_control_id, Hangup.NAME)
        ids: dict[str, Any] = {"command": Hangup.NAME, "command_id": command_id}
        to = placed.call_control_id

        async def note(what: What, key: str) -> None:
            await self._write(self._entry_of_call(placed, what, key))
            self._wake(placed.session)

        await note(CommandSent(call_control_id=to, **ids), f"hangup:{command_id}")
        try:
            reply = await self._context.control.send(Hangup(command_id=command_id), to)
        except ControlError as error:
            await note(_answered(Hangup.NAME, command_id, error, to), f"hangup answered:{command_id}")
            raise
        answered = CommandAnswered(
            call_control_id=to, status=reply.status, latency_ms=reply.latency_ms, attempts=reply.attempts, **ids
        )
        await note(answered, f"hangup answered:{command_id}")
        return True

    # --- what may be dialled -----------------------------------------------------------------------------------------

    def _command(self, order: Order) -> Dial:
        """What Telnyx is sent. Raises InvalidRequestError."""
        ours = self._context.dials_as
        connection_id, from_ = order.connection_id or ours.connection_id, order.from_ or ours.from_
        if not connection_id:
            raise InvalidRequestError(
                "no_connection",
                "a dial needs the id of your Call Control application: set TELNYX_CONNECTION_ID, or give connection_id=",
            )
        if not from_:
            raise InvalidRequestError(
                "no_connection", "a dial needs a number to show: set CALLPATH_DIAL_FROM, or give from_="
            )
        max_s = ours.seconds_max
        if max_s and order.max_s is not None and order.max_s > max_s:
            raise InvalidRequestError(
                "out_of_range", f"a call may last {max_s} s (CALLPATH_DIAL_SECONDS_MAX): max_s cannot be {order.max_s}"
            )
        return Dial(
            connection_id=connection_id,
            to=order.to,
            from_=from_,
            timeout_secs=order.ring_s,
            time_limit_secs=order.max_s or max_s or None,
            answering_machine_detection=order.detect,
        )

    async def _check_caps(self, order: Order, *, with_this: int, dial_id: str | None = None) -> None:
        """Raises InvalidRequestError where one call more would be too many. `with_this`: 1 where it is counted already."""
        ours = self._context.dials_as
        counts: DialCounts = await self._context.log.dial_counts(self._context.clock.now_unix_ms())
        for number, most, what in (
            (counts.live, ours.calls_max, "calls at once (CALLPATH_DIAL_CALLS_MAX)"),
            (counts.minute, ours.per_minute, "calls a minute (CALLPATH_DIAL_PER_MINUTE)"),
            (counts.day, ours.per_day, "calls in 24 hours (CALLPATH_DIAL_PER_DAY)"),
        ):
            if most and number - with_this >= most:
                detail = f"{most} {what} may be dialled, and were: no more for now"
                if dial_id is not None:
                    await self._end(
                        dial_id,
                        CommandAnswered(
                            command=Dial.NAME,
                            command_id=dial_id,
                            status=429,
                            error_code="too_many_calls",
                            error_detail=detail,
                        ),
                    )
                await self._reject("too_many_calls", detail, order)

    async def _reject(self, reason: str, detail: str, order: Order) -> None:
        """Write down that nothing was dialled. Raises InvalidRequestError."""
        await self._context.limits.reject("dial", reason, without_numbers(detail), None, order.source)
        raise InvalidRequestError(reason, detail)

    async def _choose_id(self, order: Order, command: Dial) -> tuple[str, bool]:
        """The id of the dial, and whether it was ordered before. One with a key that Telnyx refused called nobody, and is
        dialled anew."""
        if order.key is None:
            return str(uuid4()), False
        for attempt in range(ATTEMPTS_MAX):
            dial_id = str(uuid5(_KEYS, order.key if not attempt else f"{order.key}\n{attempt}"))
            record = await self._read(dial_id)
            if record is None:
                return dial_id, False
            if not record.same_order(command):
                raise InvalidRequestError("key_used", "this key is of a dial to another number: give each call its own")
            if not record.is_refused:
                return dial_id, True
        return dial_id, True

    # --- sending -----------------------------------------------------------------------------------------------------

    def _send_soon(self, command: Dial, dial_id: str, *, spent_ms: float = 0.0) -> asyncio.Task[None]:
        task = self._context.tasks.spawn(self._send(command, dial_id, spent_ms), name=f"dial {dial_id}")
        self._sending[dial_id] = task
        task.add_done_callback(lambda _: self._sending.pop(dial_id, None))
        return task

    async def _send(self, command: Dial, dial_id: str, spent_ms: float) -> None:
        began_unix_ms = self._context.clock.now_unix_ms() - round(spent_ms)
        try:
            reply = await self._context.control.send(command, spent_ms=spent_ms)
            dialled = read_one(CallStatus, reply.document)
        except ControlError as error:
            answer = _answered(Dial.NAME, dial_id, error)
            logger.warning(
                f"Telnyx did not dial: {without_numbers(str(error))}",
                event_name="dial.refused",
                status=error.status,
                code=refusal_code(answer),
            )
            await self._end(dial_id, answer)
        except RemoteProtocolError as error:
            detail = f"the answer to the dial is not Telnyx's: {error}"
            await self._end(dial_id, CommandAnswered(command=Dial.NAME, command_id=dial_id, error_detail=detail))
        else:
            answer = CommandAnswered(
                command=Dial.NAME,
                command_id=dial_id,
                call_control_id=dialled.call_control_id,
                status=reply.status,
                latency_ms=reply.latency_ms,
                attempts=reply.attempts,
            )
            await self._placed(command, dial_id, dialled, "answer", began_unix_ms, answer)

    async def _placed(
        self,
        command: Dial,
        dial_id: str,
        dialled: CallStatus | ActiveCall,
        told_by: str,
        began_unix_ms: int,
        answer: CommandAnswered,
    ) -> None:
        """Telnyx named the call: from here on its own timeline tells of it."""
        placed = DialPlaced(
            command_id=dial_id,
            session=dialled.call_session_id,
            call_control_id=dialled.call_control_id,
            leg_id=dialled.call_leg_id,
            told_by=told_by,
        )
        sent = CommandSent(
            command=command.NAME, command_id=dial_id, call_control_id=placed.call_control_id, body=write(command)
        )
        await self._write(
            self._entry(dial_id, placed, key=PLACED_KEY),
            msgspec.structs.replace(self._entry_of_call(placed, sent, f"dial:{dial_id}"), at_unix_ms=began_unix_ms),
            self._entry_of_call(placed, answer, f"dial answered:{dial_id}"),
        )
        self._wake(placed.session)
        await self._context.leases.release(dial_session(dial_id))

    async def _end(self, dial_id: str, answer: CommandAnswered) -> None:
        """The dial became no call, as far as we know."""
        await self._write(self._entry(dial_id, answer))
        await self._context.leases.release(dial_session(dial_id))

    def _give_up(self, dial_id: str) -> None:
        """Nobody waits for the outcome any more: a phone that still rings is not to ring on."""
        sending = self._sending.get(dial_id)

        async def hang_up() -> None:
            if sending is not None:
                await asyncio.wait([sending])
            view = await self.look(dial_id)
            if view is not None and view.session is not None and not view.session.answered_unix_ms:
                await self.hang_up(dial_id)

        try:
            self._context.tasks.spawn(hang_up(), name=f"hang up {dial_id}")
        except LocalProtocolError:
            return  # the server stops: whoever recovers the call has its handler answer it

    # --- what a process left behind ----------------------------------------------------------------------------------

    async def recover(self, session: SessionId, *, resend: bool) -> None:
        """Find out about a dial whose process is gone: look for its call, send the same command again while Telnyx still
        knows it (not without `resend`), or write down that its fate is unknown. Raises StoreError."""
        record = read_dial(await self._context.log.read(session))
        if record is not None and record.dial_id in self._sending:
            return
        if not await self._context.leases.claim_orphan(session):
            return
        if record is None or not record.is_open:
            await self._context.leases.release(session)
            return
        dial_id = record.dial_id
        try:
            command = read_command(Dial.NAME, record.sent.body)
        except RemoteProtocolError:
            command = None  # of a version that knew other fields
        spent_ms = self._context.clock.now_unix_ms() - record.sent_unix_ms
        found = await self._active_call(record)
        if found is not None and isinstance(command, Dial):
            answer = CommandAnswered(
                command=Dial.NAME, command_id=dial_id, call_control_id=found.call_control_id, status=200
            )
            await self._placed(command, dial_id, found, "active_calls", record.sent_unix_ms, answer)
        elif resend and isinstance(command, Dial) and 0 <= spent_ms < RETRY_MS_MAX:
            reason = f"sent {spent_ms / 1000:.1f} s ago by a process that is gone"
            await self._write(
                self._entry(dial_id, CommandRetried(command=Dial.NAME, command_id=dial_id, attempt=0, reason=reason))
            )
            command = msgspec.structs.replace(command, command_id=dial_id)
            await asyncio.shield(self._send_soon(command, dial_id, spent_ms=spent_ms))
        else:
            unknown = f"the server stopped before the answer came, and {spent_ms / 1000:.0f} s have passed"
            await self._end(dial_id, CommandAnswered(command=Dial.NAME, command_id=dial_id, error_detail=unknown))

        record = await self._read(dial_id)
        if record is not None and record.placed is not None:
            # Its webhooks may have come while nobody was here.
            await found_missed(self._context, record.placed.session)
            self._wake(record.placed.session)

    async def _active_call(self, record: DialRecord) -> ActiveCall | None:
        """The call that a dial became, among those that are up; None also where Telnyx could not be asked."""
        connection_id = record.sent.body.get("connection_id")
        try:
            rows = await self._context.control.active_calls(str(connection_id))
        except ControlError as error:
            logger.warning("Active calls not read", event_name="recovery.failed", error=str(error))
            return None
        return next((row for row in rows if decode_client_state(row.client_state).leg == record.dial_id), None)

    async def note_initiated(self, webhook: Webhook) -> None:
        """The first event of a call names its dial: whatever becomes of the answer, the dial is known to be placed."""
        payload = webhook.payload
        if payload.client_state is None:
            return
        state = decode_client_state(payload.client_state)
        if not (isinstance(payload, CallInitiated) and state.dialled and state.leg):
            return
        placed = DialPlaced(
            command_id=state.leg,
            session=payload.call_session_id,
            call_control_id=payload.call_control_id,
            leg_id=payload.call_leg_id,
            told_by="webhook",
        )
        try:
            await self._write(self._entry(state.leg, placed, key=PLACED_KEY))
        except StoreError as error:  # the answer, or a recovery, tells the same
            logger.error("Dial not noted as placed", event_name="timeline.not_written", error=str(error))

    # --- the log -----------------------------------------------------------------------------------------------------

    async def _read(self, dial_id: str) -> DialRecord | None:
        return read_dial(await self._context.log.read(dial_session(dial_id)))

    def _finder(
        self, record: DialRecord, session: Callable[[], CallSession]
    ) -> Callable[[int], tuple[Dialled | None, int | None]]:
        return lambda now_unix_ms: placed_outcome(record, session(), now_unix_ms=now_unix_ms)

    def _entry(self, dial_id: str, what: What, *, key: str | None = None) -> Entry:
        return Entry(session=dial_session(dial_id), at_unix_ms=self._context.clock.now_unix_ms(), what=what, key=key)

    def _entry_of_call(self, placed: DialPlaced, what: What, key: str) -> Entry:
        return Entry(
            session=placed.session,
            at_unix_ms=self._context.clock.now_unix_ms(),
            what=what,
            key=key,
            leg=placed.leg_id,
            call_control_id=placed.call_control_id,
        )

    async def _write(self, *entries: Entry) -> bool:
        """Store entries together. False: they were there already."""
        context = self._context
        if not await context.log.append(*entries):
            return False
        for entry in entries:
            context.metrics.count(entry.what)
            if context.log_entries:
                log_entry(entry)
        return True

    def _wake(self, session: SessionId) -> None:
        try:
            self._calls.load(session).wake()
        except LocalProtocolError:
            return  # the server stops: the log has it for whoever goes on

    async def _until_started(self) -> None:
        """A task of the lifespan may dial before the server takes calls."""
        clock = self._context.clock
        until_ms = clock.now_ms() + STARTING_MS_MAX
        while not self._calls.started and clock.now_ms() < until_ms:
            await clock.sleep_ms(STARTING_EVERY_MS)


def _answered(command: str, command_id: str, error: ControlError, to: CallControlId | None = None) -> CommandAnswered:
    return CommandAnswered(
        command=command,
        command_id=command_id,
        call_control_id=to,
        status=error.status,
        latency_ms=error.latency_ms,
        attempts=error.attempts,
        error_code=error.code,
        error_detail=error.detail and without_numbers(error.detail),
    )
