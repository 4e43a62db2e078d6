"""`callpath serve [echo|record|tone|module:app]`: run the call server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import typer

from callpath.cli.environment import clear_errors, export_for_libraries, load_settings, named_values

if TYPE_CHECKING:
    from callpath.api.app import App
    from callpath.config import Settings
    from callpath.dashboard.app import Dashboard
    from callpath.doctor.verdict import Diagnosis
    from callpath.server.prober import Verdict
    from callpath.server.workers import Worker

SWITCH_S = 0.0002
"""How long a thread of ours (the call log's) may keep the interpreter from the one that carries audio; Python's 5 ms
would be heard as jitter."""
FULL_COLLECTION_EVERY = 100
"""One in so many of the garbage collector's looks at what is older is at everything, and not one in ten: with a thousand
calls it holds all of them up for 50 ms. Calls that are over do not wait for it (`LiveCall`). It is there for what handlers
leave behind in circles, of which 700,000 objects may gather: as many as 6,000 calls are."""

M_ARENA_MAX, HEAPS_MAX = -8, 2
"""glibc's number for the setting, and ours for it."""

FILES = 65_536
"""Open files that are asked for at start."""

BALANCED = sys.platform.startswith("linux")
"""Whether the kernel deals connections out to all sockets of one port."""

KEEP_ALIVE_S = 95
"""Longer than any proxy's idle time (Heroku 90 s, Railway 60 s), so that it never closes under a proxy's request."""


def serve(
    handler: str = typer.Argument("echo", help="echo, record, tone, or module:app with your own App."),
    host: str | None = typer.Option(None, help="Address to listen on (HOST)."),
    port: str | None = typer.Option(None, help="Port to listen on (PORT)."),
    public_url: str | None = typer.Option(None, help="Where the world reaches this server (PUBLIC_URL)."),
    workers: str | None = typer.Option(None, help="Processes that share the port (CALLPATH_WORKERS)."),
    setup: bool = typer.Option(False, "--setup", help="Start without keys: dashboard and browser phone only."),
    as_worker: str | None = typer.Option(None, hidden=True),
) -> None:
    """Run the call server: webhook, audio WebSocket, Call Control, and the dashboard."""
    flags = {
        "HOST": host or ("127.0.0.1" if setup else None),
        "PORT": port,
        "PUBLIC_URL": public_url,
        "CALLPATH_WORKERS": workers,
    }
    with clear_errors():
        settings, _ = load_settings(flags)
        others = export_for_libraries()
        if settings.workers > 1 and as_worker is None:
            given = [handler, *(["--setup"] if setup else []), *(["--public-url", public_url] if public_url else [])]
            code = _supervise(settings, given, others)
        else:
            from callpath.server.workers import parse_worker

            worker = parse_worker(as_worker) if as_worker else None
            code = _serve(handler, settings, flags, others, setup=setup, worker=worker)
    if code:
        raise typer.Exit(code)


def _supervise(settings: Settings, given: list[str], others: Iterable[str]) -> int:
    """Run the parent of several workers, each this command over again; returns the exit code."""
    if sys.platform == "win32":
        from callpath.errors import ConfigError

        hint = "Leave it out here, or start several servers on one Postgres behind a balancer"
        raise ConfigError("CALLPATH_WORKERS", "asks for several workers, which Windows cannot have", hint)

    import structlog

    from callpath.cli.logs import set_up_logging
    from callpath.clock import SystemClock
    from callpath.server.workers import Supervisor, encode_worker
    from callpath.store.lock import lock_log

    with (
        lock_log(settings.log_url(), workers=settings.workers) as lock,
        _listen(settings.host, settings.port) as listener,
    ):
        port = listener.getsockname()[1]
        lock.name_holder(port)
        with _keep_port(settings.host, port, listener) if BALANCED else listener:
            set_up_logging(settings.log_format, [*_secrets(settings), *others])
            structlog.get_logger("callpath").info(
                f"{settings.workers} workers are started on {settings.host}:{port}", event_name="server.workers"
            )
            command = [sys.executable, "-P", "-m", "callpath", "serve", *given]  # -P: what lies here is not the library
            command += ["--host", settings.host, "--port", str(port), "--workers", str(settings.workers)]
            supervisor = Supervisor(
                settings.workers,
                lambda worker: [*command, "--as-worker", encode_worker(worker)],
                clock=SystemClock(),
                listener=None if BALANCED else listener,
                lock=lock.descriptor,
            )
            return asyncio.run(supervisor.run())


def _serve(
    handler: str,
    settings: Settings,
    flags: Mapping[str, str | None],
    others: Iterable[str],
    *,
    setup: bool,
    worker: Worker | None,
) -> int:
    """Run one server process; returns its exit code. `others` are secrets besides those of the settings."""
    import structlog
    import uvicorn

    from callpath.cli.logs import set_up_logging
    from callpath.cli.traces import open_traces
    from callpath.clock import SystemClock
    from callpath.server.app import create_asgi
    from callpath.server.drain import GRACE_S, DrainingServer
    from callpath.server.guard import GuardedHttp
    from callpath.server.socket import MediaSockets
    from callpath.store.lock import adopt_lock, lock_log
    from callpath.wire.media import FRAME_BYTES_MAX

    sys.setswitchinterval(SWITCH_S)
    files = _raise_file_limit()
    app = load_app(handler)
    serving: list[uvicorn.Server] = []
    extra = None
    if settings.dashboard:
        from callpath.cli.dashboard import open_dashboard, settings_for_setup

        extra = open_dashboard(
            app,
            settings,
            settings_now=lambda: load_settings(flags)[0],
            values_now=lambda: named_values(flags),
            stopping=lambda: any(server.should_exit for server in serving),
        )
        if setup:
            settings = settings_for_setup(settings, settings.port)
    traces, no_traces = open_traces(named_values())
    asgi = create_asgi(app, settings, examine=_examine, extra=extra, worker=worker, locked=True, traces=traces)
    limiter = asgi.state.connection_limiter
    limiter.connections_max = min(limiter.connections_max, files // 2)  # the other half is for calls
    if worker is not None and worker.lock is not None:
        adopt_lock(worker.lock)
    with lock_log(settings.log_url()) if worker is None else contextlib.nullcontext() as lock:
        asyncio.run(_open_once(settings.log_url()))
        if worker is not None and worker.listener is not None:
            listener = socket.socket(fileno=worker.listener)
        else:
            listener = _listen(settings.host, settings.port, beside_others=worker is not None)
        with listener:  # also where something fails before it is served
            if lock is not None:
                lock.name_holder(listener.getsockname()[1])
            set_up_logging(settings.log_format, [*_secrets(settings), *others])
            if worker is not None:
                structlog.contextvars.bind_contextvars(worker=worker.number)
            if worker is None or worker.number == 1:
                _log_endpoints(app.name, settings, listener.getsockname()[1], extra, no_traces)
            config = uvicorn.Config(
                asgi,
                http=GuardedHttp,
                ws=MediaSockets,
                ws_max_size=FRAME_BYTES_MAX,
                ws_per_message_deflate=False,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                timeout_keep_alive=KEEP_ALIVE_S,
                proxy_headers=False,  # whom to believe about a client's address is said by CALLPATH_CLIENT_ADDRESS
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=GRACE_S,
            )
            server = DrainingServer(
                config,
                lambda: getattr(asgi.state, "calls", None),
                clock=SystemClock(),
                drain_s=settings.drain_seconds,
                orders=socket.socket(fileno=worker.orders) if worker is not None else None,
            )
            serving.append(server)
            _settle_memory()
            server.run(sockets=[listener])
        return server.exit_code


def _log_endpoints(
    name: str, settings: Settings, port: int, dashboard: Dashboard | None, no_traces: str | None
) -> None:
    """What is to be entered in the portal, and what is to be fixed before the first call."""
    from urllib.parse import urlsplit

    import structlog

    from callpath.call.address import audio_url, webhook_url
    from callpath.config import is_loopback
    from callpath.server.drain import stop_warning
    from callpath.wire.ids import SessionId

    logger = structlog.get_logger("callpath")
    logger.info(f"callpath serves {name} on {settings.host}:{port}", event_name="server.starting")
    webhook = webhook_url(settings.public_url)
    logger.info(f"Webhook URL, for the Call Control application: {webhook}", event_name="server.webhook_url")
    audio = audio_url(settings.public_url, SessionId("SESSION")).replace("SESSION", "{call_session_id}")
    logger.info(f"Audio URL, which Telnyx is sent for each call: {audio}", event_name="server.audio_url")
    if settings.token_in == "off" and not is_loopback(urlsplit(settings.public_url).hostname or ""):
        logger.warning(
            "CALLPATH_TOKEN_IN=off: whoever learns a call's id can open its audio", event_name="server.no_tokens"
        )
    if no_traces:
        logger.warning(no_traces, event_name="server.no_traces")
    warning = stop_warning(named_values(), settings.drain_seconds)
    if warning:
        logger.warning(warning, event_name="server.stops_too_soon")
    if dashboard is not None:
        logger.info(f"Dashboard: {dashboard.address(port)}", event_name="server.dashboard_url")


def _secrets(settings: Settings) -> tuple[str, ...]:
    return (
        settings.telnyx_api_key,
        settings.secret,
        settings.dashboard_token,
        settings.metrics_token,
        settings.dial_token,
    )


def _settle_memory() -> None:
    """What is loaded by now stays: the garbage collector need not look through it again, 10 ms each time, while frames
    wait. And threads share two heaps (glibc gives each its own, half a megabyte at once); other C libraries have no
    such setting."""
    import ctypes

    gc.collect()
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], FULL_COLLECTION_EVERY)
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, HEAPS_MAX)


def _raise_file_limit() -> int:
    """Every socket is a file, and the usual soft limit of 1,024 is meant for programs that use select(): a thousand idle
    connections would keep calls out. Returns how many there may be."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # the platform allows less than it says: then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return FILES if limit == resource.RLIM_INFINITY else limit


async def _open_once(url: str) -> None:
    """Create or migrate the call log before anything else: what is wrong with it is told in one line."""
    from callpath.store.sql import open_call_log

    async with open_call_log(url):
        return


async def _examine(url: str, token: str | None) -> Verdict:
    """Let the doctor try `url`, in a thread and an event loop of its own: what it computes never holds up audio.

    The thread dies with the process, so an examination under way does not keep the server from stopping.
    """
    import threading
    from urllib.parse import urlsplit

    from callpath.clock import SystemClock
    from callpath.config import is_loopback
    from callpath.doctor.engine import diagnose
    from callpath.doctor.request import Request

    request = Request(url=url, token=token, local=is_loopback(urlsplit(url).hostname or ""))
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Verdict] = loop.create_future()

    def settle(result: Verdict | Exception) -> None:
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def work() -> None:
        result: Verdict | Exception
        try:
            result = _verdict(asyncio.run(diagnose(request, SystemClock())))
        except Exception as error:  # handed over
            result = error
        with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=work, name="doctor", daemon=True).start()
    return await answer


def _verdict(diagnosis: Diagnosis) -> Verdict:
    from callpath.doctor.report import one_line
    from callpath.server.prober import Verdict

    found = diagnosis.verdict
    if found is None:
        return Verdict(
            healthy=diagnosis.healthy,
            decided=diagnosis.decided,
            summary="a stream was opened and carried audio both ways" if diagnosis.healthy else one_line(diagnosis),
            duration_ms=round(diagnosis.duration_ms, 1),
        )
    return Verdict(
        healthy=diagnosis.healthy,
        decided=diagnosis.decided,
        summary=found.finding.summary,
        code=found.rule.code,
        slug=found.rule.slug,
        owner=found.owner,
        fix=found.finding.fix or found.rule.fix,
        duration_ms=round(diagnosis.duration_ms, 1),
    )


def _listen(host: str, port: int, *, beside_others: bool = False) -> socket.socket:
    """`beside_others`: other workers listen on the same port. Raises ConfigError when the address cannot be had."""
    from callpath.errors import ConfigError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, reuse_port=beside_others)
    except OSError as error:
        raise ConfigError(
            "PORT" if host in ("0.0.0.0", "::") else "HOST and PORT",  # noqa: S104 (asked about, not bound to)
            f"{host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
            "Is another server running? Choose another port, for example PORT=8001",
        ) from None


def _keep_port(host: str, port: int, listener: socket.socket) -> socket.socket:
    """A socket that holds the port for the workers and takes no connections itself, in the place of `listener`."""
    kept = socket.socket(listener.family, socket.SOCK_STREAM)
    listener.close()
    try:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind((host, port))
    except BaseException:
        kept.close()
        raise
    return kept


def load_app(name: str) -> App:
    """The App called `name`: a built-in one, or `module:attribute` found from the working directory.

    Raises ConfigError, saying what was found instead.
    """
    import importlib
    import sys

    from callpath.api.app import App
    from callpath.errors import ConfigError
    from callpath.server.builtin import BUILTIN

    if name in BUILTIN:
        return BUILTIN[name]()
    hint = f"Give {', '.join(BUILTIN)}, or module:app where app = callpath.App()"
    module_name, _, attribute = name.partition(":")
    if not attribute or not module_name or module_name.startswith("."):
        raise ConfigError("the handler", f"{name!r} is neither built in nor module:app", hint)
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError("the handler", f"cannot be imported: {error}", hint) from error
    if not hasattr(module, attribute):
        raise ConfigError("the handler", f"{module_name} has no {attribute!r}", hint)
    found = getattr(module, attribute)
    if not isinstance(found, App):
        raise ConfigError("the handler", f"{name} is {type(found).__name__}, not a callpath.App", hint)
    return found
