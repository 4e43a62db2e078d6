"""Processes of the server on a manual clock and one call log, with neither sockets nor HTTP: a test plays Telnyx."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

from callpath import App, Call
from callpath.api.files import Files
from callpath.call.plan import StreamPlan
from callpath.clock import ManualClock
from callpath.control import CommandReply
from callpath.errors import ControlError, StoreError
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.live import LiveCall
from callpath.server.media import StreamDriver
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Entry, SocketClosed, What
from callpath.wire.api import CallEvent, CallStatus
from callpath.wire.command import Command
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import Media, MediaFormat, Start, encode_message
from callpath.wire.webhook import Webhook, read_webhook

SESSION = SessionId("session-1")
W = TypeVar("W", bound=What)


class Log(MemoryCallLog):
    """A log of one process, or `shared` by several. It can be away, for reading and writing."""

    def __init__(self, clock: ManualClock, *, shared: bool = False) -> None:
        super().__init__(clock)
        self.shared = shared
        self.away = False
        self.claims: list[tuple[str, str]] = []
        """Which node asked for which call."""
        self.reads = 0

    def _answer(self) -> None:
        if self.away:
            raise StoreError("the log is away")

    async def append(self, *entries: Entry) -> bool:
        self._answer()
        return await super().append(*entries)

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        self.reads += 1
        self._answer()
        return await super().read(session, after)

    async def claim(self, session: SessionId, node: str, lease_ms: int, *, steal: Any = "expired") -> bool:
        self.claims.append((node, session))
        self._answer()
        return await super().claim(session, node, lease_ms, steal=steal)

    async def offer(self, session: SessionId) -> None:
        self._answer()
        await super().offer(session)

    def holder(self, session: SessionId = SESSION) -> str | None:
        """The node that has the lease of a call; an empty text: it was offered."""
        return self._leases.get(session, (None, 0))[0]

    def whats(self, kind: type[W], session: SessionId = SESSION) -> list[W]:
        """Entries of one kind, in order."""
        return [entry.what for entry in self._timelines.get(session, []) if isinstance(entry.what, kind)]


class Telnyx:
    """Call Control. It carries out everything, unless a test says otherwise."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers = asyncio.Event()
        """Cleared: no command is answered."""
        self.answers.set()
        self.refuses: set[str] = set()
        self.alive: bool | None = True
        """What it says of a line; None: nothing."""
        self.asked: list[CallControlId] = []
        self.missed: list[dict[str, Any]] = []
        """Events that it lists, and that were never delivered."""
        self.lists_events = True

    async def send(self, command: Command, _leg: CallControlId, **_: Any) -> CommandReply:
        """Carry out a command."""
        self.sent.append(command.NAME)
        await self.answers.wait()
        if command.NAME in self.refuses:
            raise self._error(command.NAME, 422, "90015")
        return CommandReply(200, {}, 1.0, 1)

    async def call_events(self, _session: SessionId) -> list[CallEvent]:
        """The list of call events."""
        if not self.lists_events:
            raise self._error("call events", 500, None)
        return [CallEvent(name="event", type="webhook", metadata={"event": one["data"]}) for one in self.missed]

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """Whether the line is up."""
        self.asked.append(call_control_id)
        if self.alive is None:
            raise self._error("call status", 500, None)
        return CallStatus(
            call_control_id=call_control_id,
            call_leg_id=LegId("leg-1"),
            call_session_id=SESSION,
            is_alive=self.alive,
        )

    @staticmethod
    def _error(command: str, status: int, code: str | None) -> ControlError:
        return ControlError(
            "refused by the test",
            command=command,
            command_id=None,
            status=status,
            code=code,
            detail="refused by the test",
            retryable=False,
        )


class Socket:
    """Our side of an audio socket: what the server does to it."""

    writable = True

    def __init__(self) -> None:
        self.closed: list[tuple[int, str]] = []

    def send(self, text: bytes) -> None:
        """What the caller would hear."""

    def close(self, code: int, reason: str) -> None:
        """The server closes it."""
        self.closed.append((code, reason))

    def on_second(self, now_ms: float) -> None:
        """No ping is due."""


class Node:
    """One process."""

    def __init__(self, clock: ManualClock, log: Log, telnyx: Telnyx, app: App, name: str, **more: Any) -> None:
        self.clock, self.log, self.telnyx = clock, log, telnyx
        self.context = Context(
            app=app,
            log=log,
            control=cast(Any, telnyx),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=clock,
            files=Files.inline(),
            node=name,
            log_entries=False,
            **more,
        )
        self.orphans: list[SessionId] = []
        self.calls = Calls(self.context, recover=self.orphans.append)
        self._streams = 0

    @property
    def call(self) -> LiveCall:
        """The call's actor."""
        return self.calls.live[SESSION]

    async def webhook(
        self, event_type: str, *, event_id: str | None = None, session: str = SESSION, **more: Any
    ) -> bool:
        """Deliver an event, and let the call act on it. Returns whether it was new."""
        document = event(event_type, event_id=event_id, session=session, **more)
        webhook = read_webhook(document)
        assert isinstance(webhook, Webhook)
        new = await self.calls.receive_webhook(webhook, document)
        await self.clock.advance(0)
        return new

    async def connect(self) -> tuple[StreamDriver, Socket]:
        """Open an audio socket, whose start frame has come."""
        driver, socket = await self.upgrade()
        self._streams += 1
        stream_id = StreamId(f"stream-{self._streams} of {self.context.leases.node}")
        await self.frame(
            driver,
            Start(
                stream_id=stream_id,
                call_control_id=CallControlId("v3:leg-1"),
                call_session_id=SESSION,
                media_format=MediaFormat(encoding="PCMU", sample_rate=8000),
            ),
        )
        return driver, socket

    async def upgrade(self) -> tuple[StreamDriver, Socket]:
        """Open an audio socket that has brought nothing yet."""
        live, context = self.calls.load(SESSION), self.context
        driver = StreamDriver(live, live.new_stream(), self.clock, context.pacer, context.coalescer)
        socket = Socket()
        driver.begin(cast(Any, socket))
        await self.clock.advance(0)
        return driver, socket

    async def frame(self, driver: StreamDriver, message: Any = None) -> None:
        """Bring a frame: audio, if it is not said."""
        driver.receive_text(encode_message(message or Media(payload=bytes([0x7F]) * 160, chunk=1)).encode())
        await self.clock.advance(0)

    async def lose(self, driver: StreamDriver) -> None:
        """Break the connection."""
        driver.lost(SocketClosed(code=1006))
        await self.clock.advance(0)

    async def connect_after_answer(self) -> tuple[StreamDriver, Socket]:
        """A call that was answered, and whose audio comes here."""
        await self.webhook("call.initiated", direction="incoming", state="parked")
        await self.webhook("call.answered")
        return await self.connect()

    async def talk(self) -> StreamDriver:
        """The same, where the socket itself is of no interest."""
        driver, _ = await self.connect_after_answer()
        return driver


def endless() -> App:
    """An application whose handler stays on the line."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    return app


_events = iter(range(1, 1_000_000))


def event(
    event_type: str, *, event_id: str | None = None, session: str = SESSION, leg: str = "leg-1", **more: Any
) -> dict[str, Any]:
    """A webhook as Telnyx writes it."""
    payload = {
        "call_control_id": f"v3:{leg}",
        "call_leg_id": leg,
        "call_session_id": session,
        "from": "+15555550123",
        "to": "+15555550199",
        **more,
    }
    return {
        "data": {
            "record_type": "event",
            "event_type": event_type,
            "id": event_id or f"event-{next(_events)}",
            "occurred_at": "2026-01-01T00:00:00.000000Z",
            "payload": payload,
        }
    }


@asynccontextmanager
async def one_node(app: App | None = None, *, shared: bool = False, **more: Any) -> AsyncIterator[Node]:
    """One process on a log of its own; with `shared`, the log could have others. `more` goes into its Context."""
    clock = ManualClock()
    node = Node(clock, Log(clock, shared=shared), Telnyx(), app or endless(), "a", **more)
    async with _running(node):
        yield node


@asynccontextmanager
async def two_nodes(app: App | None = None, **more: Any) -> AsyncIterator[tuple[Node, Node]]:
    """Two processes on one log."""
    clock = ManualClock()
    log, telnyx = Log(clock, shared=True), Telnyx()
    a, b = (Node(clock, log, telnyx, app or endless(), name, **more) for name in ("a", "b"))
    async with _running(a), _running(b):
        yield a, b


@asynccontextmanager
async def _running(node: Node) -> AsyncIterator[None]:
    """Until the end of the test; a call that could not be stored would hold up the end."""
    async with node.calls.running():
        try:
            yield
        finally:
            node.log.away = False
            node.telnyx.answers.set()
