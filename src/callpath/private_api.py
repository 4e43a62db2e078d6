"""All that callpath uses of other packages beyond what they document: the one file to read when one of them is upgraded.

Each class turns a library's inner workings into a few methods of our own, and says what it relies on. The modules that
build on them (`server.guard`, `server.socket`, `server.drain`, `server.frames`, `simulator.load`) know only those;
`tests/test_private_api.py` fails where a module reaches behind. The tested versions are upper bounds in pyproject.toml.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.utils import accept_key

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without wheels: slower, and right
    from websockets.utils import apply_mask

# websockets documents neither `utils` nor `speedups`. Used: apply_mask(data, mask) -> bytes, for any bytes and a mask of
# four; accept_key(key) -> str, the value of Sec-WebSocket-Accept.
__all__ = ["EmbeddedServer", "HttpConnection", "Server", "UpgradeConnection", "accept_key", "apply_mask", "parse_tree"]


def parse_tree(expression: re.Pattern[str]) -> Iterable[tuple[Any, Any]]:
    """What a regular expression is made of: pairs of an operation and its argument, nested. Empty where Python has no such
    thing any more: then nothing is known of the expression.

    Relies on: `re._parser.parse(pattern, flags)`, whose operations have kept their names (`LITERAL`, `BRANCH`,
    `MAX_REPEAT`, …) and arguments since Python 3.5.
    """
    parser = getattr(re, "_parser", None)
    return cast("Iterable[tuple[Any, Any]]", parser.parse(expression.pattern, expression.flags)) if parser else ()


class HttpConnection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 connection, with a hook for each stage of a request.

    Relies on: uvicorn makes one per connection from `Config(http=…)`, and passes on what asyncio calls (`connection_made`,
    `data_received`, `pause_writing`, …); httptools' callbacks are its methods (`on_message_begin`, `on_headers_complete`,
    `on_message_complete`) and an exception in one ends in `send_400_response`; `on_response_complete` and
    `timeout_keep_alive_handler` close by `self.transport`; the attributes `config.app`, `client`, `scope`, `loop`,
    `transport`, `flow.write_paused`, `pipeline` (requests that wait) and `cycle` (the request being answered, None before
    the first one whatever its annotation says) with `response_started`, `response_complete` and `more_body`.
    """

    # --- hooks -------------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        """The connection was made."""

    def ended(self) -> None:
        """The connection is gone."""

    def receives(self, number_of_bytes: int) -> None:
        """Bytes came, and are parsed next."""

    def received(self) -> None:
        """They were parsed."""

    def request_begins(self) -> None:
        """The first byte of a request was parsed. Raise ValueError to answer it with 400."""

    def request_has_begun(self) -> None:
        """The request has its scope."""

    def header_complete(self) -> None:
        """A request's header is whole; the application is called next."""

    def body_complete(self) -> None:
        """A request's body is whole."""

    def answer_complete(self) -> None:
        """A request was answered; the transport may be closing."""

    def unreadable(self) -> None:
        """Something came that is no HTTP. It was answered with 400."""

    def idle_too_long(self) -> None:
        """No request came for as long as uvicorn keeps a connection alive."""

    def may_upgrade(self) -> bool:
        """Whether a WebSocket upgrade is handed on; if not, the connection was dealt with."""
        return True

    def writing_paused(self) -> None:
        """The client does not read its answer, and the kernel takes no more."""

    def writing_resumed(self) -> None:
        """It reads again."""

    # --- what there is to ask and to do ------------------------------------------------------------------------------

    @property
    def application(self) -> Any:
        """The ASGI application as it was given to `uvicorn.Config`."""
        return self.config.app

    @property
    def client_address(self) -> str | None:
        """The peer's address."""
        return self.client[0] if self.client else None

    @property
    def closing(self) -> bool:
        """The transport is being closed, or gone."""
        return self.transport.is_closing()

    @property
    def answering(self) -> bool:
        """A request is being answered."""
        return not self._cycle_complete()

    @property
    def answer_begun(self) -> bool:
        """The first part of the answer was sent."""
        cycle = self._cycle()
        return cycle is not None and cycle.response_started

    @property
    def body_awaited(self) -> bool:
        """The rest of a request's body has still to come."""
        cycle = self._cycle()
        return cycle is not None and cycle.more_body

    @property
    def is_writing_paused(self) -> bool:
        """The client does not read its answer."""
        return self.flow.write_paused

    @property
    def requests_waiting(self) -> int:
        """Requests that came while another is being answered."""
        return len(self.pipeline)

    def offer(self, name: str, offer: dict[str, Any]) -> None:
        """Put an extension into the scope of the request that begins."""
        self.scope["extensions"] = {name: offer}  # type: ignore[dict-item]

    def withdraw_offers(self) -> None:
        """Break the reference cycle from the scope back to this connection."""
        if self.scope is not None:
            self.scope.pop("extensions", None)

    def call_later(self, delay_s: float, callback: Any) -> asyncio.TimerHandle:
        """`loop.call_later` of the connection's loop."""
        return self.loop.call_later(delay_s, callback)

    def write(self, data: bytes) -> None:
        """Send bytes past uvicorn."""
        self.transport.write(data)

    def close_when_read(self) -> None:
        """Close once the client has read everything."""
        self.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def _cycle(self) -> RequestResponseCycle | None:
        return self.cycle

    def _cycle_complete(self) -> bool:
        cycle = self._cycle()
        return cycle is None or cycle.response_complete

    # --- what uvicorn, asyncio and httptools call --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.opened()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self.receives(len(data))
        super().data_received(data)
        self.received()

    def handle_websocket_upgrade(self) -> None:
        if self.may_upgrade():
            super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        self.request_begins()
        super().on_message_begin()
        self.request_has_begun()

    def on_headers_complete(self) -> None:
        self.header_complete()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.body_complete()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.answer_complete()

    def timeout_keep_alive_handler(self) -> None:
        self.idle_too_long()

    def send_400_response(self, msg: str) -> None:
        super().send_400_response(msg)
        self.unreadable()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writing_paused()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writing_resumed()

    def _unsupported_upgrade_warning(self) -> None:
        """HTTP/2 is not spoken here; the request is answered, and no client may fill the log."""


class UpgradeConnection(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket connection, whose transport can be taken away from it after the handshake.

    Relies on: `handle_connect` makes `scope` with its `extensions`, unless the handshake was refused; the state
    `handshake_initiated`, `handshake_complete`, `initial_response` (a refusal that is being sent) and `queue` (messages for
    ASGI); of websockets' ServerProtocol `conn.handshake_exc` and `conn.reader.buffer` (bytes that came and were not
    parsed); `stop_keepalive`, the shared set `connections`, and that only `transport` leads to the socket. The HTTP
    connection it takes over from is the transport's protocol in `connection_made`, and keeps its `parser`.
    """

    _before: Any = None
    """The HTTP connection that hands over to this one."""

    # --- hooks -------------------------------------------------------------------------------------------------------

    def offers(self) -> dict[str, Any]:
        """Extensions for the scope of the ASGI application."""
        return {}

    def unreadable_upgrade(self, why: str) -> bytes:
        """The answer to an upgrade whose header the WebSocket library cannot read."""
        raise NotImplementedError

    def stopping(self) -> bytes:
        """The answer to an upgrade that nobody has answered when the server stops."""
        raise NotImplementedError

    # --- what there is to do -----------------------------------------------------------------------------------------

    def release_transport(self) -> tuple[asyncio.Transport, set[Any]] | None:
        """The transport, which uvicorn touches no more, and the set in which its new protocol must stand, with a method
        `shutdown`, as long as it is open. To be called right after accept.

        None if something came in already: that went to ASGI, and so must the rest.
        """
        transport = self.transport
        if not self.handshake_complete or transport.is_closing() or not self.queue.empty() or self.conn.reader.buffer:
            return None
        self.stop_keepalive()
        self.connections.discard(self)
        self.transport = cast(asyncio.Transport, _Released())
        # What the handshake left behind refers to itself in circles: 20 kB a call until the garbage collector comes.
        leftovers = vars(self)
        for name in ("conn", "scope", "request", "response", "initial_response"):
            leftovers[name] = None
        vars(self._before).pop("parser", None)
        self._before = None
        return transport, cast(set[Any], self.connections)

    # --- what uvicorn and asyncio call -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._before = cast(asyncio.Transport, transport).get_protocol()

    def data_received(self, data: bytes) -> None:
        """uvicorn neither answers nor closes an upgrade that the WebSocket library cannot read: another method, a line over
        8 kB, over 128 lines."""
        super().data_received(data)
        broken = None if self.handshake_initiated else self.conn.handshake_exc
        if broken is not None and not self.transport.is_closing():
            self.transport.write(self.unreadable_upgrade(str(broken.__cause__ or broken)))
            self.transport.close()

    def shutdown(self) -> None:
        """uvicorn stops. It would answer an open upgrade with 500; so another node may be asked."""
        if self.handshake_complete or self.initial_response or self.transport.is_closing():
            super().shutdown()
            return
        self.stop_keepalive()
        self.transport.write(self.stopping())
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:  # None: the handshake itself was refused
            cast(dict[str, Any], scope["extensions"]).update(self.offers())


class _Released:
    """The transport that uvicorn holds after a release: closing it when the ASGI call returns must do nothing."""

    def close(self) -> None:
        """Not uvicorn's any more."""

    def is_closing(self) -> bool:
        return True


class Server(uvicorn.Server):
    """uvicorn's server, with a hook for each signal and each tick.

    Relies on: `handle_exit` is called for each signal, `startup` returns once the server listens, `on_tick` is asked ten
    times a second; `should_exit` begins the stop and `force_exit` cuts it short.
    """

    # --- hooks -------------------------------------------------------------------------------------------------------

    def signalled(self, number: int) -> None:
        """A signal. Runs between any two instructions: leave a note for the next tick."""

    def now_listening(self) -> None:
        """The server listens."""

    def ticked(self) -> None:
        """A tenth of a second has passed."""

    # --- what there is to do -----------------------------------------------------------------------------------------

    @property
    def is_stopping(self) -> bool:
        """`stop` was called."""
        return self.should_exit

    def stop(self, *, at_once: bool = False) -> None:
        """Stop after the requests under way, or without them."""
        self.should_exit = True
        self.force_exit = at_once

    # --- what uvicorn calls ------------------------------------------------------------------------------------------

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 (uvicorn's signature)
        self.signalled(sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.now_listening()

    async def on_tick(self, counter: int) -> bool:
        self.ticked()
        return await super().on_tick(counter)


class EmbeddedServer(uvicorn.Server):
    """A server inside a program that handles signals itself. `listening` is set once it does.

    Relies on: `capture_signals` is what installs uvicorn's signal handlers, `startup` returns once the server listens, and
    `servers` are those that it made.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @asynccontextmanager
    async def serving(self, listener: socket.socket) -> AsyncIterator[None]:
        """While this is entered, it serves. Whatever ends the body, it stops in its own order: timelines are stored. The
        listener is closed in any case."""
        failure: BaseException | None = None
        with listener:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.serve(sockets=[listener]), name="embedded server")
                await self.listening.wait()
                try:
                    yield
                except BaseException as error:
                    failure = error
                self.should_exit = True
        if failure is not None:
            raise failure

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`. A server that is cancelled, or does not start, closes its sockets too."""
        try:
            await super().serve(sockets)
        finally:
            for server in getattr(self, "servers", ()):
                server.close()
            for listener in sockets or ():
                listener.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
