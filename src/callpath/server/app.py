"""Puts the server together: one ASGI application with the webhook route, the audio route and the health pages.

    asgi = create_asgi(app, settings)        # then: uvicorn.run(asgi), or mount it in a larger application

Mounted in another application, its lifespan must be entered by that one: `async with asgi.router.lifespan_context(asgi)`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from callpath import __version__
from callpath.api.app import App
from callpath.api.recording import check_folder
from callpath.audio.codec import CODECS, NoEncoder, open_decoder, open_encoder
from callpath.call.address import ANSWERED_BY_HEADER, AUDIO_PATH, AUDIO_PATH_WITH_TOKEN, WEBHOOK_PATH
from callpath.call.destinations import EXAMPLE, parse_prefixes
from callpath.call.numbers import is_number
from callpath.call.plan import StreamPlan
from callpath.call.policies import CallPolicy, parse_refusal, parse_steps
from callpath.clock import Clock, SystemClock
from callpath.config import Settings, is_loopback, require_public_url
from callpath.control import Control
from callpath.errors import AudioError, ConfigError
from callpath.server.blocking import BlockWatch
from callpath.server.calls import Calls
from callpath.server.context import Context, DialsAs
from callpath.server.dialling import Dials
from callpath.server.guard import mark_authenticated
from callpath.server.journal import write_entry
from callpath.server.limits import ClientAddress, ConnectionLimiter, parse_client_address
from callpath.server.media import AudioEndpoint
from callpath.server.metrics import CONTENT_TYPE, Metrics, MetricsAuth
from callpath.server.probe import ProbeEndpoint
from callpath.server.prober import Examine, StreamProber
from callpath.server.recovery import Recovery
from callpath.server.retention import delete_by_age
from callpath.server.tokens import CallTokens
from callpath.server.uploads import Uploads
from callpath.server.webhooks import WebhookEndpoint
from callpath.server.workers import Worker
from callpath.store.archive import open_archive
from callpath.store.lock import lock_log
from callpath.store.port import CallLog
from callpath.store.sql import open_call_log
from callpath.wire.document import Json
from callpath.wire.signature import load_public_key
from callpath.wire.webhook import Webhook

if TYPE_CHECKING:
    from callpath.server.traces import Traces

SECRET_CHARS_MIN = 16

ANSWER_RATE_HZ = 8000
"""Of what we play on a stream that is asked for within `answer`: Telnyx's default."""

_TOKEN_IN_PATH = re.compile("(/audio/)[^/]+")
"""Also where a proxy has put something before it or behind."""


class Extra(Protocol):
    """More routes on the same server, told once it runs what they may work on: the dashboard."""

    routes: list[BaseRoute]

    def attach(
        self, log: CallLog, receive_webhook: Callable[[Webhook, Json], Awaitable[bool]], app: App, dials: Dials
    ) -> None: ...


def create_asgi(
    app: App,
    settings: Settings,
    clock: Clock | None = None,
    *,
    examine: Examine | None = None,
    extra: Extra | None = None,
    worker: Worker | None = None,
    recovers: bool = True,
    locked: bool = False,
    traces: Traces | None = None,
) -> Starlette:
    """The ASGI application of a call server, with the routes of `extra` besides its own. `examine` tries the URL of a
    stream that did not come; None: nobody does. `worker`: which of several this process is. `recovers`: calls that another
    process left behind; not where Telnyx is simulated, which knows nothing of them. `locked`: the caller keeps other
    servers away from the call log (`store.lock`). `traces` gets each call that is over.

    Raises ConfigError when something is missing without which no call could work.
    """
    if app.handler is None:
        raise ConfigError("the App", "has no handler", "Decorate one coroutine with @app.call")
    require_public_url(settings)
    if not settings.telnyx_api_key:
        hint = "Copy an API v2 key from the Telnyx portal, for example TELNYX_API_KEY=KEY0123…"
        raise ConfigError("TELNYX_API_KEY", "is missing: calls cannot be answered without it", hint)
    if not settings.telnyx_public_key:
        hint = "Copy it from the Telnyx portal, Keys & Credentials, Public Key"
        raise ConfigError("TELNYX_PUBLIC_KEY", "is missing: webhooks could not be told from forged ones", hint)
    if settings.dial_from and not is_number(settings.dial_from):
        raise ConfigError("CALLPATH_DIAL_FROM", "is no number in E.164", "Right is CALLPATH_DIAL_FROM=+15555550100")
    dials_as = _dials_as(settings)
    public_key = load_public_key(settings.telnyx_public_key)
    _check_secrets(settings)
    _check_codecs(app, settings)
    clock = clock or SystemClock()
    policy = call_policy(settings)
    plan = stream_plan(settings)
    tokens = _tokens(settings)
    client_header = parse_client_address("CALLPATH_CLIENT_ADDRESS", settings.client_address)
    metrics = Metrics(worker)
    metrics_auth = MetricsAuth(settings)
    limiter = ConnectionLimiter()
    recordings = settings.data_dir / "recordings"
    if settings.record:
        check_folder(recordings)
    if settings.recordings:
        with suppress(OSError):  # opening the call log says it better
            recordings.mkdir(parents=True, exist_ok=True)
    archive = open_archive(settings.recordings, recordings)

    @asynccontextmanager
    async def lifespan(asgi: Starlette) -> AsyncIterator[None]:
        alone = recovers and worker is None and settings.workers == 1 and not locked
        with lock_log(settings.log_url()) if alone else nullcontext():
            async with serve_calls(asgi):
                yield
        if traces is not None:
            await asyncio.to_thread(traces.close)

    @asynccontextmanager
    async def serve_calls(asgi: Starlette) -> AsyncIterator[None]:
        async with (
            open_call_log(settings.log_url(), shared=settings.workers > 1) as log,
            Control(api_base=settings.telnyx_api_base, api_key=settings.telnyx_api_key, clock=clock) as control,
        ):
            context = Context(
                app=app,
                log=log,
                control=control,
                plan=plan,
                tokens=tokens,
                clock=clock,
                metrics=metrics,
                policy=policy,
                node=worker.node if worker is not None else None,
                data_dir=settings.data_dir,
                byte_order=settings.l16_byte_order,
                record=settings.record,
                dials_as=dials_as,
                calls_max=settings.calls_max,
                loop_lag_ms_max=settings.loop_lag_ms_max,
                prober=StreamProber(examine, clock, plan, tokens)
                if examine is not None and settings.probe_missing
                else None,
                uploads=Uploads(
                    archive, recordings, log=log, write=partial(write_entry, log, metrics), clock=clock, metrics=metrics
                )
                if archive is not None
                else None,
                traces=traces,
                recovers=recovers,
            )
            recovery = Recovery(context, settings.after_restart)
            calls = Calls(context, recover=recovery.add if recovers else None)
            asgi.state.calls = calls
            app.dialler = dials = Dials(calls)
            app.conferences.directory = control
            asgi.state.webhooks = WebhookEndpoint(calls=calls, key=public_key, clock=clock)
            probe = ProbeEndpoint(tokens=_probe_tokens(settings), limits=context.limits)
            asgi.state.audio = AudioEndpoint(calls=calls, probe=probe, clock=clock)
            limiter.turned_away = context.limits.turned_away
            if extra is not None:
                extra.attach(log, calls.receive_webhook, app, dials)
            async with calls.running():
                context.tasks.spawn(control.keep_warm(), name="keep the connection to Telnyx warm")
                if settings.blocked_ms:
                    watch = BlockWatch(blocked_ms=settings.blocked_ms, note=calls.note_blockage, clock=clock)
                    context.tasks.spawn(watch.run(), name="watch for a blocked event loop")
                if recovers:
                    context.tasks.spawn(recovery.run(calls), name="recover calls")
                if worker is not None:
                    context.tasks.spawn(metrics.serve_peers(), name="tell other workers")
                if context.uploads is not None:
                    context.tasks.spawn(context.uploads.run(), name="upload recordings")
                if settings.keep_days:
                    deleting = delete_by_age(log, settings.data_dir, settings.keep_days, clock, archive)
                    context.tasks.spawn(deleting, name="delete by age")
                yield

    async def webhook(request: Request) -> Response:
        endpoint: WebhookEndpoint = request.app.state.webhooks
        return await endpoint(request)

    async def tell_metrics(request: Request) -> Response:
        refused = metrics_auth.refusal(request.headers, request.client.host if request.client else None)
        if refused is not None:
            metrics.rejected("metrics", refused.reason)
            answer = {"error": refused.reason, "detail": refused.detail}
            headers = {"www-authenticate": "Bearer"} if refused.status == 401 else None
            return JSONResponse(answer, status_code=refused.status, headers=headers)
        mark_authenticated(request)
        return Response(await metrics.of_all_workers(), media_type=CONTENT_TYPE, headers={"cache-control": "no-store"})

    asgi = Starlette(
        lifespan=lifespan,
        routes=[
            Route(WEBHOOK_PATH, webhook, methods=["POST"]),
            WebSocketRoute(AUDIO_PATH, _AudioRoute()),
            WebSocketRoute(AUDIO_PATH_WITH_TOKEN, _AudioRoute()),
            Route(AUDIO_PATH, _no_upgrade),
            Route(AUDIO_PATH_WITH_TOKEN, _no_upgrade),
            Route("/healthz", _healthz),
            Route("/readyz", _readyz),
            Route("/version", _version),
            Route("/metrics", tell_metrics),
            *(extra.routes if extra is not None else ()),
        ],
    )
    asgi.state.connection_limiter = limiter
    asgi.router.default = _no_such_path
    asgi.router.redirect_slashes = False  # to a host that the request itself names, and to http behind TLS
    if client_header is not None:
        asgi.add_middleware(ClientAddress, header=client_header)
    asgi.add_middleware(_AnsweredBy)
    return asgi


def _dials_as(settings: Settings) -> DialsAs:
    """How calls are dialled, and which. Raises ConfigError."""
    allowed = parse_prefixes("CALLPATH_DIAL_ALLOW", settings.dial_allow)
    if settings.dial_token and not allowed:
        raise ConfigError(
            "CALLPATH_DIAL_ALLOW", "is missing: with CALLPATH_DIAL_TOKEN alone any number could be dialled", EXAMPLE
        )
    if settings.dial_token and not settings.dashboard:
        raise ConfigError(
            "CALLPATH_DASHBOARD",
            "is off, and with it the JSON API: CALLPATH_DIAL_TOKEN has no effect",
            "Set CALLPATH_DASHBOARD=true, or leave the token out",
        )
    if settings.dial_token and settings.dial_token == settings.dashboard_token:
        raise ConfigError(
            "CALLPATH_DIAL_TOKEN",
            "is CALLPATH_DASHBOARD_TOKEN: whoever may look could dial",
            "Take another one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if settings.dial_seconds_max and not 30 <= settings.dial_seconds_max <= 14_400:
        raise ConfigError(
            "CALLPATH_DIAL_SECONDS_MAX", f"is {settings.dial_seconds_max}", "Right is 30 to 14400, or 0 for no limit"
        )
    return DialsAs(
        settings.telnyx_connection_id,
        settings.dial_from,
        allowed=allowed,
        calls_max=settings.dial_calls_max,
        per_minute=settings.dial_per_minute,
        per_day=settings.dial_per_day,
        seconds_max=settings.dial_seconds_max,
    )


def _check_secrets(settings: Settings) -> None:
    """On a public host what can be guessed protects nothing: all of these may be tried by anybody, or in the dark."""
    if is_loopback(urlsplit(settings.public_url).hostname or ""):
        return
    for name, secret in (
        ("CALLPATH_SECRET", settings.secret),
        ("CALLPATH_DASHBOARD_TOKEN", settings.dashboard_token),
        ("CALLPATH_METRICS_TOKEN", settings.metrics_token),
        ("CALLPATH_DIAL_TOKEN", settings.dial_token),
    ):
        if 0 < len(secret) < SECRET_CHARS_MIN:
            raise ConfigError(
                name,
                f"has {len(secret)} characters, and can be guessed",
                f"Take {SECRET_CHARS_MIN} or more at random: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
            )


def _check_codecs(app: App, settings: Settings) -> None:
    """At start, not in the first call: a rate the codec does not have or nobody could ask for, AMR-WB, a missing extra."""
    only_raw = all(route.raw for route in app.routes)
    try:
        (NoEncoder if only_raw else open_encoder)(settings.play_codec, settings.play_rate_hz)
    except AudioError as error:
        raise ConfigError("CALLPATH_PLAY_CODEC", f"cannot be used: {error}", "PCMU at 8000 Hz always works") from None
    if settings.stream_with_answer and settings.play_rate_hz != ANSWER_RATE_HZ:
        raise ConfigError(
            "CALLPATH_PLAY_RATE_HZ",
            f"is {settings.play_rate_hz}, and `answer` has no parameter for it: such a stream is at {ANSWER_RATE_HZ} Hz",
            f"Set it to {ANSWER_RATE_HZ}, or leave CALLPATH_STREAM_WITH_ANSWER off",
        )
    if settings.stream_codec == "default" or only_raw:
        return
    try:
        open_decoder(settings.stream_codec, CODECS[settings.stream_codec].rates_hz[0])
    except AudioError as error:
        raise ConfigError("CALLPATH_STREAM_CODEC", f"cannot be used: {error}", "PCMU always works") from None


def stream_plan(settings: Settings) -> StreamPlan:
    """How the settings want streams to be asked for."""
    return StreamPlan(
        public_url=settings.public_url,
        with_answer=settings.stream_with_answer,
        token_in_path=settings.token_in == "path" or (settings.stream_with_answer and settings.token_in != "off"),
        track=settings.stream_track,
        codec=settings.stream_codec,
        play_codec=settings.play_codec,
        play_rate_hz=settings.play_rate_hz,
        target_legs=settings.target_legs,
    )


def call_policy(settings: Settings) -> CallPolicy:
    """How long what may take, as the settings say. Raises ConfigError."""
    return CallPolicy(
        reconnect_ms=settings.reconnect_ms,
        socket_within_ms=settings.socket_within_ms,
        no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", settings.no_socket_then),
        refuse_with=parse_refusal("CALLPATH_REFUSE_WITH", settings.refuse_with),
        media_idle_ms=settings.media_idle_ms,
        no_handler_ms=settings.no_handler_ms,
        call_ms_max=settings.call_ms_max,
    )


def _tokens(settings: Settings) -> CallTokens | None:
    if settings.token_in == "off":
        return None
    return CallTokens(settings.secret or settings.telnyx_api_key)


def _probe_tokens(settings: Settings) -> CallTokens | None:
    """On this machine anybody may probe: there is nobody else here."""
    host = urlsplit(settings.public_url).hostname or ""
    return None if is_loopback(host) else _tokens(settings)


class _AudioRoute:
    """Finds the endpoint that the lifespan made."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint: AudioEndpoint = scope["app"].state.audio
        await endpoint(scope, receive, send)


async def _no_such_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Say where things are. Left to itself Starlette answers a stray upgrade with an empty 403, which looks like a
    firewall."""
    path = _TOKEN_IN_PATH.sub(r"\1***", scope["path"])
    answer = JSONResponse(
        {
            "error": "no_such_path",
            "detail": f"callpath answers here, but has no {path[:200]}: events go to {WEBHOOK_PATH}, "
            f"audio to {AUDIO_PATH}",
        },
        status_code=404,
    )
    if scope["type"] == "websocket":
        websocket = WebSocket(scope, receive, send)
        await _record(websocket, "no_such_path", path)
        await websocket.send_denial_response(answer)
    else:
        await answer(scope, receive, send)


async def _no_upgrade(request: Request) -> Response:
    """An upgrade that lost its headers on the way arrives as a plain GET; "no such path" would send people searching for
    a wrong URL."""
    token = request.path_params.get("token")
    await _record(request, "no_upgrade", request.url.path.replace(token, "***") if token else request.url.path)
    return JSONResponse(
        {
            "error": "no_upgrade",
            "detail": "this is the audio path, and the request arrived without an Upgrade: websocket header. If a carrier "
            "sent it, a proxy on the way removes the header",
        },
        status_code=426,
        headers={"Upgrade": "websocket", "Connection": "Upgrade"},
    )


async def _record(asked: HTTPConnection, reason: str, path: str) -> None:
    """Keep what came in the place of a call's socket, for the doctor. What the doctor itself asks is not kept."""
    calls: Calls | None = getattr(asked.app.state, "calls", None)
    if calls is None:
        return
    prober = calls.context.prober
    if prober is not None and any(session in path for session in prober.under_way):
        return
    client = asked.client.host if asked.client else None
    detail = {
        "no_such_path": "an upgrade came under a path that is not served",
        "no_upgrade": "a request without an Upgrade header came under the audio path",
    }[reason]
    await calls.context.limits.reject("upgrade", reason, detail, client, path)


async def _healthz(_request: Request) -> Response:
    """The process answers. Never touches the store: a slow disk is no reason to kill live calls."""
    return PlainTextResponse("ok\n")


async def _readyz(request: Request) -> Response:
    calls: Calls | None = getattr(request.app.state, "calls", None)
    if calls is None or not calls.ready:
        draining = calls is not None and calls.capacity.draining
        reason = "draining: live calls go on, new ones are refused" if draining else "starting or stopping"
        return JSONResponse({"ready": False, "reasons": [reason]}, status_code=503)
    return JSONResponse({"ready": True})


async def _version(_request: Request) -> Response:
    return JSONResponse({"callpath": __version__})


class _AnsweredBy:
    """Puts our header on every answer, a refused or accepted upgrade included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                ours = (ANSWERED_BY_HEADER.encode(), __version__.encode())
                message["headers"] = [*message.get("headers", []), ours]
            await send(message)

        await self._app(scope, receive, send_with_header)
