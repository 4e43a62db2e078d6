"""The web server's patience with those who do not speak: uvicorn waits for ever for a request's header, of any size, for
its body, and for a client that does not read its answer.

`GuardedHttp` goes in as uvicorn's `http=`. How large a body may be the routes that read it know; idle kept-alive
connections are uvicorn's own business. Who has shown nothing yet belongs to the application's `Crowd`, until it vouches.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from starlette.requests import HTTPConnection
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from callpath.call.address import VOUCH
from callpath.server.limits import Crowd

HEADER_S_MAX = 15.0
"""From the connection, or from a request's first byte, to the end of its header. Proxies that connect in advance connect
again."""

HEADER_BYTES_MAX = 32 * 1024
"""Telnyx's are under 1 kB; SIP headers are in the body. No host's edge lets more through than Railway's 32 kB."""

BODY_S_MAX = 20.0
"""From the end of the header to that of the body, where the route itself has no shorter limit."""

READ_S_MAX = 60.0
"""How long a client may leave its answer unread, once more waits for it than the kernel takes."""


PIPELINED_MAX = 8
"""Requests that wait behind the one that is being answered. uvicorn takes any number, a few kB each; nobody sends them."""


class GuardedHttp(HttpToolsProtocol):
    """One HTTP connection, cut when its header or body is too slow or too large, or its answer is not read."""

    header_s_max: ClassVar[float] = HEADER_S_MAX
    body_s_max: ClassVar[float] = BODY_S_MAX
    read_s_max: ClassVar[float] = READ_S_MAX
    _patience: asyncio.TimerHandle | None = None
    """While a header is awaited."""
    _body_patience: asyncio.TimerHandle | None = None
    _read_patience: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _crowd: Crowd | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_header()
        self._crowd = getattr(getattr(self.config.app, "state", None), "crowd", None)
        if self._crowd is not None:
            self._crowd.enter(self, self.client[0] if self.client else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._let_go()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if self.flow.write_paused or (cycle is not None and not cycle.response_complete):
            self.transport.abort()  # nobody asks for a socket behind answers that he has not read
            return
        self._let_go()  # from here on the route decides at once, and closes whom it refuses
        super().handle_websocket_upgrade()

    def _let_go(self) -> None:
        self._vouch()
        self._have_header()
        self._have_body()
        self._have_read()
        if self.scope is not None:
            self.scope.pop("extensions", None)  # it refers back to us

    def _vouch(self) -> None:
        """It has shown a token or a signature: from now on it is nobody's to make room."""
        if self._crowd is not None:
            self._crowd.leave(self)

    def waits(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete or cycle.more_body or self.flow.write_paused

    def cut(self) -> None:
        self._close()
        if self.flow.write_paused:
            self.transport.abort()

    # --- the header --------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request, whatever its annotation says
        if self._patience is None and (cycle is None or cycle.response_complete):
            self._expect_header()  # from the first byte, even one that begins no request yet
        if self._patience is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._patience is not None and self._header_bytes > HEADER_BYTES_MAX:
            self._answer_and_close(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINED_MAX:
            raise ValueError("too many requests at once")  # for the parser, which stops: 400, and closed
        super().on_message_begin()
        self.scope["extensions"] = {VOUCH: {"vouch": self._vouch}}
        if self._patience is None:
            self._expect_header()  # of a request that came while the one before it is being answered

    def on_headers_complete(self) -> None:
        self._have_header()
        self._have_body()
        self._body_patience = self.loop.call_later(self.body_s_max, self._body_too_slow)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._have_body()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        if self._crowd is not None:
            self._crowd.turned_away("connection", "no_http")
        super().send_400_response(msg)
        self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """HTTP/2 is not spoken here; the request is answered, and the log is not for everybody to fill."""

    def _expect_header(self) -> None:
        self._patience = self.loop.call_later(self.header_s_max, self._too_slow)

    def _have_header(self) -> None:
        self._header_bytes = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _too_slow(self) -> None:
        self._answer_and_close(b"408 Request Timeout" if self._header_bytes else b"")

    def _answer_and_close(self, status: bytes) -> None:
        self._have_header()
        if self.transport.is_closing():
            return
        if status:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._close()

    # --- the body, and the answer ------------------------------------------------------------------------------------

    def _have_body(self) -> None:
        if self._body_patience is not None:
            self._body_patience.cancel()
            self._body_patience = None

    def _body_too_slow(self) -> None:
        """Whoever waits for the body hears that the client is gone."""
        cycle: RequestResponseCycle | None = self.cycle
        answered = cycle is not None and cycle.response_started
        self._answer_and_close(b"" if answered else b"408 Request Timeout")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def _close(self) -> None:
        """Closing waits until everything is read, and that may be never."""
        self.transport.close()
        self._expect_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_reading()

    def _expect_reading(self) -> None:
        self._have_read()
        self._read_patience = self.loop.call_later(self.read_s_max, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._have_read()

    def _have_read(self) -> None:
        if self._read_patience is not None:
            self._read_patience.cancel()
            self._read_patience = None


def vouch(request: HTTPConnection) -> None:
    """This request is authentic: its connection is never cut to make room for others. Nothing under another web server."""
    offer = request.scope.get("extensions", {}).get(VOUCH)
    if offer is not None:
        offer["vouch"]()
