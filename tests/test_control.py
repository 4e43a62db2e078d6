"""Commands on their way to Telnyx: what is sent, when it is sent again, and what a refusal tells."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import time
from collections.abc import Callable

import httpx2
import pytest

from callpath.clock import ManualClock
from callpath.control import KEEP_ALIVE_S, RETRY_MS_MAX, WARM_EVERY_MS, Control, Retry
from callpath.errors import ControlError
from callpath.timeline import CommandAnswered, describe
from callpath.wire.command import Answer, Dial, Hangup
from callpath.wire.conference import ConferenceLeave, ConferenceMute
from callpath.wire.ids import CallControlId, SessionId
from tests.telnyx import sample, sample_text

API_BASE = "https://api.telnyx.com/v2"
KEY = "KEY0123456789"
CALL = CallControlId("v3:MdI91X4l/WF+Es=7 ?#%2F")
ENCODED = "v3%3AMdI91X4l%2FWF%2BEs%3D7%20%3F%23%252F"
OK = httpx2.Response(200, json={"data": {"result": "ok"}})

Answered = httpx2.Response | Exception


class HurriedClock(ManualClock):
    """Pauses pass at once, and are written down."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def sleep_ms(self, duration_ms: float) -> None:
        self.pauses.append(duration_ms)
        await self.advance(duration_ms)


class Telnyx:
    """Gives the answers it was told, in order, and keeps the requests."""

    def __init__(self, *answers: Answered, clock: HurriedClock | None = None) -> None:
        self.requests: list[httpx2.Request] = []
        self._answers = list(answers)
        self.clock = clock or HurriedClock()
        self._answer_ms = 0 if clock is None else 100

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        await self.clock.advance(self._answer_ms)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def control(self, api_base: str = API_BASE) -> Control:
        return Control(
            api_base=api_base,
            api_key=KEY,
            clock=self.clock,
            transport=httpx2.MockTransport(self),
        )


def refusal(name: str) -> httpx2.Response:
    """One of Telnyx's own error documents; its name begins with its status."""
    return httpx2.Response(int(name[:3]), text=sample_text(f"api/error-{name}.json"))


async def refused(telnyx: Telnyx, command: Answer | Hangup | Dial | None = None) -> ControlError:
    async with telnyx.control() as control:
        with pytest.raises(ControlError) as caught:
            await control.send(command or Hangup(command_id="c-1"), CALL)
    return caught.value


# --- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api_base", [API_BASE, API_BASE + "/"])
async def test_a_command_as_it_goes_out(api_base: str) -> None:
    """A call_control_id with a raw colon, slash or percent sign is answered 404 or 90015."""
    telnyx = Telnyx(OK)
    async with telnyx.control(api_base) as control:
        reply = await control.send(Answer(command_id="c-1", client_state="c3RhdGU="), CALL)
    (request,) = telnyx.requests

    assert request.method == "POST"
    assert request.url.raw_path == f"/v2/calls/{ENCODED}/actions/answer".encode()
    assert request.url.host == "api.telnyx.com"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/json"
    assert json.loads(request.content) == {"command_id": "c-1", "client_state": "c3RhdGU="}
    assert (reply.status, reply.document, reply.attempts) == (200, {"data": {"result": "ok"}}, 1)


async def test_a_dial_has_no_call_yet() -> None:
    """Its path is that of all calls."""
    telnyx = Telnyx(httpx2.Response(200, text=sample_text("api/dial.response.200.json")))
    async with telnyx.control() as control:
        reply = await control.send(Dial(connection_id="1", to="+15555550199", from_="+15555550123"))
    (request,) = telnyx.requests

    assert request.url.raw_path == b"/v2/calls"
    assert json.loads(request.content) == {"connection_id": "1", "to": "+15555550199", "from": "+15555550123"}
    assert reply.document == sample("api/dial.response.200.json")


async def test_a_command_of_a_conference_goes_to_its_conference() -> None:
    """Those that Telnyx may carry out twice have no command_id: it would be an unknown field."""
    telnyx = Telnyx(OK, OK)
    async with telnyx.control() as control:
        await control.send(ConferenceMute(call_control_ids=["v3:a"], command_id="c-1"), CALL, conference="my room")
        await control.send(ConferenceLeave(call_control_id=CALL, command_id="c-2"), CALL, conference="id-1")
    mute, leave = telnyx.requests

    assert b"/v2/conferences/my%20room/actions/mute" == mute.url.raw_path
    assert {"call_control_ids": ["v3:a"]} == json.loads(mute.content)
    assert b"/v2/conferences/id-1/actions/leave" == leave.url.raw_path
    assert {"call_control_id": CALL, "command_id": "c-2"} == json.loads(leave.content)


@pytest.mark.parametrize("body", [b"", b" \n", b"{}", b'{"data": null}', b'{"data": {}, "unknown": 1}'])
async def test_a_2xx_is_accepted_with_any_json_object_or_no_body(body: bytes) -> None:
    """Sending the command again, or hanging up, would be wrong."""
    telnyx = Telnyx(httpx2.Response(202, content=body))
    async with telnyx.control() as control:
        reply = await control.send(Hangup(command_id="c-1"), CALL)

    assert (reply.status, reply.document) == (202, json.loads(body or b"{}") if body.strip() else {})


@pytest.mark.parametrize("body", [b"<html>ok</html>", b"OK", b"[1]", b'"ok"', b"null", b"\xff", b'{"data": '])
async def test_a_2xx_that_is_not_telnyxs_is_an_error(body: bytes) -> None:
    """A wrong TELNYX_API_BASE, or a page that a proxy put in between: nobody answered the call, and the timeline must not
    say "accepted"."""
    telnyx = Telnyx(httpx2.Response(200, content=body))
    error = await refused(telnyx)
    answered = CommandAnswered(
        command="hangup", command_id="c-1", status=error.status, error_code=error.code, error_detail=error.detail
    )

    assert (len(telnyx.requests), error.status, error.code, error.retryable) == (1, 200, None, False)
    assert str(error).startswith("hangup: 200 from api.telnyx.com, but not the JSON object that Telnyx answers with")
    assert "TELNYX_API_BASE" in str(error)
    assert not answered.accepted
    assert describe(answered).startswith("Command hangup refused: 200 ")


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
async def test_a_foreign_page_in_the_place_of_a_list_is_an_error(body: bytes) -> None:
    """The same for questions: an empty list would mean that Telnyx knows no events."""
    telnyx = Telnyx(httpx2.Response(200, content=body))
    async with telnyx.control() as control:
        with pytest.raises(ControlError, match="TELNYX_API_BASE"):
            await control.call_events(SessionId("s1"))


async def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP_PROXY meant for package downloads would see the API key, or break every call. Over a real socket."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        api_base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2"
        async with Control(api_base=api_base, api_key=KEY, clock=ManualClock()) as control:
            reply = await control.send(Hangup(command_id="c-1"), CALL)

    assert (reply.status, reply.attempts) == (200, 1)


# --- when it is sent again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.Response(429, json={}),
        httpx2.Response(500),
        httpx2.Response(502, html="<h1>Bad gateway</h1>"),
        httpx2.Response(503),
        httpx2.Response(504),
        httpx2.ReadTimeout("read"),
        httpx2.ConnectTimeout("connect"),
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("cut off"),
        httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(b"no gzip")),
    ],
    ids=lambda trouble: str(getattr(trouble, "status_code", type(trouble).__name__)),
)
async def test_it_is_sent_again_with_the_same_command_id(trouble: Answered) -> None:
    """Telnyx carries out one command_id once: with another, a caller would hear everything twice."""
    telnyx = Telnyx(trouble, OK)
    async with telnyx.control() as control:
        reply = await control.send(Hangup(command_id="c-1"), CALL)
    first, second = telnyx.requests

    assert reply.attempts == 2
    assert json.loads(first.content)["command_id"] == "c-1"
    assert (first.method, first.url, first.content) == (second.method, second.url, second.content)


NO_ANSWER_PAUSES = [200.0, 400.0, 800.0, 1600.0, 3200.0, 5000.0]
ERROR_PAUSES = [500.0, 1000.0, 2000.0, 4000.0, 5000.0, 5000.0]


@pytest.mark.parametrize(
    ("trouble", "usual"),
    [
        (lambda: httpx2.Response(503), ERROR_PAUSES),
        (lambda: httpx2.Response(429), ERROR_PAUSES),
        (lambda: httpx2.ReadTimeout(""), NO_ANSWER_PAUSES),
    ],
    ids=["503", "429", "timeout"],
)
async def test_there_is_an_end_to_it(trouble: Callable[[], Answered], usual: list[float]) -> None:
    """A command_id is known again for 60 s only: later the same command might be carried out twice."""
    telnyx = Telnyx(*(trouble() for _ in range(20)))
    error = await refused(telnyx)
    pauses = telnyx.clock.pauses

    assert pauses[:6] == usual
    assert RETRY_MS_MAX - 5_000 < sum(pauses) <= RETRY_MS_MAX
    assert len(telnyx.requests) == len(pauses) + 1
    assert (error.attempts, error.retryable, error.command_id) == (len(telnyx.requests), True, "c-1")


@pytest.mark.parametrize(
    ("status", "headers", "wait_ms"),
    [
        (429, {"retry-after": "3"}, 3_000.0),
        (429, {"x-ratelimit-reset": "2"}, 2_000.0),
        (429, {"retry-after": "3", "x-ratelimit-reset": "20"}, 3_000.0),
        (429, {"retry-after": "3600"}, 30_000.0),
        (429, {"retry-after": "0"}, 500.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 500.0),
        (429, {}, 500.0),
        (500, {"x-ratelimit-reset": "30"}, 500.0),
        (503, {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "99", "x-ratelimit-reset": "58"}, 500.0),
        (503, {"retry-after": "2"}, 2_000.0),
        (503, {"retry-after": "60"}, 5_000.0),
    ],
)
async def test_the_pause_before_the_next_try(status: int, headers: dict[str, str], wait_ms: float) -> None:
    """After 429 sooner is refused again, and counts against the limit. After 5xx a caller hears the ringing tone, and the
    end of the rate limit's window, which every answer carries, says nothing about it."""
    telnyx = Telnyx(httpx2.Response(status, headers=headers, json={}), OK)
    async with telnyx.control() as control:
        await control.send(Hangup(command_id="c-1"), CALL)

    assert telnyx.clock.pauses == [wait_ms]


async def test_each_try_is_told() -> None:
    """An answer after four seconds looks like a slow Telnyx, unless one sees the three that failed before."""
    told: list[Retry] = []
    telnyx = Telnyx(httpx2.Response(503), httpx2.ReadTimeout("x"), OK, clock=HurriedClock())
    async with telnyx.control() as control:
        reply = await control.send(Hangup(command_id="c-1"), CALL, on_retry=told.append)

    assert [(retry.attempt, retry.status, retry.wait_ms, retry.latency_ms) for retry in told] == [
        (1, 503, 500.0, 100.0),
        (2, None, 400.0, 100.0),
    ]
    assert (reply.attempts, reply.latency_ms) == (3, 1200.0)


async def test_a_call_that_is_over_needs_no_command() -> None:
    """It ended while we waited for the next try."""
    telnyx = Telnyx(httpx2.Response(503), httpx2.Response(503), OK)
    ended = iter([False, False, True])
    async with telnyx.control() as control:
        with pytest.raises(ControlError) as caught:
            await control.send(Hangup(command_id="c-1"), CALL, is_over=lambda: next(ended))

    assert (len(telnyx.requests), caught.value.status) == (2, 503)


async def test_the_time_before_a_restart_counts() -> None:
    """Sent 49.9 s ago by a process that is gone: one try is left, and no pause."""
    telnyx = Telnyx(httpx2.Response(503), OK)
    async with telnyx.control() as control:
        with pytest.raises(ControlError):
            await control.send(Hangup(command_id="c-1"), CALL, spent_ms=RETRY_MS_MAX - 100)

    assert len(telnyx.requests) == 1


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 422])
async def test_a_refusal_is_final(status: int) -> None:
    """The same words would be refused again; meanwhile the caller waits."""
    telnyx = Telnyx(httpx2.Response(status, json={"errors": [{"code": "1", "title": "no"}]}))
    error = await refused(telnyx)

    assert len(telnyx.requests) == 1
    assert (error.status, error.retryable, error.attempts) == (status, False, 1)


async def test_the_time_of_all_tries_is_counted() -> None:
    """An operator who sees 100 ms looks elsewhere for the second that the caller waited."""
    clock = HurriedClock()
    telnyx = Telnyx(httpx2.Response(503), OK, httpx2.Response(503), httpx2.Response(422), clock=clock)
    async with telnyx.control() as control:
        reply = await control.send(Hangup(command_id="c-1"), CALL)
        with pytest.raises(ControlError) as caught:
            await control.send(Hangup(command_id="c-2"), CALL)

    assert (reply.latency_ms, reply.attempts) == (700.0, 2)
    assert (caught.value.latency_ms, caught.value.attempts) == (700.0, 2)


# --- what a refusal tells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "401-10009",
        "404-10005",
        "422-10032-bad-enum",
        "422-90015-bad-call-control-id",
        "422-90018-call-ended",
        "422-90034-not-answered",
    ],
)
async def test_telnyxs_own_words_are_kept(name: str) -> None:
    """Code and detail are what can be looked up; they stand in the timeline and in `callpath calls show`."""
    document = sample(f"api/error-{name}.json")["errors"][0]
    error = await refused(Telnyx(refusal(name)))

    assert (error.command, error.command_id, error.status) == ("hangup", "c-1", int(name[:3]))
    assert (error.code, error.detail) == (document["code"], document.get("detail") or document["title"])
    assert str(error).startswith(f"hangup was refused: {error.status} {error.code} {error.detail}")
    assert (document.get("source") or {}).get("pointer", "") in str(error)


async def test_a_proxys_page_is_shown_as_what_it_is() -> None:
    """The refusal came from something in between, and its words are the trace; but only the beginning of them."""
    page = "<html><title>Access denied by gateway</title>" + 10_000 * "x"
    error = await refused(Telnyx(httpx2.Response(403, html=page)))

    assert (error.status, error.code) == (403, None)
    assert "not Telnyx's error format" in str(error)
    assert "Access denied by gateway" in str(error)
    assert len(str(error)) < 500
    assert "  " not in str(error)


async def test_a_connection_that_fails_is_named_with_its_host() -> None:
    """With a wrong TELNYX_API_BASE, this line is all there is to see it by."""
    timed_out = await refused(Telnyx(*(httpx2.ConnectTimeout("") for _ in range(20))))
    failed = await refused(Telnyx(*(httpx2.ConnectError("[Errno 111] refused") for _ in range(20))))

    assert str(timed_out) == "hangup: the connection to api.telnyx.com timed out: ConnectTimeout"
    assert str(failed) == "hangup: the connection to api.telnyx.com failed: [Errno 111] refused"
    assert (failed.status, failed.code, failed.detail) == (None, None, str(failed).removeprefix("hangup: "))


@pytest.mark.parametrize("answer", [httpx2.Response(401, json={}), httpx2.Response(403, text="no")])
async def test_the_key_is_never_in_the_text(answer: httpx2.Response) -> None:
    """Errors are logged and pasted into issues."""
    error = await refused(Telnyx(answer))

    assert KEY not in f"{error} {error.detail} {error!r}"


# --- the connection between two calls --------------------------------------------------------------------------------


async def test_the_connection_is_kept_warm_while_nothing_is_sent() -> None:
    """The `answer` of a call after a quiet hour must not pay for a TLS handshake. While commands go out, and where a
    command failed just now, there is nothing to do; a failure of the request itself is no news."""
    clock = ManualClock()
    requests: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if len(requests) == 2:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200 if request.method == "POST" else 401)

    transport = httpx2.MockTransport(answer)
    control = Control(api_base=API_BASE, api_key=KEY, clock=clock, transport=transport)
    async with control, asyncio.TaskGroup() as tasks:
        warming = tasks.create_task(control.keep_warm())
        await clock.advance(WARM_EVERY_MS - 1_000)
        await control.send(Hangup(command_id="c-1"), CALL)
        await clock.advance(WARM_EVERY_MS - 1_000)
        before = len(requests)
        await clock.advance(WARM_EVERY_MS + 2_000)
        warming.cancel()

    assert before == 1
    assert [(one.method, one.url.path) for one in requests[1:]] == 2 * [("HEAD", "/v2/balance")]
    assert WARM_EVERY_MS / 1000 < KEEP_ALIVE_S


async def test_without_tls_there_is_nothing_to_keep_warm() -> None:
    """The simulator's log shows the bot's own requests only."""
    telnyx = Telnyx()
    async with telnyx.control("http://127.0.0.1:1/v2") as control:
        await control.keep_warm()

    assert telnyx.requests == []


async def test_an_idle_connection_serves_the_next_command() -> None:
    """After more than the HTTP client's own 5 s. Over a real socket, and the client's own clock turned forward."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{" + b'"data": []}')
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        api_base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2"
        async with Control(api_base=api_base, api_key=KEY, clock=ManualClock()) as control:
            await control.call_events(SessionId("s1"))
            now = time.monotonic
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(time, "monotonic", lambda: now() + KEEP_ALIVE_S - 10)
                await control.call_events(SessionId("s1"))

    assert connections == 1


# --- asking about a call ---------------------------------------------------------------------------------------------


async def test_a_call_is_looked_up() -> None:
    """After a restart the server asks which of its calls are still alive."""
    telnyx = Telnyx(httpx2.Response(200, text=sample_text("api/call-status.response.200.json")))
    async with telnyx.control() as control:
        status = await control.call_status(CALL)
    (request,) = telnyx.requests
    data = sample("api/call-status.response.200.json")["data"]

    assert (request.method, request.url.raw_path) == ("GET", f"/v2/calls/{ENCODED}".encode())
    assert request.content == b""
    assert "content-type" not in request.headers
    assert (status.call_control_id, status.is_alive) == (data["call_control_id"], data["is_alive"])


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": {}}'])
async def test_an_answer_without_a_call_in_it_is_a_control_error(body: bytes) -> None:
    """It is the one error that callers of the client expect."""
    telnyx = Telnyx(httpx2.Response(200, content=body))
    async with telnyx.control() as control:
        with pytest.raises(ControlError) as caught:
            await control.call_status(CALL)

    assert (caught.value.command, caught.value.status, caught.value.retryable) == ("call status", 200, False)


async def test_the_events_of_a_call_are_read_page_by_page() -> None:
    """Those that were missed may stand on the last."""
    pages = [
        httpx2.Response(200, json={"data": [{"type": "webhook", "name": name}], "meta": {"total_pages": 2}})
        for name in ("call.initiated", "call.answered")
    ]
    telnyx = Telnyx(*pages)
    async with telnyx.control() as control:
        events = await control.call_events(SessionId("s/1"))

    assert [event.name for event in events] == ["call.initiated", "call.answered"]
    assert [request.url.raw_path for request in telnyx.requests] == [
        f"/v2/call_events?filter[application_session_id]=s%2F1&page[number]={number}&page[size]=250".encode()
        for number in (1, 2)
    ]


async def test_the_older_name_of_the_filter_is_tried() -> None:
    """The API was given another name for it; which one an account's version knows is not documented."""
    unknown = httpx2.Response(400, json={"errors": [{"code": "10031", "title": "Invalid filter"}]})
    telnyx = Telnyx(unknown, httpx2.Response(200, json={"data": [], "meta": {}}))
    async with telnyx.control() as control:
        events = await control.call_events(SessionId("s1"))

    assert events == []
    assert b"filter[call_session_id]=s1" in telnyx.requests[1].url.raw_path


async def test_a_compressed_answer_is_read() -> None:
    """The HTTP client offers gzip by itself."""
    body = gzip.compress(sample_text("api/call-status.response.200.json").encode())
    answer = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(body))
    async with Telnyx(answer).control() as control:
        status = await control.call_status(CALL)

    assert status.call_leg_id == sample("api/call-status.response.200.json")["data"]["call_leg_id"]


async def test_a_conference_is_found_by_its_name() -> None:
    """The server's filter may find others, and one that is over is none."""
    row = {"id": "1", "name": "stand-up", "created_at": "", "expires_at": "", "status": "in_progress"}
    rows = [row | {"id": "0", "name": "stand-up 2"}, row | {"id": "2", "status": "completed"}, row]
    participants = httpx2.Response(200, text=sample_text("api/conference_participants.response.200.json"))
    telnyx = Telnyx(httpx2.Response(200, json={"data": rows}), httpx2.Response(200, json={"data": []}), participants)
    async with telnyx.control() as control:
        found, none = await control.find_conference("stand-up"), await control.find_conference("other")
        listed = await control.participants("1")

    assert found is not None and "1" == found.id
    assert none is None
    assert [one["call_control_id"] for one in sample("api/conference_participants.response.200.json")["data"]] == [
        one.call_control_id for one in listed
    ]
    paths = [request.url.raw_path for request in telnyx.requests]
    assert b"/v2/conferences?filter[name]=stand-up&filter[status]=in_progress" == paths[0]
    assert b"/v2/conferences/1/participants?page[size]=250" == paths[2]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data": {}}'])
async def test_an_answer_without_conferences_in_it_is_a_control_error(body: bytes) -> None:
    """A proxy's page must not be taken for: there is none."""
    telnyx = Telnyx(httpx2.Response(200, content=body))
    async with telnyx.control() as control:
        with pytest.raises(ControlError) as caught:
            await control.find_conference("stand-up")

    assert "conferences" == caught.value.command
