"""The socket below a media stream, in two makes with one door.

FrameSocket  reads and writes WebSocket frames on the bare transport. `MediaSockets`, given to uvicorn as `ws=`, offers
             it to the audio route after the upgrade; everything else on the port goes its usual way through ASGI.
AsgiSocket   the same by ASGI messages, under any other server: slower, and it cannot always tell who closed.

A message through ASGI costs a dict, two queues, a task switch and a paused transport: more than everything that
callpath does with a frame (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Protocol, cast

import msgspec
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath import __version__
from callpath.call.address import ANSWERED_BY_HEADER
from callpath.private_api import UpgradeConnection
from callpath.server.frames import Control, FrameReader, Opcode, Violation, encode_close, encode_frame
from callpath.server.read_coalescer import ReadCoalescer
from callpath.timeline import SocketClosed
from callpath.wire.media import FRAME_BYTES_MAX

EXTENSION = "callpath.frames"
"""Where in the ASGI scope the audio route finds `take_connection`."""

PING_EVERY_MS = 20_000.0
"""Keeps proxies from taking a socket for idle. Whoever sends nothing at all until the next one is gone (1011)."""

CLOSE_WAIT_MS = 2_000.0
"""How long we wait for the peer's answer to our close frame."""

CLOSE_REASON_BYTES_MAX = 123
"""A control frame has 125 bytes at most, two of them the code (RFC 6455, 5.5)."""

UNSENT_TEXTS_MAX = 32
"""The same through ASGI, in texts."""


class Receiver(Protocol):
    """What a socket brings goes here."""

    def receive_text(self, text: bytes) -> None:
        """A text message, as UTF-8."""
        ...

    def receive_binary(self) -> None:
        """A binary message; Telnyx sends none."""
        ...

    def room(self) -> None:
        """The peer reads again."""
        ...

    def lost(self, how: SocketClosed) -> None:
        """The socket is gone. Nothing more will come."""
        ...


class Socket(Protocol):
    """What a stream needs of a socket."""

    @property
    def writable(self) -> bool:
        """False while the peer does not read."""
        ...

    def send(self, text: bytes) -> None:
        """Send a text. Never blocks; does nothing after a close."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; `Receiver.lost` follows."""
        ...

    def on_second(self, now_ms: float) -> None:
        """Called about once a second: pings, and patience that has an end."""
        ...


# --- on the bare transport -------------------------------------------------------------------------------------------


class FrameSocket:
    """One open WebSocket on its transport. Calls its receiver from the event loop, never from a task.

    An asyncio.Protocol by what it can do, and not by inheritance, which would cost the compiled class its speed.
    """

    def __init__(
        self, transport: asyncio.Transport, receiver: Receiver, connections: set[Any], coalescer: ReadCoalescer
    ) -> None:
        self.writable = True
        self._coalescer = coalescer
        self._transport = transport
        self._receiver = receiver
        self._receive_text = receiver.receive_text
        self._connections = connections
        self._reader = FrameReader(FRAME_BYTES_MAX)
        self._closed: SocketClosed | None = None
        self._head_length, self._head = -1, b""
        self._heard = True
        self._next_ping_ms: float | None = None
        self._patience_ms: float | None = None
        connections.add(self)
        # What the kernel does not take waits with playout, where a clear still reaches it. And uvloop sends at once, while
        # the processor's caches hold what belongs to the call, instead of at the end of the turn.
        transport.set_write_buffer_limits(high=0)
        transport.set_protocol(cast(asyncio.Protocol, self))

    def send(self, text: bytes) -> None:
        if self._closed is not None:
            return
        if len(text) != self._head_length:  # frames of one stream are all of one length
            self._head_length = len(text)
            self._head = encode_frame(Opcode.TEXT, text).removesuffix(text)
        self._transport.write(self._head + text)

    def close(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = SocketClosed(code=code, reason=reason, by="us")
            self._transport.write(encode_close(code, reason))

    def on_second(self, now_ms: float) -> None:
        if self._closed is not None:
            if self._patience_ms is None:
                self._patience_ms = now_ms + CLOSE_WAIT_MS
            elif now_ms >= self._patience_ms:
                self._transport.abort()
        elif self._next_ping_ms is None:
            self._next_ping_ms = now_ms + PING_EVERY_MS
        elif now_ms >= self._next_ping_ms:
            if not self._heard:
                self.close(1011, "nothing came since the last ping")
                return
            self._heard = False
            self._next_ping_ms = now_ms + PING_EVERY_MS
            self._transport.write(encode_frame(Opcode.PING, b""))

    def _take(self, item: Control | Violation) -> None:
        if isinstance(item, Violation):
            # Not hung up at once: unread bytes would make the kernel reset the connection, and our close frame be lost.
            self.close(item.code, item.reason)
        elif item.opcode is Opcode.CLOSE:
            if self._closed is None:
                self._closed = SocketClosed(code=item.code, reason=item.reason, by="peer")
                self._transport.write(encode_frame(Opcode.CLOSE, item.body[:2]))
            self._transport.close()
        elif self._closed is None:
            if item.opcode is Opcode.PING and self.writable:  # who does not read gets no pongs piled up for him
                self._transport.write(encode_frame(Opcode.PONG, item.body))
            elif item.opcode is Opcode.BINARY:
                self._receiver.receive_binary()

    # --- what the transport calls ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard = True
        self._coalescer.frame_came()
        text = self._reader.whole_text(data)
        if text is not None and self._closed is None:
            self._receive_text(text)
            return
        for item in self._reader.feed(data):
            if not isinstance(item, bytes):
                self._take(item)
            elif self._closed is None:
                self._receive_text(item)

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._receiver.room()

    def eof_received(self) -> None:
        """The peer sends no more; the transport closes."""

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 (a reset is no close frame either)
        self._connections.discard(self)
        if self._closed is None:
            self._closed = SocketClosed(code=1006, by="peer")
        self._receiver.lost(self._closed)

    def shutdown(self) -> None:
        """uvicorn stops."""
        self.close(1012, "the server is going down")
        self._transport.close()


class MediaSockets(UpgradeConnection):
    """uvicorn's WebSocket protocol, plus the offer to take a socket over once it is accepted."""

    def offers(self) -> dict[str, Any]:
        return {EXTENSION: {"take_connection": self._take_connection}}

    def _take_connection(self, receiver: Receiver, coalescer: ReadCoalescer) -> FrameSocket | None:
        """From here on the socket is `receiver`'s, and ASGI hears no more of it. Call it right after accept.

        None if something came in already: that went to ASGI, and so must the rest.
        """
        released = self.release_transport()
        return None if released is None else FrameSocket(released[0], receiver, released[1], coalescer)

    def unreadable_upgrade(self, why: str) -> bytes:
        return refusal("400 Bad Request", "bad_upgrade", f"this upgrade cannot be read: {why[:200]}")

    def stopping(self) -> bytes:
        return refusal("503 Service Unavailable", "draining", "the server stops at this moment")


def refusal(status: str, error: str, detail: str) -> bytes:
    """The answer to an upgrade that no route has seen or will answer, in the form of the routes."""
    body = msgspec.json.encode({"error": error, "detail": detail})
    head = f"{ANSWERED_BY_HEADER}: {__version__}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    return f"HTTP/1.1 {status}\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


# --- by ASGI messages ------------------------------------------------------------------------------------------------


class AsgiSocket:
    """One accepted Starlette WebSocket."""

    def __init__(self, websocket: WebSocket, receiver: Receiver) -> None:
        self._websocket = websocket
        self._receiver = receiver
        self._unsent: deque[bytes] = deque()
        self._changed = asyncio.Event()
        self._closed: SocketClosed | None = None

    @property
    def writable(self) -> bool:
        return len(self._unsent) < UNSENT_TEXTS_MAX

    def send(self, text: bytes) -> None:
        if self._closed is None:
            self._unsent.append(text)
            self._changed.set()

    def close(self, code: int, reason: str) -> None:
        if self._closed is None:
            self._closed = SocketClosed(code=code, reason=reason, by="us")
            self._changed.set()

    def on_second(self, now_ms: float) -> None:
        """The server beneath pings, and has its own patience."""

    async def carry(self) -> None:
        """Until the socket is closed."""
        how = SocketClosed(code=1006)
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(self._write(), name="write audio socket")
                how = await self._read()
                writing.cancel()
        finally:
            self._closed = self._closed or how
            self._receiver.lost(self._closed)

    async def _read(self) -> SocketClosed:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return _how_it_closed(message)
            if self._closed is not None:
                continue
            text = message.get("text")
            if text is None:
                self._receiver.receive_binary()
            else:
                self._receiver.receive_text(text.encode())

    async def _write(self) -> None:
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                was_full = not self.writable
                while self._unsent:
                    await self._websocket.send_text(self._unsent.popleft().decode())
                if self._closed is not None:
                    reason = self._closed.reason.encode()[:CLOSE_REASON_BYTES_MAX].decode(errors="ignore")
                    await self._websocket.close(self._closed.code, reason)
                    return
                if was_full:
                    self._receiver.room()
        except (WebSocketDisconnect, RuntimeError):
            return  # closed meanwhile: the reader will see it and tell how


def _how_it_closed(message: Message) -> SocketClosed:
    """uvicorn says 1005 both for a close frame without a code and for a connection that just went away; only after a
    close frame is there a reason, be it empty. And it tells a close frame that it sent for us by its code alone."""
    code, reason = message.get("code") or 1005, message.get("reason")
    if reason is None and code == 1005:
        code = 1006
    return SocketClosed(code=code, reason=reason or "", by="unknown" if code in _EITHER_SIDE else "peer")


_EITHER_SIDE = (1002, 1007, 1009, 1011, 1012)
"""Protocol error, bad UTF-8, too large, ping unanswered, shutting down: both ends send these by themselves."""
