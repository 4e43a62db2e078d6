"""`callpath serve [echo|record|tone|module:app]`: run the call server."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING

import typer

from callpath.cli.environment import clear_errors, load_settings

if TYPE_CHECKING:
    from callpath.server.handler import App

SWITCH_S = 0.0005
"""How long a thread of ours (the call log's) may keep the interpreter from the one that carries audio; Python's 5 ms
would be heard as jitter."""
KEEP_ALIVE_S = 95
"""Longer than any proxy's idle time (Heroku 90 s, Railway 60 s), so that it never closes under a proxy's request."""


def serve(
    handler: str = typer.Argument("echo", help="echo, record, tone, or module:app with your own App."),
    host: str | None = typer.Option(None, help="Address to listen on (HOST)."),
    port: str | None = typer.Option(None, help="Port to listen on (PORT)."),
    public_url: str | None = typer.Option(None, help="Where the world reaches this server (PUBLIC_URL)."),
    setup: bool = typer.Option(False, "--setup", help="Start without keys: dashboard and browser phone only."),
) -> None:
    """Run the call server: webhook, audio WebSocket, Call Control, and the dashboard."""
    flags = {"HOST": host or ("127.0.0.1" if setup else None), "PORT": port, "PUBLIC_URL": public_url}
    with clear_errors():
        settings, _ = load_settings(flags)

        import structlog
        import uvicorn

        from callpath.call.address import audio_url, webhook_url
        from callpath.cli.logs import set_up_logging
        from callpath.server.app import create_asgi
        from callpath.server.socket import MediaSockets
        from callpath.wire.ids import SessionId
        from callpath.wire.media import FRAME_BYTES_MAX

        sys.setswitchinterval(SWITCH_S)
        app = load_app(handler)
        stopping: list[uvicorn.Server] = []
        extra = None
        if settings.dashboard:
            from callpath.cli.dashboard import open_dashboard, settings_for_setup

            extra = open_dashboard(
                app,
                settings,
                settings_now=lambda: load_settings(flags)[0],
                stopping=lambda: any(server.should_exit for server in stopping),
            )
            if setup:
                settings = settings_for_setup(settings, settings.port)
        asgi = create_asgi(app, settings, extra=extra)
        asyncio.run(_open_once(settings.log_url()))
        listener = _listen(settings.host, settings.port)
        set_up_logging(settings.log_format)
        logger = structlog.get_logger("callpath")
        where = f"{settings.host}:{listener.getsockname()[1]}"
        logger.info(f"callpath serves {app.name} on {where}", event_name="server.starting")
        webhook = webhook_url(settings.public_url)
        logger.info(f"Webhook URL, for the Call Control application: {webhook}", event_name="server.webhook_url")
        audio = audio_url(settings.public_url, SessionId("SESSION")).replace("SESSION", "{call_session_id}")
        logger.info(f"Audio URL, which Telnyx is sent for each call: {audio}", event_name="server.audio_url")
        config = uvicorn.Config(
            asgi,
            ws=MediaSockets,
            ws_max_size=FRAME_BYTES_MAX,
            ws_per_message_deflate=False,
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            timeout_keep_alive=KEEP_ALIVE_S,
            access_log=False,
            log_config=None,
            server_header=False,
        )
        if extra is not None:
            logger.info(f"Dashboard: {extra.address(listener.getsockname()[1])}", event_name="server.dashboard_url")
        with listener:
            stopping.append(uvicorn.Server(config))
            stopping[0].run(sockets=[listener])


async def _open_once(url: str) -> None:
    """Create or migrate the call log before anything else: what is wrong with it is told in one line."""
    from callpath.store.sql import open_call_log

    async with open_call_log(url):
        return


def _listen(host: str, port: int) -> socket.socket:
    """Raises ConfigError when the address cannot be had."""
    from callpath.errors import ConfigError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(
            "PORT" if host in ("0.0.0.0", "::") else "HOST and PORT",  # noqa: S104 (asked about, not bound to)
            f"{host}:{port} cannot be listened on: {os.strerror(error.errno or 0)}",
            "Is another server running? Choose another port, for example PORT=8001",
        ) from None


def load_app(name: str) -> App:
    """The App called `name`: a built-in one, or `module:attribute` found from the working directory.

    Raises ConfigError, saying what was found instead.
    """
    import importlib
    import sys

    from callpath.errors import ConfigError
    from callpath.server.builtin import BUILTIN
    from callpath.server.handler import App

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
