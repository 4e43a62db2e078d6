"""The Call Control commands of one call: written down, then sent, then their answers written down.

In that order, since Telnyx's answer, its webhooks and its audio socket may all be here before the HTTP request returns, and
since after a crash in between nobody may believe that a command was never sent. Each command goes out in a task of its
own: a handler that is cancelled, as it is by the very hang-up that it asked for, costs no request its answer.
"""

from __future__ import annotations

import asyncio

import msgspec

from callpath.call.ending import is_being_hung_up, is_hangup_refused
from callpath.call.plan import derived_command_id, masked
from callpath.control import RETRY_MS_MAX, CommandReply, Retry
from callpath.errors import ControlError, InvalidRequestError, RemoteProtocolError
from callpath.server.context import Context
from callpath.server.journal import Journal
from callpath.timeline import (
    CommandAnswered,
    CommandRetried,
    CommandSent,
    ConsultNews,
    StreamAccepted,
    StreamStarting,
    StreamUrl,
    without_numbers,
)
from callpath.wire.api import CallStatus, read_one
from callpath.wire.command import Command, Dial, Hangup
from callpath.wire.conference import ConferenceCreate, read_sent
from callpath.wire.document import Json, write
from callpath.wire.ids import CallControlId


class Outbox:
    """Sends what one call needs. `token` is the secret of its stream, which no entry may show."""

    __slots__ = ("_clock", "_context", "_journal", "_token", "_under_way")

    def __init__(self, journal: Journal, context: Context, token: str | None) -> None:
        self._journal = journal
        self._context = context
        self._clock = context.clock
        self._token = token
        self._under_way: dict[str, float] = {}
        """Commands under way, by command_id, with the time since when."""

    @property
    def is_empty(self) -> bool:
        """No command is under way."""
        return not self._under_way

    @property
    def sending_since_ms(self) -> list[float]:
        """When each command under way was sent first."""
        return list(self._under_way.values())

    async def send(self, command: Command, leg: CallControlId | None = None, *, conference: str | None = None) -> str:
        """Have Telnyx carry out a command of the handler's, about its leg or another `leg` of the call, or a
        `conference` that it is in; returns its command_id when Telnyx has accepted it. Raises ControlError,
        InvalidRequestError when the call is over or is being hung up, LocalProtocolError when the server is stopping."""
        session = self._journal.session
        if session.ended:
            raise InvalidRequestError("call_over", f"{command.NAME} is not possible any more: the call is over")
        if command.NAME != Hangup.NAME and is_being_hung_up(session) and not is_hangup_refused(session):
            raise InvalidRequestError(
                "call_over", f"{command.NAME} is not possible any more: the call is being hung up"
            )
        assert session.leg is not None, "a call has a leg before it has a handler"
        command_id = command.command_id
        if command_id is None:
            name = command.entry_name
            number = 1 + sum(1 for sent in session.commands.values() if sent.command == name)
            command_id = derived_command_id(leg or session.leg.call_control_id, name, number)
            command = msgspec.structs.replace(command, command_id=command_id)
        refusal: list[ControlError] = []
        await asyncio.shield(self.dispatch(command, refusal, leg, conference=conference))
        if refusal:
            raise refusal[0]
        return command_id

    def dispatch(
        self,
        command: Command,
        refusal: list[ControlError] | None = None,
        leg: CallControlId | None = None,
        *,
        conference: str | None = None,
    ) -> asyncio.Task[None]:
        """Send a command that has its command_id, in a task of its own. Where Telnyx refuses it, that is written down, and
        put into `refusal`. Raises LocalProtocolError when the server is stopping."""
        to = leg
        if to is None:
            assert self._journal.session.leg is not None, "a command is about a call"
            to = self._journal.session.leg.call_control_id
        task = self._spawn(command, to, refusal if refusal is not None else [], conference)
        self._note_sent(command, to, conference)
        return task

    def send_again(self) -> None:
        """Commands of a process that is gone, whose answers nobody heard: within Telnyx's minute the same command_id is
        carried out once, however often it comes. After that nobody can know, and the watchdog sees what is missing."""
        session = self._journal.session
        for sent in session.unanswered():
            spent_ms = self._clock.now_unix_ms() - session.sent_unix_ms[sent.command_id]
            if session.ended or not self._context.tasks.is_running:
                return
            if sent.command_id in self._under_way:
                continue
            if spent_ms >= RETRY_MS_MAX:
                unknown = f"the server stopped before the answer came, and {spent_ms / 1000:.0f} s have passed"
                self._journal.note(
                    CommandAnswered(
                        command=sent.command,
                        command_id=sent.command_id,
                        call_control_id=sent.call_control_id,
                        error_detail=unknown,
                    )
                )
                continue
            assert session.leg is not None, "a command is about a call"
            try:
                command = read_sent(sent.command, self._unmasked(sent.body))
            except RemoteProtocolError:
                continue  # of a version that knew another command
            command = msgspec.structs.replace(command, command_id=sent.command_id)
            reason = f"sent {spent_ms / 1000:.1f} s ago by a process that is gone"
            self._journal.note(
                CommandRetried(command=sent.command, command_id=sent.command_id, attempt=0, reason=reason)
            )
            self._spawn(command, sent.call_control_id or session.leg.call_control_id, [], sent.conference, spent_ms)

    def _spawn(
        self,
        command: Command,
        to: CallControlId,
        refusal: list[ControlError],
        conference: str | None,
        spent_ms: float = 0.0,
    ) -> asyncio.Task[None]:
        assert command.command_id is not None
        work = self._carry_out(command, command.command_id, to, refusal, conference, spent_ms)
        task = self._context.tasks.spawn(work, name=f"send {command.NAME}")
        self._under_way[command.command_id] = self._clock.now_ms() - spent_ms
        return task

    def _note_sent(self, command: Command, to: CallControlId, conference: str | None) -> None:
        assert command.command_id is not None
        url = getattr(command, "stream_url", None)
        if url is not None:
            self._journal.note(StreamStarting(within=command.NAME))
            self._journal.note(StreamUrl(url=url.replace(self._token, "***") if self._token else url))
        self._journal.note(
            CommandSent(
                command=command.entry_name,
                command_id=command.command_id,
                call_control_id=to,
                conference=conference,
                body=masked(write(command), self._token),
            )
        )

    def _note_dialled(self, command_id: str, reply: CommandReply) -> None:
        """Telnyx's answer tells which call it dials for a consult, before any webhook does."""
        if command_id not in self._journal.session.consults:
            return
        try:
            dialled = read_one(CallStatus, reply.document)
        except RemoteProtocolError:
            return  # the webhooks of that call tell it, too
        self._journal.note(
            ConsultNews(
                command_id=command_id,
                news="dialled",
                call_session_id=dialled.call_session_id,
                call_control_id=dialled.call_control_id,
            )
        )

    def _unmasked(self, body: Json) -> Json:
        token = self._token or ""
        return {
            name: value.replace("***", token) if name in ("stream_url", "stream_auth_token") else value
            for name, value in body.items()
        }

    async def _carry_out(
        self,
        command: Command,
        command_id: str,
        to: CallControlId,
        refusal: list[ControlError],
        conference: str | None,
        spent_ms: float,
    ) -> None:
        def note_retry(retry: Retry) -> None:
            self._journal.note(
                CommandRetried(
                    command=command.entry_name,
                    command_id=command_id,
                    attempt=retry.attempt,
                    wait_ms=retry.wait_ms,
                    status=retry.status,
                    latency_ms=retry.latency_ms,
                    reason=retry.reason,
                )
            )

        try:
            await self._journal.store()
            reply = await self._context.control.send(
                command,
                to,
                conference=conference,
                spent_ms=spent_ms,
                is_over=lambda: self._journal.session.ended,
                on_retry=note_retry,
            )
        except ControlError as error:
            self._journal.note(
                CommandAnswered(
                    command=command.entry_name,
                    command_id=command_id,
                    call_control_id=to,
                    status=error.status,
                    latency_ms=error.latency_ms,
                    attempts=error.attempts,
                    error_code=error.code,
                    error_detail=error.detail and without_numbers(error.detail),
                )
            )
            refusal.append(error)
        else:
            self._journal.note(
                CommandAnswered(
                    command=command.entry_name,
                    command_id=command_id,
                    call_control_id=to,
                    status=reply.status,
                    latency_ms=reply.latency_ms,
                    attempts=reply.attempts,
                    conference=_made(reply.document) if isinstance(command, ConferenceCreate) else None,
                )
            )
            if getattr(command, "stream_url", None) is not None:
                self._journal.note(StreamAccepted(status=reply.status, within=command.NAME))
            if isinstance(command, Dial):
                self._note_dialled(command_id, reply)
        finally:
            self._under_way.pop(command_id, None)
            self._journal.wake()


def _made(document: Json) -> str | None:
    """The id of the conference in Telnyx's answer; None: it is not there."""
    data = document.get("data")
    made = data.get("id") if isinstance(data, dict) else None
    return made if isinstance(made, str) else None
