"""The Call Control client: sends wire commands over HTTP, and says what came of them.

A command is retried with the same `command_id`, which Telnyx carries out once, when no answer came or the answer was
429 or 5xx. Everything else is final. Source: developers.telnyx.com, "Command retries".

This is the only layer that retries; whoever sends a command says when it is of no use any more, and is told of each try.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import httpx2

from callpath.clock import Clock
from callpath.errors import CallpathError, ControlError, RemoteProtocolError
from callpath.wire.api import ActiveCall, CallEvent, CallStatus, parse_errors, read_list, read_one, read_page
from callpath.wire.command import Command, command_path, encode_command
from callpath.wire.conference import (
    Conference,
    ConferenceCommand,
    Participant,
    conference_path,
    encode_conference_command,
)
from callpath.wire.document import Document, Json, parse_json
from callpath.wire.ids import CallControlId, SessionId, path_segment

Row = TypeVar("Row", bound=Document)

ANSWER_S_MAX = 5.0
"""How long to wait for the answer to one try. Telnyx advises to retry after 500 ms without one; a streaming_start may
be answered only after the socket was opened (observed), so we give it longer before we ask again."""

RETRY_MS_MAX = 50_000.0
"""No try begins later than this after the first: Telnyx knows a command_id again for 60 s, and a command that was carried
out without our hearing of it must not be carried out twice."""

ASK_MS_MAX = 8_000.0
"""The same for questions: whoever asks can ask again."""

BACKOFF_MS, ERROR_BACKOFF_MS, BACKOFF_MS_MAX = 200.0, 500.0, 5_000.0
"""The pause before the second try: after no answer, and after 429 or 5xx (Telnyx's advice: 500 ms); and the longest pause.
Each is twice the one before."""

WAIT_MS_MAX = 30_000.0
"""Maximum pause when Telnyx names one with a 429. With a 5xx the maximum is BACKOFF_MS_MAX, whatever the header says: a
caller hears the ringing tone meanwhile."""

KEEP_ALIVE_S = 120.0
"""How long an idle connection is kept. Shorter than the 4 minutes after which NATs forget one (Azure's default)."""

WARM_EVERY_MS = 45_000.0
"""How long the client may be silent before `keep_warm` sends a request. Usual load balancers close idle connections
after 60 s; Telnyx does not document its own timeout."""

CONNECTIONS_MAX, IDLE_CONNECTIONS_MAX = 100, 20

WARM_PATH = "/balance"
"""A resource that every account has. Any answer will do, a refusal too."""

EVENTS_PAGE, EVENTS_PAGES_MAX = 250, 8
"""Rows on a page of call events, Telnyx's maximum, and pages read of one call."""

UNKNOWN_FILTER = "10031"


@dataclass(frozen=True, slots=True)
class CommandReply:
    """Telnyx's 2xx to a command: accepted, not carried out. `latency_ms` covers all tries."""

    status: int
    document: Json
    latency_ms: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Retry:
    """A try that failed, and how long it is until the next."""

    attempt: int
    wait_ms: float
    latency_ms: float
    status: int | None
    reason: str


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
            limits=httpx2.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=IDLE_CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            transport=transport,
            trust_env=False,
        )
        self._used_at_ms = clock.now_ms()

    async def __aenter__(self) -> Control:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def keep_warm(self) -> None:
        """Keep one connection open while no calls come, until cancelled: otherwise the `answer` of the next call pays for a
        TLS handshake, 100 to 200 ms of ringing. One request each WARM_EVERY_MS, without a retry, and none while commands
        are sent; without TLS there is nothing to save, and it returns at once."""
        if self._http.base_url.scheme != "https":
            return
        while True:
            quiet_ms = self._clock.now_ms() - self._used_at_ms
            if quiet_ms < WARM_EVERY_MS:
                await self._clock.sleep_ms(WARM_EVERY_MS - quiet_ms)
                continue
            self._used_at_ms = self._clock.now_ms()
            with contextlib.suppress(httpx2.RequestError):  # a call's command tells what is wrong, with its own retries
                await self._http.head(WARM_PATH)

    async def send(
        self,
        command: Command,
        call_control_id: CallControlId | None = None,
        *,
        conference: str | None = None,
        spent_ms: float = 0.0,
        is_over: Callable[[], bool] = lambda: False,
        on_retry: Callable[[Retry], None] = lambda _: None,
    ) -> CommandReply:
        """Send one command, until it is answered. Raises ControlError, with Telnyx's code and detail, when it was not
        accepted.

        `conference` is the id of the conference that a ConferenceCommand is about; `spent_ms` is the time since it was
        sent first, by another process. Once `is_over`, no further try is made.
        """
        if isinstance(command, ConferenceCommand):
            path, body = conference_path(command, conference), encode_conference_command(command)
        else:
            path, body = command_path(command, call_control_id), encode_command(command)
        method = command.METHOD
        left_ms = RETRY_MS_MAX - spent_ms
        return await self._request(method, path, command.NAME, command.command_id, body, left_ms, is_over, on_retry)

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """One leg as Telnyx sees it; kept for 10 minutes after its end. Raises ControlError."""
        reply = await self._ask(f"/calls/{path_segment(call_control_id)}", "call status")
        try:
            return read_one(CallStatus, reply.document)
        except RemoteProtocolError as error:
            raise ControlError(
                f"call status: the answer is not Telnyx's: {error}", command="call status", status=reply.status
            ) from error

    async def active_calls(self, connection_id: str) -> list[ActiveCall]:
        """The calls of a Call Control application that are up. Raises ControlError."""
        found: list[ActiveCall] = []
        after = ""
        for _ in range(EVENTS_PAGES_MAX):
            query = f"page[limit]={EVENTS_PAGE}" + (f"&page[after]={path_segment(after)}" if after else "")
            reply = await self._ask(f"/connections/{path_segment(connection_id)}/active_calls?{query}", "active calls")
            try:
                rows, page = read_list(ActiveCall, reply.document), read_page(reply.document)
            except RemoteProtocolError as error:
                raise ControlError(
                    f"active calls: the answer is not Telnyx's: {error}", command="active calls", status=reply.status
                ) from error
            found += rows
            after = (page.cursors or {}).get("after") or ""
            if not rows or not page.next or not after:
                break
        return found

    async def call_events(self, session: SessionId) -> list[CallEvent]:
        """All that Telnyx has written down of a call: commands that it got, webhooks that it made. Raises ControlError.

        The name of the filter has changed over the years; the other one is tried where one is not known (10031).
        """
        try:
            return await self._call_events("application_session_id", session)
        except ControlError as error:
            if error.code != UNKNOWN_FILTER:
                raise
            return await self._call_events("call_session_id", session)

    async def find_conference(self, name: str) -> Conference | None:
        """The conference of this name that goes on; None: there is none. Raises ControlError."""
        query = f"filter[name]={path_segment(name)}&filter[status]=in_progress"
        reply = await self._ask(f"/conferences?{query}", "conferences")
        rows = self._read_list(Conference, reply, "conferences")
        return next((row for row in rows if row.name == name and row.status != "completed"), None)

    async def participants(self, conference: str) -> list[Participant]:
        """Who is in a conference, and who was, at most 250. Raises ControlError."""
        path = f"/conferences/{path_segment(conference)}/participants?page[size]={EVENTS_PAGE}"
        return self._read_list(Participant, await self._ask(path, "participants"), "participants")

    @staticmethod
    def _read_list(kind: type[Row], reply: CommandReply, what: str) -> list[Row]:
        try:
            return read_list(kind, reply.document)
        except RemoteProtocolError as error:
            raise ControlError(
                f"{what}: the answer is not Telnyx's: {error}", command=what, status=reply.status
            ) from error

    async def _call_events(self, name: str, session: SessionId) -> list[CallEvent]:
        rows: list[CallEvent] = []
        for number in range(1, EVENTS_PAGES_MAX + 1):
            query = f"filter[{name}]={path_segment(session)}&page[number]={number}&page[size]={EVENTS_PAGE}"
            reply = await self._ask(f"/call_events?{query}", "call events")
            try:
                rows += read_list(CallEvent, reply.document)
                pages = read_page(reply.document).total_pages or 1
            except RemoteProtocolError as error:
                raise ControlError(
                    f"call events: the answer is not Telnyx's: {error}", command="call events", status=reply.status
                ) from error
            if number >= pages:
                break
        return rows

    async def _ask(self, path: str, name: str) -> CommandReply:
        return await self._request("GET", path, name, None, None, ASK_MS_MAX)

    async def _request(
        self,
        method: str,
        path: str,
        command: str,
        command_id: str | None,
        body: bytes | None,
        left_ms: float,
        is_over: Callable[[], bool] = lambda: False,
        on_retry: Callable[[Retry], None] = lambda _: None,
    ) -> CommandReply:
        started_ms = try_ms = self._clock.now_ms()
        attempt = 1
        while True:
            try:
                status, document = await self._try(method, path, command, command_id, body)
                return CommandReply(status, document, self._clock.now_ms() - started_ms, attempt)
            except ControlError as error:
                now_ms = self._clock.now_ms()
                error.latency_ms, error.attempts = now_ms - started_ms, attempt
                backoff_ms = BACKOFF_MS if error.status is None else ERROR_BACKOFF_MS
                wait_ms = max(min(backoff_ms * 2 ** (attempt - 1), BACKOFF_MS_MAX), error.wait_ms)
                if not error.retryable or is_over() or now_ms - started_ms + wait_ms > left_ms:
                    raise
                on_retry(Retry(attempt, wait_ms, now_ms - try_ms, error.status, error.detail or ""))
                await self._clock.sleep_ms(wait_ms)
                if is_over():
                    raise
                attempt += 1
                try_ms = self._clock.now_ms()

    async def _try(
        self, method: str, path: str, command: str, command_id: str | None, body: bytes | None
    ) -> tuple[int, Json]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self._used_at_ms = self._clock.now_ms()
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
            return answer.status_code, self._document(answer, command, command_id)
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
            wait_ms=_wait_ms(answer),
        )

    def _document(self, answer: httpx2.Response, command: str, command_id: str | None) -> Json:
        """The JSON object of a 2xx; of an empty body, an empty one. Anything else came from another server than Telnyx's
        API: a proxy's page, a captive portal, a wrong TELNYX_API_BASE. Raises ControlError."""
        if not answer.content.strip():
            return {}
        try:
            return parse_json(answer.content, "answer")
        except CallpathError as error:
            detail = (
                f"{answer.status_code} from {self._http.base_url.host}, but not the JSON object that Telnyx answers with: "
                f"{answer.text[:200]!r}. Does TELNYX_API_BASE lead to Telnyx's API, and no proxy's page come between?"
            )
            raise ControlError(
                f"{command}: {detail}",
                command=command,
                command_id=command_id,
                status=answer.status_code,
                detail=detail,
            ) from error


def _wait_ms(answer: httpx2.Response) -> float:
    """The pause that Telnyx asks for, in whole seconds and within our maximum; 0 where it names none.

    `x-ratelimit-reset`, the end of the current window, comes with ordinary answers too: only after a 429 it is a pause.
    """
    limited = answer.status_code == 429
    for name in ("retry-after", "x-ratelimit-reset") if limited else ("retry-after",):
        text = answer.headers.get(name, "").strip()
        if text.isascii() and text.isdigit() and len(text) < 9:
            return min(1000.0 * int(text), WAIT_MS_MAX if limited else BACKOFF_MS_MAX)
    return 0.0
