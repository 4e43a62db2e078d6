"""A whole server with its dashboard on loopback, as `callpath serve --setup` runs it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from callpath.api.app import App
from callpath.cli.dashboard import open_dashboard, settings_for_setup
from callpath.config import Settings
from callpath.private_api import EmbeddedServer
from callpath.server.app import create_asgi
from callpath.server.socket import MediaSockets
from callpath.wire.media import FRAME_BYTES_MAX


@asynccontextmanager
async def dashboard_server(app: App, data_dir: Path, **given: Any) -> AsyncIterator[str]:
    """Yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings = Settings(**({"data_dir": data_dir} | given))
        server: list[EmbeddedServer] = []
        dashboard = open_dashboard(
            app, settings, settings_now=lambda: settings, stopping=lambda: any(one.should_exit for one in server)
        )
        asgi: Any = create_asgi(app, settings_for_setup(settings, port), extra=dashboard)
        server.append(
            EmbeddedServer(
                uvicorn.Config(
                    asgi,
                    ws=MediaSockets,
                    ws_max_size=FRAME_BYTES_MAX,
                    log_config=None,
                    access_log=False,
                    timeout_graceful_shutdown=3,
                )
            )
        )
        async with server[0].serving(listener):
            yield f"http://127.0.0.1:{port}"
