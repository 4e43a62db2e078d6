"""The audio line of one call: its newest socket, that socket's stream, and what became of the one before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from callpath.api.feed import CallFeed
from callpath.api.playing import AudioSink
from callpath.call.stream import MediaStream
from callpath.server.context import Context

SILENT_SOCKET_MS = 2_000
"""How long a socket may bring nothing before it counts as dead, so that a new one may replace it. Telnyx sends a frame
every 20 ms."""


class Carrier(AudioSink, Protocol):
    """What carries a stream: `server.media.StreamDriver`."""

    def serve(self, feed: CallFeed | None) -> None:
        """Hand the caller's audio to `feed` from now on; None: to nobody."""
        ...


class AudioLine:
    """The newest socket of one call; one before it has died."""

    __slots__ = ("_clock", "_close", "_context", "_lost_at_ms", "carrier", "stream")

    def __init__(self, context: Context) -> None:
        self.stream: MediaStream | None = None
        """Our side of the newest socket; None while there is none."""
        self.carrier: Carrier | None = None
        """What carries the stream, once its start frame has come."""
        self._context = context
        self._clock = context.clock
        self._close: Callable[[int, str], None] | None = None
        self._lost_at_ms: float | None = None

    def new_stream(self, *, raw: bool) -> MediaStream:
        """Our side of a socket that is being accepted. It replaces one that has died, which is closed. `raw`: for a handler
        that gets payloads."""
        plan = self._context.plan
        stream = MediaStream(
            play_encoding=plan.play_codec,
            play_rate_hz=8000 if plan.with_answer else plan.play_rate_hz,
            raw=raw,
            byte_order=self._context.byte_order,
        )
        stream.last_frame_ms = self._clock.now_ms()
        if self.stream is not None:
            self.stream.replaced = True
        if self._close is not None:
            self._close(1000, "replaced by a newer socket of this call")
        self.stream, self.carrier, self._close, self._lost_at_ms = stream, None, None, None
        return stream

    def opened(self, stream: MediaStream, close: Callable[[int, str], None]) -> None:
        """The socket of `stream` is open; `close` closes it with a code and a reason."""
        if self.stream is stream:
            self._close = close

    def lost(self) -> None:
        """The newest socket is gone."""
        self.stream = self.carrier = self._close = None
        self._lost_at_ms = self._clock.now_ms()

    def forget(self) -> None:
        """Break reference cycles: the call is over."""
        self.carrier = self._close = None

    @property
    def is_living(self) -> bool:
        """A socket is open and brought a frame lately."""
        return self.stream is not None and self.idle_ms < SILENT_SOCKET_MS

    @property
    def idle_ms(self) -> float:
        """Time since the socket last brought anything."""
        return 0.0 if self.stream is None else self._clock.now_ms() - self.stream.last_frame_ms

    def lost_ms(self, since_ms: float) -> float | None:
        """Time since the socket was lost; None while there is one. `since_ms`: when this node began to act for the call,
        which counts where the socket was another node's."""
        if self.stream is not None:
            return None
        return self._clock.now_ms() - (since_ms if self._lost_at_ms is None else self._lost_at_ms)
