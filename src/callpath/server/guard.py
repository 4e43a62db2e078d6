"""The web server's patience with those who do not speak: uvicorn waits for ever for a request's header, of any size.

`GuardedHttp` goes in as uvicorn's `http=`. Bodies have their limits in the routes that read them; idle kept-alive
connections are uvicorn's own business.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEADER_S_MAX = 15.0
"""From the connection, or from a request's first byte, to the end of its header. Proxies that connect in advance connect
again."""

HEADER_BYTES_MAX = 64 * 1024
"""Telnyx's are under 1 kB; SIP headers are in the body."""


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection, cut when its header is too slow or too large."""

    header_s_max: ClassVar[float] = HEADER_S_MAX
    _patience: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_header()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever its annotation says
        if self._patience is None and (cycle is None or cycle.response_complete):
            self._expect_header()  # from the first byte, even one that begins no request yet
        if self._patience is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._header_bytes > HEADER_BYTES_MAX:
            self._cut(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._patience is None:
            self._expect_header()  # of a request that came while the one before it is being answered

    def on_headers_complete(self) -> None:
        self._have_header()
        super().on_headers_complete()

    def _expect_header(self) -> None:
        self._patience = self.loop.call_later(self.header_s_max, self._too_slow)

    def _have_header(self) -> None:
        self._header_bytes = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._cut(b"408 Request Timeout" if self._header_bytes else b"")

    def _cut(self, status: bytes) -> None:
        self._have_header()
        if self.transport.is_closing():
            return
        if status:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
