"""The Call Control client: sends wire commands over HTTP, and says what came of them.

A command is retried with the same `command_id`, which Telnyx carries out once, when no answer came or the answer was
429 or 5xx. Everything else is final. Source: developers.telnyx.com, "Command retries".
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import httpx2
import stamina

from callpath.clock import Clock
from callpath.errors import CallpathError, ControlError, RemoteProtocolError
from callpath.wire.api import CallStatus, parse_errors, read_one
from callpath.wire.command import Command, command_path, encode_command
from callpath.wire.document import Json, parse_json
from callpath.wire.ids import CallControlId, path_segment

ANSWER_S_MAX = 5.0
"""How long to wait for the answer to one try. Telnyx advises to retry after 500 ms without one; a streaming_start may
be answered only after the socket was opened (observed), so we give it longer before we ask again."""

TRIES_MAX = 4
BACKOFF_S_MAX = 2.0
"""Four tries with 0.2, 0.4, 0.8 s between: done within the 60 s in which Telnyx knows a command_id again."""


@dataclass(frozen=True, slots=True)
class CommandReply:
    """Telnyx's 2xx to a command: accepted, not carried out. `latency_ms` covers all tries."""

    status: int
    document: Json
    latency_ms: float
    attempts: int


class Control:
    """One HTTP client for one account. Use it as an async context manager."""

    def __init__(
        self,
        *,
        api_base: str,
        api_key: str,
        clock: Clock,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._http = httpx2.AsyncClient(
            base_url=api_base.rstrip("/"),
            headers={"Authorization": f"Bearer {api_key}", "Accept": "application/json"},
            timeout=ANSWER_S_MAX,
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Control:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def send(self, command: Command, call_control_id: CallControlId | None = None) -> CommandReply:
        """Send one command. Raises ControlError, with Telnyx's code and detail, when it was not accepted."""
        path = command_path(command, call_control_id)
        return await self._request(command.METHOD, path, command.NAME, command.command_id, encode_command(command))

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """One leg as Telnyx sees it; kept for 10 minutes after its end. Raises ControlError."""
        reply = await self._request("GET", f"/calls/{path_segment(call_control_id)}", "call status", None, None)
        try:
            return read_one(CallStatus, reply.document)
        except RemoteProtocolError as error:
            raise ControlError(
                f"call status: the answer is not Telnyx's: {error}", command="call status", status=reply.status
            ) from error

    async def _request(
        self, method: str, path: str, command: str, command_id: str | None, body: bytes | None
    ) -> CommandReply:
        started_ms = self._clock.now_ms()
        attempts = 0
        try:
            async for attempt in stamina.retry_context(
                on=_is_retryable, attempts=TRIES_MAX, timeout=None, wait_initial=0.2, wait_max=BACKOFF_S_MAX
            ):
                with attempt:
                    attempts = attempt.num
                    status, document = await self._try(method, path, command, command_id, body)
        except ControlError as error:
            error.latency_ms = self._clock.now_ms() - started_ms
            error.attempts = attempts
            raise
        return CommandReply(status, document, self._clock.now_ms() - started_ms, attempts)

    async def _try(
        self, method: str, path: str, command: str, command_id: str | None, body: bytes | None
    ) -> tuple[int, Json]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = await self._http.request(method, path, content=body, headers=headers)
        except httpx2.RequestError as error:  # no connection, no answer, or one that cannot be decoded
            kind = "timed out" if isinstance(error, httpx2.TimeoutException) else "failed"
            detail = f"the connection to {self._http.base_url.host} {kind}: {str(error) or type(error).__name__}"
            raise ControlError(
                f"{command}: {detail}",
                command=command,
                command_id=command_id,
                detail=detail,
                retryable=True,
            ) from error
        if answer.is_success:
            return answer.status_code, _document(answer.content)
        errors = parse_errors(answer.content)
        first = errors[0] if errors else None
        detail = (first.detail or first.title) if first else f"not Telnyx's error format: {answer.text[:200]!r}"
        pointer = first.source.pointer if first and first.source else None
        said = [f"{command} was refused:", str(answer.status_code), first.code if first else "", detail]
        raise ControlError(
            " ".join(filter(None, said)) + (f" ({pointer})" if pointer else ""),
            command=command,
            command_id=command_id,
            status=answer.status_code,
            code=first.code if first else None,
            detail=detail,
            retryable=answer.status_code == 429 or answer.status_code >= 500,
        )


def _is_retryable(error: Exception) -> bool:
    return isinstance(error, ControlError) and error.retryable


def _document(body: bytes) -> Json:
    try:
        return parse_json(body, "answer")
    except CallpathError:
        return {}
