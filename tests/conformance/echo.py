"""The real server's WebSocket, with every layer that a call's audio goes through, saying back what it hears.

python -m tests.conformance.echo bare 9001      frames on the bare transport, as `callpath serve` carries audio
python -m tests.conformance.echo asgi 9001      by ASGI messages, as under any other server
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any
from unittest import mock

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

import callpath.server.socket as under_test
from callpath.clock import SystemClock
from callpath.server.app import _AnsweredBy
from callpath.server.frames import Control, Opcode, Violation, encode_frame
from callpath.server.guard import GuardedHttp
from callpath.server.limits import AddressHeader, ClientAddress, ConnectionLimiter
from callpath.server.read_coalescer import ReadCoalescer
from callpath.server.socket import EXTENSION, FrameSocket, MediaSockets
from callpath.timeline import SocketClosed

MESSAGE_BYTES_MAX = 1 << 25
"""The suite's longest message has 16 MiB; Telnyx's have some 300 bytes, and ours is the limit there."""


class _Echo:
    """A receiver that sends texts back."""

    def __init__(self) -> None:
        self.socket: FrameSocket | None = None
        self.gone = asyncio.Event()

    def receive_text(self, text: bytes) -> None:
        assert self.socket is not None
        self.socket.send(text)

    def receive_binary(self) -> None:
        """See `_take_binary`."""

    def room(self) -> None:
        """It waits for nothing."""

    def lost(self, how: SocketClosed) -> None:
        assert how.code
        self.gone.set()


def _take_binary(echo: FrameSocket, item: Control | Violation) -> None:
    """Audio sockets drop binary messages; the suite wants them back."""
    if isinstance(item, Control) and item.opcode is Opcode.BINARY:
        echo._transport.write(encode_frame(Opcode.BINARY, item.body))
    else:
        _take(echo, item)


_take = FrameSocket._take


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo on the bare transport."""
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    echo = _Echo()
    echo.socket = scope["extensions"][EXTENSION]["take_connection"](echo, ReadCoalescer(SystemClock()))
    assert echo.socket is not None, "something came in before the take-over"
    await echo.gone.wait()


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo by ASGI messages."""
    websocket = WebSocket(scope, receive, send)
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await websocket.send({"type": "websocket.send", **{k: message.get(k) for k in ("text", "bytes")}})
    except (WebSocketDisconnect, RuntimeError):
        return


def serve(make: str, port: int) -> None:
    """Until it is killed."""
    endpoint: Any = {"bare": bare, "asgi": asgi}[make]
    application = Starlette(routes=[WebSocketRoute("/", _Endpoint(endpoint))])
    application.state.connection_limiter = ConnectionLimiter()
    application.add_middleware(ClientAddress, header=AddressHeader(b"x-real-ip"))
    application.add_middleware(_AnsweredBy)
    config = uvicorn.Config(
        application,
        http=GuardedHttp,
        ws=MediaSockets,
        proxy_headers=False,
        ws_max_size=MESSAGE_BYTES_MAX,
        ws_per_message_deflate=False,
        log_level="critical",
    )
    with (
        mock.patch.object(under_test, "FRAME_BYTES_MAX", MESSAGE_BYTES_MAX),
        mock.patch.object(FrameSocket, "_take", _take_binary),
        socket.create_server(("127.0.0.1", port), backlog=100) as listener,
    ):
        print("listening", flush=True)  # noqa: T201 (for the test that waits for it)
        uvicorn.Server(config).run(sockets=[listener])


class _Endpoint:
    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._endpoint(scope, receive, send)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
