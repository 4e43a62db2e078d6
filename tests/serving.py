"""A call server and a Telnyx simulator on loopback, for tests over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from callpath.api.app import App
from callpath.call.address import ANSWERED_BY_HEADER
from callpath.config import Settings
from callpath.private_api import EmbeddedServer
from callpath.server.app import create_asgi
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.dialling import Dials
from callpath.server.guard import GuardedHttp
from callpath.server.prober import Examine
from callpath.server.socket import MediaSockets
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.timeline import Entry, What
from callpath.wire.ids import SessionId
from callpath.wire.media import FRAME_BYTES_MAX

WAIT_S_MAX = 60.0
"""A test that waits longer has failed; nothing is decided by it otherwise. A machine that runs several suites at once takes
20 s to start a server with workers."""

PATIENT_MS = 1000 * WAIT_S_MAX
"""The same for what a caller of the simulator waits for."""


@dataclass
class Served:
    """What a test holds: the server from inside and outside, and the simulator."""

    telnyx: Simulator
    port: int
    calls: Calls
    asgi: Any = None

    @property
    def context(self) -> Context:
        return self.calls.context

    @property
    def dials(self) -> Dials:
        dials = self.context.app.dialler
        assert isinstance(dials, Dials)
        return dials

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def timeline(self, session: str) -> list[Entry]:
        return await self.context.log.read(SessionId(session))

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
    traces: Any = None,
    extra: Callable[[Settings], Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Both sides, connected with each other; `telnyx` is one that runs already.

    `ws` is the protocol that uvicorn speaks on upgraded connections.
    """
    async with contextlib.AsyncExitStack() as stack:
        listener = stack.enter_context(listener or socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        if telnyx is None:
            telnyx = await stack.enter_async_context(Simulator(options=options))
        given: dict[str, Any] = {
            "telnyx_api_key": telnyx.api_key,
            "telnyx_public_key": telnyx.public_key,
            "telnyx_api_base": telnyx.api_base,
            "public_url": f"http://127.0.0.1:{port}",
            "data_dir": data_dir,
            "blocked_ms": 0,  # a machine under load may not add entries to timelines that tests compare
        }
        configured = Settings(**(given | settings))
        more = extra(configured) if extra is not None else None
        asgi: Any = create_asgi(app, configured, examine=examine, traces=traces, extra=more)
        server = EmbeddedServer(
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
        await stack.enter_async_context(server.serving(listener))
        telnyx.webhook_url = f"http://127.0.0.1:{port}/api/calls/webhook"
        yield Served(telnyx, port, asgi.state.calls, asgi)


async def upgraded(served: Served, session: str, **headers: str) -> int:
    """The status of an upgrade; names may have _ for -."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with connect(f"{served.socket_url}/api/calls/{session}/audio", additional_headers=given):
            return 101
    except InvalidStatus as error:
        assert error.response.headers[ANSWERED_BY_HEADER]
        return error.response.status_code


# --- as a process ----------------------------------------------------------------------------------------------------


class Process:
    """`callpath serve` as a platform runs it."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, signal_: signal.Signals) -> None:
        self._process.send_signal(signal_)

    async def ready(self) -> bool:
        async with httpx2.AsyncClient(trust_env=False) as http:
            return (await http.get(f"{self.url}/readyz")).status_code == 200

    async def until_draining(self) -> None:
        """Return once it is not ready any more. A worker without calls goes at once, and resets what waited at its door."""
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                with contextlib.suppress(httpx2.TransportError):
                    if not await self.ready():
                        return
                await asyncio.sleep(0.02)

    async def exit_code(self) -> int:
        async with asyncio.timeout(WAIT_S_MAX):
            return await self._process.wait()


@asynccontextmanager
async def process(
    telnyx: Simulator, data_dir: Path, *, port: int | None = None, handler: str = "tone", **environment: str
) -> AsyncIterator[Process]:
    """The tone server, listening and connected with `telnyx`. `port` is that of one that was here before."""
    if port is None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
    given = {
        "TELNYX_API_KEY": telnyx.api_key,
        "TELNYX_PUBLIC_KEY": telnyx.public_key,
        "TELNYX_API_BASE": telnyx.api_base,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "CALLPATH_DATA_DIR": str(data_dir),
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "callpath", "serve", handler),
        env=os.environ | given | environment,
        cwd=data_dir,
        stdout=asyncio.subprocess.DEVNULL,
    )
    served = Process(started, given["PUBLIC_URL"])
    telnyx.webhook_url = f"{served.url}/api/calls/webhook"
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                try:
                    if await served.ready():
                        break
                except httpx2.TransportError:
                    await asyncio.sleep(0.05)
        yield served
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
