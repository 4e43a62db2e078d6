"""The Call Control API over HTTP: reads a request, asks the `Exchange`, answers in Telnyx's shape.

Start at `build_app`. What is legal in a call is decided in `call`, what a body may hold in `refusal`; what can be asked
about calls and the account is in `diagnosis`.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callpath.errors import RemoteProtocolError
from callpath.simulator.diagnosis import Diagnosed, data, diagnosis_routes
from callpath.simulator.refusal import Refused, refuse
from callpath.wire.api import ApiError, CallStatus, encode_errors
from callpath.wire.document import Json, parse_json, write

BODY_BYTES_MAX = 1 << 20
"""Room for `playback_content`; Telnyx's own limit is unknown."""

ACTIONS = ("answer", "hangup", "playback_start", "reject", "speak", "streaming_start", "streaming_stop", "transfer")

NOT_SIMULATED = (
    "bridge",
    "client_state_update",
    "fork_start",
    "fork_stop",
    "gather",
    "gather_using_audio",
    "gather_using_speak",
    "playback_stop",
    "record_start",
    "record_stop",
    "send_dtmf",
    "transcription_start",
    "transcription_stop",
)
"""Actions that Telnyx has and this stand-in has not: answered with 501, so that nobody takes them for done."""


class Exchange(Diagnosed, Protocol):
    """What the API needs from the simulator behind it. Methods raise Refused."""

    @property
    def api_key(self) -> str: ...

    def dial(self, document: Json) -> CallStatus: ...

    async def command(self, call_control_id: str, name: str, document: Json) -> None: ...


def build_app(exchange: Exchange) -> Starlette:
    """The ASGI application, all routes below /v2."""

    async def dial(request: Request) -> Response:
        return data(write(exchange.dial(await _body(request))))

    async def act(request: Request) -> Response:
        name = request.path_params["action"]
        if name in NOT_SIMULATED:
            raise Refused(501, _not_simulated(name))
        if name not in ACTIONS:
            raise refuse("10005")
        await exchange.command(request.path_params["call_control_id"], name, await _body(request))
        return data({"result": "ok"})

    async def unknown(_: Request) -> Response:
        raise refuse("10005")

    def route(path: str, handle: Callable[[Request], Awaitable[Response]], *methods: str) -> Route:
        return Route(f"/v2{path}", _guarded(exchange, handle), methods=list(methods))

    every = ("GET", "POST", "PUT", "PATCH", "DELETE")
    return Starlette(
        routes=[
            route("/calls", dial, "POST"),
            route("/calls/{call_control_id}/actions/{action}", act, "POST", "PUT"),
            *(route(path, handle, method) for path, handle, method in diagnosis_routes(exchange, _body)),
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
            return await handle(request)
        except Refused as refused:
            return Response(encode_errors(*refused.errors), status_code=refused.status, media_type="application/json")

    return guarded


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
        detail=f"Telnyx has {name}, this stand-in has not yet.",
        meta={"simulated_by": "callpath"},
    )
