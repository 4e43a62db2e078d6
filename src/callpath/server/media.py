"""wss …/api/calls/{call_session_id}/audio: admit before 101, then carry texts between one socket and one stream.

A frame's way in: `drive_stream` reads a text → `MediaStream.receive_text` → `_Events` → `Call.receive` → the handler.
Its way out: `Call.play` → `MediaStream.play` → `texts_to_send`, paced → `drive_stream` writes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath.call.stream import (
    AudioReceived,
    DtmfPressed,
    ErrorReported,
    FrameSkipped,
    MarkHandedBack,
    MediaStream,
    StreamClosed,
    StreamEvent,
    StreamOpened,
)
from callpath.clock import Clock
from callpath.server.probe import TEST_CONNECTION, ProbeEndpoint
from callpath.server.runner import CallRunner, LiveCall, Rejection
from callpath.timeline import (
    DtmfReceived,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    MarkReturned,
    MediaCounted,
    SocketClosed,
    StreamErrored,
    StreamStopped,
)
from callpath.wire.ids import SessionId, StreamId
from callpath.wire.media import AUTH_TOKEN_HEADER

COUNTED_EVERY_MS = 5_000
"""How often the counters of a stream go into the timeline."""

BAD_FRAMES_MAX = 100
"""After this many frames in a row that mean nothing the peer is not Telnyx, and the socket is closed (1008)."""

CLOSE_WAIT_S = 2.0
"""After a stop frame Telnyx closes the socket; we wait this long before we do."""

WAY_HEADERS = (
    "host",
    "user-agent",
    "origin",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-real-ip",
    "via",
    "cf-ray",
    "fly-request-id",
    "x-railway-edge",
    "x-railway-request-id",
    "x-request-id",
)
"""Headers of an upgrade that tell which way it took; the platform's request ids join it with the platform's logs."""


class AudioEndpoint:
    """The route, as an ASGI application. One instance per server."""

    def __init__(self, *, runner: CallRunner, probe: ProbeEndpoint, clock: Clock) -> None:
        self._runner = runner
        self._probe = probe
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        headers = websocket.headers
        token = websocket.path_params.get("token")
        if websocket.path_params["call_session_id"] == TEST_CONNECTION:
            await self._probe.answer(websocket, token or headers.get(AUTH_TOKEN_HEADER))
            return
        admitted = await self._runner.admit(
            SessionId(websocket.path_params["call_session_id"]),
            shown_token=token or headers.get(AUTH_TOKEN_HEADER),
            path=websocket.url.path.replace(token, "***") if token else websocket.url.path,
            client=websocket.client.host if websocket.client else None,
            headers={name: headers[name][:200] for name in WAY_HEADERS if name in headers},
        )
        if isinstance(admitted, Rejection):
            answer = {"error": admitted.reason, "detail": admitted.detail}
            await websocket.send_denial_response(JSONResponse(answer, status_code=admitted.status))
            return
        await websocket.accept()
        await self._carry(websocket, admitted.call)

    async def _carry(self, websocket: WebSocket, call: LiveCall) -> None:
        stream = call.new_stream()
        wake = asyncio.Event()
        socket = _StarletteSocket(websocket)
        events = _Events(call, stream, wake, self._clock)
        try:
            await drive_stream(socket, stream, self._clock, wake, events.take, events.sent)
        finally:
            events.finish()
            call.note(socket.closed)
            call.socket_closed(stream)


class TextSocket(Protocol):
    """What a stream needs of a socket. Iteration ends when it is closed; a binary message comes as bytes."""

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...

    async def send(self, text: str) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...


async def drive_stream(
    socket: TextSocket,
    stream: MediaStream,
    clock: Clock,
    wake: asyncio.Event,
    on_event: Callable[[StreamEvent], None],
    on_sent: Callable[[], None],
) -> None:
    """Carry texts between one socket and one stream until the socket closes. Set `wake` after `stream.play`."""
    bad_frames_in_a_row = 0

    async def read() -> None:
        nonlocal bad_frames_in_a_row
        async for text in socket:
            if isinstance(text, bytes):
                events: list[StreamEvent] = [stream.skip("binary", "a binary message came; Telnyx sends only text")]
            else:
                events = stream.receive_text(text, clock.now_ms())
            for event in events:
                on_event(event)
            bad = len(events) == 1 and isinstance(events[0], FrameSkipped)
            bad_frames_in_a_row = bad_frames_in_a_row + 1 if bad else 0
            if bad_frames_in_a_row >= BAD_FRAMES_MAX:
                await socket.close(1008, f"{BAD_FRAMES_MAX} frames in a row that mean nothing")
                break
            wake.set()
        for event in stream.receive_eof():
            on_event(event)
        stream.closed = True
        wake.set()

    async def write() -> None:
        while not stream.closed:
            now_ms = clock.now_ms()
            for event in stream.due_events(now_ms):
                on_event(event)
            for text in stream.texts_to_send(now_ms):
                await socket.send(text)
            on_sent()
            await clock.wait(wake, until_ms=_earlier(stream.next_send_at_ms(), stream.next_event_at_ms()))

    async def close_after_stop() -> None:
        """Telnyx closes after its stop frame; should it not, we do."""
        await writing
        await clock.sleep_ms(CLOSE_WAIT_S * 1000)
        await socket.close(1000, "stream stopped")

    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read(), name="read stream")
        writing = tasks.create_task(write(), name="write stream")
        closing = tasks.create_task(close_after_stop(), name="close stream")
        await reading
        closing.cancel()


def _earlier(one_ms: float | None, other_ms: float | None) -> float | None:
    if one_ms is None or other_ms is None:
        return other_ms if one_ms is None else one_ms
    return min(one_ms, other_ms)


class _Events:
    """Takes the events of one stream: audio to the call, everything else into the timeline."""

    def __init__(self, call: LiveCall, stream: MediaStream, wake: asyncio.Event, clock: Clock) -> None:
        self._call = call
        self._stream = stream
        self._wake = wake
        self._clock = clock
        self._counted_at_ms = clock.now_ms()
        self._heard = False
        self._spoke = False
        self._rejected: set[str] = set()

    def take(self, event: StreamEvent) -> None:
        call = self._call
        call.frame_received()
        match event:
            case AudioReceived():
                if not self._heard and event.payload_bytes:
                    self._heard = True
                    call.note(FirstInbound(stream_id=self._stream_id, payload_bytes=event.payload_bytes))
                self._to_handler(event)
                self._count_now_and_then()
            case StreamOpened(start=start):
                call.stream_started(start, self._stream, self._wake)
            case DtmfPressed(digit=digit):
                call.note(DtmfReceived(digit=digit))
                self._to_handler(event)
            case MarkHandedBack(name=name, heard=heard):
                call.note(MarkReturned(name=name, heard=heard))
                self._to_handler(event)
            case ErrorReported(error=error):
                call.note(StreamErrored(code=error.code, title=error.title, detail=error.detail))
            case FrameSkipped(reason=reason, detail=detail):
                if reason not in self._rejected:
                    self._rejected.add(reason)
                    call.note(FrameRejected(reason=reason, detail=detail))
            case StreamClosed(by_stop_frame=by_stop_frame):
                self._count()
                opened = self._stream.start
                call.note(
                    StreamStopped(stream_id=None if opened is None else opened.stream_id, by_stop_frame=by_stop_frame)
                )

    def sent(self) -> None:
        """The socket took what was due."""
        if not self._spoke and self._stream.playout.frames_sent:
            self._spoke = True
            self._call.note(FirstOutbound(stream_id=self._stream_id, payload_bytes=self._stream.frame_bytes))
        if self._call.call is not None and self._call.is_current(self._stream):
            self._call.call.sent()

    def finish(self) -> None:
        """The socket is gone, for whatever reason."""
        for event in self._stream.receive_eof():
            self.take(event)

    @property
    def _stream_id(self) -> StreamId:
        assert self._stream.start is not None
        return self._stream.start.stream_id

    def _to_handler(self, event: AudioReceived | DtmfPressed | MarkHandedBack) -> None:
        if self._call.call is not None and self._call.is_current(self._stream):
            self._call.call.receive(event)

    def _count_now_and_then(self) -> None:
        if self._clock.now_ms() - self._counted_at_ms >= COUNTED_EVERY_MS:
            self._count()

    def _count(self) -> None:
        self._counted_at_ms = now_ms = self._clock.now_ms()
        if self._stream.start is None:
            return
        counts, playout = self._stream.counts, self._stream.playout
        call = self._call.call
        self._call.note(
            MediaCounted(
                stream_id=self._stream.start.stream_id,
                frames_in=counts.frames_in,
                frames_out=playout.frames_sent,
                frames_outbound_track=counts.frames_outbound_track,
                lost=counts.lost,
                late=counts.late,
                duplicated=counts.duplicated,
                reordered=counts.reordered,
                dropped_for_handler=call.audio.dropped if call else 0,
                frames_rejected=counts.frames_skipped,
                underruns=playout.underruns,
                played_ms=round(playout.played_ms(now_ms), 1),
            )
        )


def _how_it_closed(message: Message) -> SocketClosed:
    """uvicorn says 1005 both for a close frame without a code and for a connection that just went away; only after a
    close frame is there a reason, be it empty. And it tells a close frame that it sent for us by its code alone."""
    code, reason = message.get("code") or 1005, message.get("reason")
    if reason is None and code == 1005:
        code = 1006
    return SocketClosed(code=code, reason=reason or "", by="unknown" if code in _EITHER_SIDE else "peer")


_EITHER_SIDE = (1002, 1007, 1009, 1011, 1012)
"""Protocol error, bad UTF-8, too large, ping unanswered, shutting down: both ends send these by themselves."""


class _StarletteSocket:
    """A Starlette WebSocket as a TextSocket. `closed` tells how it ended."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self.closed = SocketClosed(code=1006, reason="", by="peer")

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                if self.closed.by != "us":
                    self.closed = _how_it_closed(message)
                return
            text = message.get("text")
            yield text if text is not None else message["bytes"]

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            return  # closed meanwhile: the reader will see it and tell how

    async def close(self, code: int, reason: str) -> None:
        self.closed = SocketClosed(code=code, reason=reason, by="us")
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            return
