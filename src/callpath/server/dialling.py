"""Dials for the application, and tells what came of it.

The session of a call that is dialled is known only by Telnyx's answer, so the command is written into its timeline
then. If this process dies before, the call is found by its webhooks: their client_state names the dial, the handler and
the variables.
"""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4, uuid5

import structlog

from callpath.api.app import Order
from callpath.call.client_state import ClientState, encode_client_state
from callpath.call.outcomes import DETECTION_MS_MAX, NEWS_MS_MAX, Dialled, DialStatus, dial_outcome, refusal_code
from callpath.call.plan import derived_command_id
from callpath.control import CommandReply
from callpath.errors import ControlError, InvalidRequestError, LocalProtocolError, RemoteProtocolError
from callpath.server.calls import Calls
from callpath.server.live import LiveCall
from callpath.timeline import CommandAnswered, CommandSent, without_numbers
from callpath.wire.api import CallStatus, read_one
from callpath.wire.command import Dial, Hangup
from callpath.wire.document import write

logger = structlog.get_logger("callpath")

STARTING_MS_MAX, STARTING_EVERY_MS = 10_000.0, 50.0
"""How long a dial waits for the server to start, and how often it looks."""

_KEYS = UUID("c411ba70-0000-4000-8000-00000000d1a1")


class Dials:
    """The application's dialler while the server runs."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def dial(self, order: Order) -> Dialled:
        """Dial, and wait for the outcome. Raises InvalidRequestError."""
        context = self._calls.context
        connection_id, from_ = (
            order.connection_id or context.dials_as.connection_id,
            order.from_ or context.dials_as.from_,
        )
        if not connection_id:
            raise InvalidRequestError(
                "no_connection",
                "a dial needs the id of your Call Control application: set TELNYX_CONNECTION_ID, or give connection_id=",
            )
        if not from_:
            raise InvalidRequestError(
                "no_connection", "a dial needs a number to show: set CALLPATH_DIAL_FROM, or give from_="
            )
        await self._until_started()
        if not self._calls.ready:
            raise InvalidRequestError(
                "not_running", "the server does not run yet, or is stopping: no calls are dialled now"
            )
        command_id = str(uuid5(_KEYS, order.key) if order.key is not None else uuid4())
        state = ClientState(handler=order.handler, leg=command_id, variables=order.variables)
        detects = order.detect not in (None, "disabled")
        command = Dial(
            connection_id=connection_id,
            to=order.to,
            from_=from_,
            command_id=command_id,
            client_state=encode_client_state(state),
            timeout_secs=order.ring_s,
            time_limit_secs=order.max_s,
            answering_machine_detection=order.detect,
        )
        began_unix_ms = context.clock.now_unix_ms()
        try:
            reply = await context.control.send(command)
            dialled = read_one(CallStatus, reply.document)
        except ControlError as error:
            return _refused(error)
        except RemoteProtocolError as error:
            return Dialled("unknown", detail=f"the answer to the dial is not Telnyx's: {error}")
        live = self._calls.load(dialled.call_session_id)
        self._note(live, command, dialled, reply, began_unix_ms)
        wait_ms = order.ring_s * 1000 + NEWS_MS_MAX + (DETECTION_MS_MAX if detects else 0.0)
        try:
            told = await live.news.until(
                lambda now_unix_ms: dial_outcome(
                    live.session, dialled.call_leg_id, detects=detects, now_unix_ms=now_unix_ms
                ),
                wait_ms,
            )
        except asyncio.CancelledError:
            self._give_up(live, dialled)
            raise
        if told is None:
            return Dialled("unknown", dialled.call_session_id, dialled.call_control_id)
        return told

    async def _until_started(self) -> None:
        """A task of the lifespan may dial before the server takes calls."""
        clock = self._calls.context.clock
        until_ms = clock.now_ms() + STARTING_MS_MAX
        while not self._calls.started and clock.now_ms() < until_ms:
            await clock.sleep_ms(STARTING_EVERY_MS)

    @staticmethod
    def _note(live: LiveCall, command: Dial, dialled: CallStatus, reply: CommandReply, began_unix_ms: int) -> None:
        ids = {"command": command.NAME, "command_id": str(command.command_id)}
        to = dialled.call_control_id
        live.note(CommandSent(call_control_id=to, body=write(command), **ids), began_unix_ms)
        live.note(
            CommandAnswered(
                call_control_id=to, status=reply.status, latency_ms=reply.latency_ms, attempts=reply.attempts, **ids
            )
        )

    @staticmethod
    def _give_up(live: LiveCall, dialled: CallStatus) -> None:
        """Nobody waits for the outcome any more: a phone that still rings is not to ring on."""
        leg = live.session.legs.get(dialled.call_leg_id)
        if leg is not None and (leg.answered_unix_ms or leg.hangup_unix_ms):
            return
        command_id = derived_command_id(dialled.call_control_id, Hangup.NAME)
        try:
            live.outbox.dispatch(Hangup(command_id=command_id), leg=dialled.call_control_id)
        except LocalProtocolError:
            return  # the server stops: whoever recovers the call has its handler answer it


def _refused(error: ControlError) -> Dialled:
    answer = CommandAnswered(
        command=Dial.NAME, command_id=error.command_id or "", error_code=error.code, error_detail=error.detail
    )
    logger.warning(
        f"Telnyx did not dial: {without_numbers(str(error))}",
        event_name="dial.refused",
        status=error.status,
        code=refusal_code(answer),
    )
    status: DialStatus = "refused" if error.status is not None else "unknown"
    return Dialled(status, code=refusal_code(answer), detail=error.detail and without_numbers(error.detail))
