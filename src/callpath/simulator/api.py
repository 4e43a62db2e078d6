"""The Call Control API over HTTP: reads a request, asks the `Exchange`, answers in Telnyx's shape.

Start at `build_app`. What is legal in a call is decided in `call`, what a body may hold in `refusal`; what can be asked
about calls and the account is in `account`.
"""

from __future__ import annotations

import difflib
import hmac
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from callpath.errors import RemoteProtocolError
from callpath.simulator.account import AccountSource, account_routes, data
from callpath.simulator.link import ApiAnswer
from callpath.simulator.refusal import Refused, refuse
from callpath.wire.api import ApiError, CallStatus, encode_errors
from callpath.wire.command import COMMANDS
from callpath.wire.conference import CONFERENCE_COMMANDS, Conference
from callpath.wire.document import Json, parse_json, write

BODY_BYTES_MAX = 1 << 20
"""Room for `playback_content`; Telnyx's own limit is unknown."""

NOT_SIMULATED = (
    "ai_assistant_add_messages",
    "ai_assistant_join",
    "ai_assistant_start",
    "ai_assistant_stop",
    "gather_using_ai",
    "pay",
    "send_sip_info",
    "siprec_start",
    "siprec_stop",
)
"""Actions that Telnyx has and this simulator has not: answered with 501, so that nobody takes them for done."""

ACTIONS = tuple(name for name in COMMANDS if name != "dial" and name not in NOT_SIMULATED)
CONFERENCE_NOT_SIMULATED = ("gather_using_audio",)
"""Actions of a conference that Telnyx has and this simulator has not."""

CONFERENCE_ACTIONS = tuple(
    name for name in CONFERENCE_COMMANDS if name != "create" and name not in CONFERENCE_NOT_SIMULATED
)

RESOURCES_NOT_SIMULATED = (
    "ai",
    "audit_events",
    "billing_groups",
    "call_control_applications",
    "connections",
    "credential_connections",
    "detail_records",
    "dial_metrics",
    "fqdn_connections",
    "ip_connections",
    "media",
    "messages",
    "messaging_profiles",
    "noise_suppression_engines",
    "notification_channels",
    "notification_event_conditions",
    "notification_events",
    "notification_profiles",
    "notification_settings",
    "number_lookup",
    "number_orders",
    "outbound_voice_profiles",
    "phone_numbers",
    "recording_transcriptions",
    "recordings",
    "rooms",
    "session_analysis",
    "speech",
    "spend_limits",
    "telephony_credentials",
    "texml",
    "texml_applications",
    "text-to-speech",
    "usage_reports",
    "whoami",
)
"""First parts of paths that Telnyx's API has, by its OpenAPI file of 2026-07-16 and its SDK 4.189.0. Where no route here
answers, the request gets 501: 404 would say that the thing does not exist."""


class Exchange(AccountSource, Protocol):
    """What the API needs from the simulator behind it. Methods raise Refused."""

    @property
    def api_key(self) -> str: ...

    def dial(self, document: Json) -> CallStatus: ...

    async def command(self, call_control_id: str, name: str, document: Json) -> Json: ...

    def api_fault(self, call_control_id: str | None, name: str) -> ApiAnswer | None: ...

    async def pause(self, duration_ms: float) -> None: ...

    def request_limit(self) -> RateLimit | None: ...

    def turned_away(
        self,
        method: str,
        path: str,
        name: str,
        status: int,
        errors: tuple[ApiError, ...],
        *,
        remark: str = "",
        injected: bool = False,
    ) -> None: ...

    def recording_file(self, name: str) -> bytes | None: ...

    def create_conference(self, document: Json) -> Conference: ...

    def create_queue(self, document: Json) -> Json: ...

    def conference_command(self, id_or_name: str, name: str, document: Json) -> None: ...


def build_app(exchange: Exchange) -> Starlette:
    """The ASGI application, all routes below /v2."""

    async def dial(request: Request) -> Response:
        body = await _body(request)

        async def carry_out() -> Json:
            return write(exchange.dial(body))

        return await _met(exchange, request, exchange.api_fault(None, "dial"), carry_out)

    async def act(request: Request) -> Response:
        name, call_control_id = request.path_params["action"], request.path_params["call_control_id"]
        if name in NOT_SIMULATED:
            raise Refused(501, _not_simulated(name))
        if name not in ACTIONS or request.method != COMMANDS[name].METHOD:
            raise refuse("10005")
        body = await _body(request)

        async def carry_out() -> Json:
            return await exchange.command(call_control_id, name, body)

        return await _met(exchange, request, exchange.api_fault(call_control_id, name), carry_out)

    async def create_conference(request: Request) -> Response:
        return data(write(exchange.create_conference(await _body(request))))

    async def create_queue(request: Request) -> Response:
        return data(exchange.create_queue(await _body(request)))

    async def act_on_conference(request: Request) -> Response:
        name, conference = request.path_params["action"], request.path_params["conference"]
        if name in CONFERENCE_NOT_SIMULATED:
            raise Refused(501, _not_simulated(f"the conference action {name}"))
        if name not in CONFERENCE_ACTIONS:
            raise refuse("10005")
        exchange.conference_command(conference, name, await _body(request))
        return data({"result": "ok"})

    async def recording(request: Request) -> Response:
        name = request.path_params["name"]
        content = exchange.recording_file(name)
        if content is None:  # as the storage behind Telnyx's addresses answers when their time is over
            return Response("Request has expired", status_code=403)
        return Response(content, media_type="audio/wav" if name.endswith(".wav") else "audio/mpeg")

    async def unknown(request: Request) -> Response:
        resource = request.url.path.removeprefix("/v2/").partition("/")[0]
        if request.url.path.startswith("/v2/") and resource in RESOURCES_NOT_SIMULATED:
            raise Refused(501, _not_simulated(f"/{resource}"))
        raise refuse("10005")

    def route(path: str, handle: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        return Route(f"/v2{path}", _guarded(exchange, handle), methods=list(methods))

    every = ("GET", "POST", "PUT", "PATCH", "DELETE")
    return Starlette(
        routes=[
            route("/calls", dial, "POST"),
            route("/calls/{call_control_id}/actions/{action}", act, "POST", "PUT"),
            route("/queues", create_queue, "POST"),
            route("/conferences", create_conference, "POST"),
            route("/conferences/{conference}/actions/{action}", act_on_conference, "POST"),
            *(route(path, handle, method) for path, handle, method in account_routes(exchange, _body)),
            Route("/recordings/{name}", recording, methods=["GET"]),
            Route("/{path:path}", _guarded(exchange, unknown), methods=list(every)),
        ]
    )


def _guarded(
    exchange: Exchange, handle: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """Check the key first, and turn what is refused into Telnyx's error document."""

    async def guarded(request: Request) -> Response:
        try:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {exchange.api_key}".encode()):
                raise refuse("10009")
            if limit is not None and not limit.take():
                raise refuse("10011")
            answer = await handle(request)
        except Refused as refused:
            if not refused.on_record:
                _note(exchange, request, refused)
            body = encode_errors(*refused.errors) if refused.document is None else msgspec.json.encode(refused.document)
            answer = Response(body, status_code=refused.status, media_type="application/json")
        except ClientDisconnect:
            return Response(status_code=400)  # a program that was killed while it asked
        if limit is not None:
            answer.headers.update(limit.headers())
        return answer

    limit = exchange.request_limit()
    return guarded


class RateLimit:
    """At most `most` in any `window_ms`. `now_ms` is the clock."""

    def __init__(self, most: int, window_ms: float, now_ms: Callable[[], float]) -> None:
        self._most = most
        self._window_ms = window_ms
        self._now_ms = now_ms
        self._taken: deque[float] = deque()

    def take(self) -> bool:
        """Whether one more is within the limit; then it counts."""
        self._forget()
        if len(self._taken) >= self._most:
            return False
        self._taken.append(self._now_ms())
        return True

    def headers(self) -> dict[str, str]:
        """Telnyx's three: the limit, what is left of it, and the seconds until there is more."""
        self._forget()
        wait_ms = self._taken[0] + self._window_ms - self._now_ms() if self._taken else 0.0
        return {
            "x-ratelimit-limit": str(self._most),
            "x-ratelimit-remaining": str(self._most - len(self._taken)),
            "x-ratelimit-reset": str(math.ceil(wait_ms / 1000)),
        }

    def _forget(self) -> None:
        while self._taken and self._now_ms() - self._taken[0] >= self._window_ms:
            self._taken.popleft()


def _note(exchange: Exchange, request: Request, refused: Refused) -> None:
    """Keep what was turned away for the reports, with what the simulator can tell of the reason."""
    path = request.scope.get("raw_path", b"").decode("latin-1") or request.url.path
    remark = ""
    if refused.status == 401:
        remark = _key_remark(request.headers.get("authorization"), exchange.api_key)
    elif refused.status == 404 and not path.startswith("/v2/"):
        remark = "the path does not begin with /v2"
    elif refused.status == 404 and path.startswith("/v2/v2/"):
        remark = "the path has /v2 twice"
    elif refused.status == 404:
        remark = _known_action(request)
    elif refused.status == 400 and "json" not in request.headers.get("content-type", "json"):
        remark = f"the body is {request.headers['content-type'].partition(';')[0]}, and not JSON"
    exchange.turned_away(request.method, path, _name_of(request), refused.status, refused.errors, remark=remark)


def _name_of(request: Request) -> str:
    """A command's name, or method and path of anything else."""
    match request.url.path.removeprefix("/v2").strip("/").split("/"):
        case ["calls"] if request.method == "POST":
            return "dial"
        case ["calls", _, "actions", name]:
            return name
        case _:
            return f"{request.method} {request.url.path}"


def _known_action(request: Request) -> str:
    name = _name_of(request)
    if " " in name:
        return ""
    if request.url.path.endswith("/"):
        return "the path ends with a slash"
    if name in ACTIONS:
        return f"{name} is a {COMMANDS[name].METHOD}, not a {request.method}"
    near = difflib.get_close_matches(name, (*ACTIONS, *NOT_SIMULATED), 1)
    return f"Telnyx has no action {name}" + (f"; did you mean {near[0]}?" if near else "")


def _key_remark(given: str | None, key: str) -> str:
    """What is wrong with an Authorization header, without the key that stands in it."""
    if given is None:
        return "it has no Authorization header"
    scheme, _, rest = given.partition(" ")
    if given == key:
        return 'the Authorization header has the key without "Bearer "'
    if scheme.lower() != "bearer":
        return f"the Authorization header is {scheme[:20]!r} instead of Bearer" if rest else "it has no Bearer token"
    if not rest.strip() or rest.strip() in ("undefined", "None", "null"):
        return "the API key is empty: TELNYX_API_KEY is not set in the program"
    if rest.strip() == key:
        return "the Authorization header has blanks around the key"
    return "the API key is another one than the simulator's"


async def _met(
    exchange: Exchange, request: Request, fault: ApiAnswer | None, carry_out: Callable[[], Awaitable[Json]]
) -> Response:
    """The answer to a command, or what a fault makes of it. Raises Refused."""
    result = await carry_out() if fault is None or fault.carried_out else None
    if fault is None:
        return data(result or {})
    await exchange.pause(fault.delay_ms)
    if result is None:
        injected = ApiError(code=fault.code, title=fault.title)
        exchange.turned_away(
            request.method, request.url.path, _name_of(request), fault.status, (injected,), injected=True
        )
    if fault.status == 0:
        return _Reset()
    if result is not None:
        return data(result)
    error = ApiError(code=fault.code, title=fault.title, meta={"simulated_by": "callpath"})
    return Response(encode_errors(error), status_code=fault.status, media_type="application/json")


class _Reset(Response):
    """No answer: the connection breaks."""

    async def __call__(self, _: Scope, receive: Receive, __: Send) -> None:
        # ASGI has no word for it; uvicorn's `receive` belongs to the exchange, which has the connection.
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        assert transport is not None, "the simulator runs on uvicorn"
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass  # uvicorn would complain of an answer that never began


async def _body(request: Request) -> Json:
    """The JSON object of the request; nothing at all counts as an empty one."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise Refused(413, *refuse("10015").errors)
    if not body.strip():
        return {}
    try:
        return parse_json(body, "body")
    except RemoteProtocolError:
        raise refuse("10015") from None


def _not_simulated(name: str) -> ApiError:
    return ApiError(
        code="10007",
        title="Not simulated",
        detail=f"Telnyx has {name}, this simulator has not.",
        meta={"simulated_by": "callpath"},
    )
