"""A call server and a stand-in Telnyx on loopback, for tests over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from callpath.config import Settings
from callpath.server.app import create_asgi
from callpath.server.examiner import Examine
from callpath.server.guard import GuardedHttp
from callpath.server.handler import App
from callpath.server.runner import CallRunner
from callpath.server.socket import MediaSockets
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.timeline import Entry, What
from callpath.wire.ids import SessionId
from callpath.wire.media import FRAME_BYTES_MAX

WAIT_S_MAX = 20.0
"""A test that waits longer has failed; nothing is decided by it otherwise."""


@dataclass
class Served:
    """What a test holds: the server from inside and outside, and the stand-in."""

    telnyx: Simulator
    port: int
    runner: CallRunner

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def timeline(self, session: str) -> list[Entry]:
        return await self.runner.log.read(SessionId(session))

    async def until(self, session: str, happened: Callable[[What], bool], times: int = 1) -> list[Entry]:
        """Wait until the timeline has so many such entries."""
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                entries = await self.timeline(session)
                if sum(happened(entry.what) for entry in entries) >= times:
                    return entries
                await asyncio.sleep(0.01)

    async def until_kind(self, session: str, kind: type[What], times: int = 1) -> list[Entry]:
        return await self.until(session, lambda what: isinstance(what, kind), times)


@asynccontextmanager
async def serving(
    app: App,
    data_dir: Path,
    *,
    options: CarrierOptions | None = None,
    ws: Any = MediaSockets,
    examine: Examine | None = None,
    listener: socket.socket | None = None,
    telnyx: Simulator | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Both sides, connected with each other; `telnyx` is one that runs already.

    `ws` is the protocol that uvicorn speaks on upgraded connections.
    """
    listener = listener or socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with contextlib.nullcontext(telnyx) if telnyx is not None else Simulator(options=options) as telnyx:
        given: dict[str, Any] = {
            "telnyx_api_key": telnyx.api_key,
            "telnyx_public_key": telnyx.public_key,
            "telnyx_api_base": telnyx.api_base,
            "public_url": f"http://127.0.0.1:{port}",
            "data_dir": data_dir,
        }
        asgi: Any = create_asgi(app, Settings(**(given | settings)), examine=examine)
        server = _Server(
            uvicorn.Config(
                asgi,
                http=GuardedHttp,
                ws=ws,
                ws_max_size=FRAME_BYTES_MAX,
                ws_per_message_deflate=False,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=2,
            )
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            await server.listening.wait()
            telnyx.webhook_url = f"http://127.0.0.1:{port}/api/calls/webhook"
            try:
                yield Served(telnyx, port, asgi.state.runner)
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to pytest and says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()
