"""Timeouts for slow or idle HTTP clients: uvicorn waits for ever for a request's header, of any size, for its body, and for a
client that does not read its answer.

`GuardedHttp` is uvicorn's `http=`. The routes limit the size of a body, and uvicorn closes idle kept-alive connections. An
unauthenticated connection is counted by the application's `ConnectionLimiter`.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from starlette.requests import HTTPConnection

from callpath.call.address import MARK_AUTHENTICATED
from callpath.private_api import HttpConnection
from callpath.server.limits import ConnectionLimiter

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
"""Maximum requests that wait behind the one being answered. uvicorn takes any number, a few kB each; nobody sends them."""


class GuardedHttp(HttpConnection):
    """One HTTP connection, closed when its header or body is too slow or too large, or its answer is not read."""

    header_s_max: ClassVar[float] = HEADER_S_MAX
    body_s_max: ClassVar[float] = BODY_S_MAX
    read_s_max: ClassVar[float] = READ_S_MAX
    _header_timer: asyncio.TimerHandle | None = None
    """While a header is awaited."""
    _body_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _header_bytes = 0
    _limiter: ConnectionLimiter | None = None

    def opened(self) -> None:
        self._expect_header()
        self._limiter = getattr(getattr(self.application, "state", None), "connection_limiter", None)
        if self._limiter is not None:
            self._limiter.add(self, self.client_address)

    def ended(self) -> None:
        self._let_go()

    def may_upgrade(self) -> bool:
        if self.is_writing_paused or self.answering:
            self.abort()  # no real client upgrades before it has read its answers
            return False
        self._let_go()  # the route decides at once, and closes what it rejects
        return True

    def _let_go(self) -> None:
        self._mark_authenticated()
        self._have_header()
        self._have_body()
        self._have_read()
        self.withdraw_offers()

    def _mark_authenticated(self) -> None:
        """The client has shown a token or a signature: from now on its connection is never evicted."""
        if self._limiter is not None:
            self._limiter.remove(self)

    def is_idle(self) -> bool:
        return not self.answering or self.body_awaited or self.is_writing_paused

    def evict(self) -> None:
        self._close()
        if self.is_writing_paused:
            self.abort()

    # --- the header --------------------------------------------------------------------------------------------------

    def receives(self, number_of_bytes: int) -> None:
        if self._header_timer is None and not self.answering:
            self._expect_header()  # from the first byte, even one that begins no request yet
        if self._header_timer is not None:
            self._header_bytes += number_of_bytes

    def received(self) -> None:
        if self._header_timer is not None and self._header_bytes > HEADER_BYTES_MAX:
            self._answer_and_close(b"431 Request Header Fields Too Large")

    def request_begins(self) -> None:
        if self.requests_waiting >= PIPELINED_MAX:
            raise ValueError("too many requests at once")  # for the parser, which stops: 400, and closed

    def request_has_begun(self) -> None:
        self.offer(MARK_AUTHENTICATED, {"mark": self._mark_authenticated})
        if self._header_timer is None:
            self._expect_header()  # of a request that came while the one before it is being answered

    def header_complete(self) -> None:
        self._have_header()
        self._have_body()
        self._body_timer = self.call_later(self.body_s_max, self._body_too_slow)

    def unreadable(self) -> None:
        if self._limiter is not None:
            self._limiter.turned_away("connection", "no_http")
        self._close()

    def _expect_header(self) -> None:
        self._header_timer = self.call_later(self.header_s_max, self._too_slow)

    def _have_header(self) -> None:
        self._header_bytes = 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        self._answer_and_close(b"408 Request Timeout" if self._header_bytes else b"")

    def _answer_and_close(self, status: bytes) -> None:
        self._have_header()
        if self.closing:
            return
        if status:
            self.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self._close()

    # --- the body, and the answer ------------------------------------------------------------------------------------

    def body_complete(self) -> None:
        self._have_body()

    def _have_body(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _body_too_slow(self) -> None:
        """The application, which waits for the body, gets a disconnect."""
        self._answer_and_close(b"" if self.answer_begun else b"408 Request Timeout")

    def answer_complete(self) -> None:
        if self.closing:
            self._close()

    def idle_too_long(self) -> None:
        self._close()

    def _close(self) -> None:
        """Closing waits until everything is read, and that may be never."""
        self.close_when_read()
        self._expect_reading()

    def writing_paused(self) -> None:
        self._expect_reading()

    def _expect_reading(self) -> None:
        self._have_read()
        self._read_timer = self.call_later(self.read_s_max, self.abort)

    def writing_resumed(self) -> None:
        if not self.closing:
            self._have_read()

    def _have_read(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None


def mark_authenticated(request: HTTPConnection) -> None:
    """This request is authentic: its connection is never evicted. Does nothing under another web server."""
    offer = request.scope.get("extensions", {}).get(MARK_AUTHENTICATED)
    if offer is not None:
        offer["mark"]()
