"""Telnyx and the nodes of a server, on one manual clock.

The nodes are the server's own code from the webhook to the hangup, as in `callpath.testing`; Telnyx is a model of one call
that knows the truth: who is on the line, who was connected to whom, and what was asked of it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from callpath.api.app import App
from callpath.api.files import Files
from callpath.call.plan import StreamPlan
from callpath.call.policies import CallPolicy, parse_steps
from callpath.clock import Clock, ManualClock
from callpath.control import CommandReply, Control, Retry
from callpath.errors import ControlError, StoreError
from callpath.server.admission import Admission, Upgrade, admit
from callpath.server.calls import Calls
from callpath.server.context import Context, DialsAs
from callpath.server.media import StreamDriver
from callpath.server.recovery import Recovery
from callpath.store.memory import MemoryCallLog
from callpath.timeline import NO_WAKE_KINDS, CommandAnswered, CommandSent, Entry, SocketClosed
from callpath.wire.api import CallEvent, CallStatus
from callpath.wire.command import Command
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import Media, MediaFormat, Start, Stop, encode_message
from callpath.wire.webhook import Webhook, read_webhook

SESSION = SessionId("11111111-2222-3333-4444-555555555555")
A, B = "leg-a", "leg-b"

ANSWERS_AFTER_MS = 2_500.0
"""When a phone is answered that was called for a consult."""

FRAME_EVERY_MS = 100.0
"""How often the caller's audio comes: a fifth of a real phone's, which is enough to show life."""

LOOK_EVERY_MS = 500.0
"""How often a life is looked at."""

OVER_MS = 80_000.0
"""How long a life goes on after the end of its call, so that what was left behind is seen."""

WEBHOOK_TRIES_MS = (0, 2_000, 5_000, 12_000, 30_000, 58_000)
"""When Telnyx tries to deliver a webhook; after a minute it gives up."""

BUSY = {"USER_BUSY": "user_busy", "CALL_REJECTED": "call_rejected"}


@dataclass
class Weather:
    """What goes wrong around a call, drawn from the seed. Times are ms of the clock; nothing happens after
    `until_ms`."""

    until_ms: float = 60_000.0
    webhook_lost: float = 0.0
    webhook_doubled: float = 0.0
    webhook_late_ms: float = 0.0
    refused: dict[str, int] = field(default_factory=dict)
    """How often a command is refused, by name."""
    lost_answers: dict[str, int] = field(default_factory=dict)
    """How often the answer to a command gets lost though it was carried out."""
    failing: dict[str, int] = field(default_factory=dict)
    """How often a command is answered with 503, and not carried out."""
    answer_ms: float = 30.0
    reply_ms: float = 0.0
    """How long the answer to a command takes after it was carried out: its webhook may be first."""
    reconnects: bool = True
    reconnect_after_ms: float = 2_000.0
    tells_failed: bool = True
    """Telnyx reports a lost stream with streaming.failed."""
    socket_late_ms: float = 100.0
    never_connects: int = 0
    """How many requests for a stream bring no socket."""
    answers_transfer: bool = True
    tells_speak_ended: bool = True
    log_down: list[tuple[float, float]] = field(default_factory=list)
    log_slow: list[tuple[float, float]] = field(default_factory=list)


class Telnyx:
    """One call as the carrier knows it."""

    def __init__(self, world: World, weather: Weather, session: SessionId = SESSION, leg: str = A) -> None:
        self.world = world
        self.session = session
        self.leg = leg
        self.seconds: list[SecondCall] = []
        """Calls that were dialled for consults about this one."""
        self.phones = 0
        """How many phones were called for the caller."""
        self.was_joined = False
        """The caller was connected to one of them."""
        self.weather = weather
        self.clock = world.clock
        self.rings = True
        self.answered_ms: float | None = None
        self.over = False
        self.over_ms: float | None = None
        self.over_by = ""
        self.leg_b = ""
        """`ringing`, `joined` or `gone`; empty before a transfer."""
        self.leg_b_id: str | None = None
        """The leg of the last transfer."""
        self.spoken: list[tuple[float, float]] = []
        """What Telnyx speaks or plays: from when, until when."""
        self.received: Counter[str] = Counter()
        """How often each command_id came."""
        self.received_ms: dict[str, float] = {}
        """When it came first."""
        self.carried_out: dict[str, Command] = {}
        self.hangups: list[tuple[float, str]] = []
        """When a hangup was carried out, and what Telnyx was doing for the caller at that moment."""
        self.streams = 0
        self.socket: Socket | None = None
        self.given_up: list[Socket] = []
        self.wants_stream = False
        self.events = 0
        self.told: list[dict[str, Any]] = []
        """Every event, for the list of call events."""

    # --- commands ----------------------------------------------------------------------------------------------------

    async def command(self, command: Command, leg: CallControlId) -> CommandReply:
        """Carry out what an HTTP request asks for, once for each command_id. Raises ControlError."""
        name, weather = command.NAME, self.weather
        assert command.command_id is not None
        self.received[command.command_id] += 1
        self.received_ms.setdefault(command.command_id, self.clock.now_ms())
        await self.clock.sleep_ms(weather.answer_ms)
        if self._takes(weather.failing, name):
            raise self._error(command, 503, None, retryable=True)
        if self.over:
            raise self._error(command, 422, "90018")
        if self._takes(weather.refused, name):
            raise self._error(command, 422, "90015")
        if command.command_id not in self.carried_out:
            self.carried_out[command.command_id] = command
            self._carry_out(command)
        await self.clock.sleep_ms(weather.reply_ms)
        if self._takes(weather.lost_answers, name):
            raise self._error(command, None, None, retryable=True)
        return CommandReply(200, {}, weather.answer_ms, 1)

    async def dial(self, command: Command) -> CommandReply:
        """Call another phone, once for each command_id. Telnyx does not document what a repeated dial is answered with:
        here nothing that would help."""
        assert command.command_id is not None
        self.received[command.command_id] += 1
        self.received_ms.setdefault(command.command_id, self.clock.now_ms())
        await self.clock.sleep_ms(self.weather.answer_ms)
        if self._takes(self.weather.failing, command.NAME):
            raise self._error(command, 503, None, retryable=True)
        if self._takes(self.weather.refused, command.NAME):
            raise self._error(command, 403, "10010")
        ids: dict[str, Any] = {}
        if command.command_id not in self.carried_out:
            self.carried_out[command.command_id] = command
            second = SecondCall(self, len(self.seconds) + 1, getattr(command, "client_state", None))
            self.seconds.append(second)
            self.leg_b = "ringing"
            self.phones += 1
            second.ring()
            ids = {"call_control_id": f"v3:{second.leg}", "call_leg_id": second.leg, "call_session_id": second.session}
        await self.clock.sleep_ms(self.weather.reply_ms)
        if self._takes(self.weather.lost_answers, command.NAME):
            raise self._error(command, None, None, retryable=True)
        return CommandReply(200, {"data": {**ids, "is_alive": False}}, self.weather.answer_ms, 1)

    def named(self, call_control_id: str) -> Telnyx:
        """The call that a command names."""
        return next((one for one in self.seconds if call_control_id == f"v3:{one.leg}"), self)

    def _takes(self, left: dict[str, int], name: str) -> bool:
        if self.clock.now_ms() > self.weather.until_ms or not left.get(name):
            return False
        left[name] -= 1
        return True

    @staticmethod
    def _error(command: Command, status: int | None, code: str | None, *, retryable: bool = False) -> ControlError:
        return ControlError(
            f"{command.NAME} failed",
            command=command.NAME,
            command_id=command.command_id,
            status=status,
            code=code,
            detail="simulated",
            retryable=retryable,
        )

    def _carry_out(self, command: Command) -> None:
        match command.NAME:
            case "answer":
                if self.rings:
                    self.rings, self.answered_ms = False, self.clock.now_ms()
                    self.tell("call.answered")
            case "reject":
                self.end("callpath")
            case "hangup":
                doing = "speaking" if self.is_speaking else "connected" if self.leg_b in ("ringing", "joined") else ""
                self.hangups.append((self.clock.now_ms(), doing))
                self.end("callpath")
            case "streaming_start":
                self.wants_stream = True
                self.world.later(self.weather.socket_late_ms, self._open_socket)
            case "streaming_stop":
                self.wants_stream = False
                if self.socket is not None:
                    self.socket.stop()
            case "speak" | "playback_start":
                self._speak(
                    2_000.0 if command.NAME == "playback_start" else 60.0 * len(getattr(command, "payload", ""))
                )
            case "transfer":
                self._transfer(getattr(command, "target_leg_client_state", None))
            case "bridge":
                other = self.named(str(getattr(command, "call_control_id", "")))
                if isinstance(other, SecondCall) and not other.over:
                    self.leg_b, other.joined, self.was_joined = "joined", True, True
                    other.tell("call.bridged")
                    self.tell("call.bridged")
            case _:
                pass

    @property
    def is_speaking(self) -> bool:
        """Telnyx speaks or plays something at this moment."""
        now_ms = self.clock.now_ms()
        return any(since <= now_ms < until for since, until in self.spoken)

    def _speak(self, duration_ms: float) -> None:
        since_ms = max([self.clock.now_ms(), *(until for _, until in self.spoken)])
        self.spoken.append((since_ms, since_ms + duration_ms))

        def ended() -> None:
            if not self.over and self.weather.tells_speak_ended:
                self.tell("call.speak.ended", status="completed")

        self.world.later(since_ms + duration_ms - self.clock.now_ms(), ended)

    def _transfer(self, client_state: str | None) -> None:
        self.leg_b = "ringing"
        self.phones += 1
        self.leg_b_id = leg = B if self.leg_b_id is None else f"{self.leg_b_id}+"
        about = {"client_state": client_state} if client_state else {}
        self.tell("call.initiated", leg=leg, direction="outgoing", state="bridging", **about)

        def answered() -> None:
            if self.over or self.leg_b != "ringing" or self.leg_b_id != leg:
                return
            if self.weather.answers_transfer:
                self.leg_b, self.was_joined = "joined", True
                self.tell("call.answered", leg=leg, **about)
                self.tell("call.bridged", leg=leg, **about)
                self.tell("call.bridged")
            else:
                self.leg_b = "gone"
                self.tell("call.hangup", leg=leg, hangup_cause="user_busy", **about)

        self.world.later(3_000.0, answered)

    # --- the line ----------------------------------------------------------------------------------------------------

    def tell(self, event_type: str, *, leg: str | None = None, **payload: Any) -> None:
        """Send a webhook to a living node, as often and as late as the weather has it."""
        self.events += 1
        document = {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": f"event-{self.events}" if self.leg == A else f"{self.leg}-event-{self.events}",
                "occurred_at": f"2026-01-01T00:{self.events // 60:02}:{self.events % 60:02}.000000Z",
                "payload": {
                    "call_control_id": f"v3:{leg or self.leg}",
                    "call_leg_id": leg or self.leg,
                    "call_session_id": self.session,
                    "from": "+15555550123",
                    "to": "+15555550199",
                    **payload,
                },
            }
        }
        self.told.append(document)
        rng, weather = self.world.rng, self.weather
        bad = self.clock.now_ms() < weather.until_ms
        if bad and rng.random() < weather.webhook_lost:
            return
        for _ in range(2 if bad and rng.random() < weather.webhook_doubled else 1):
            late_ms = rng.random() * weather.webhook_late_ms if bad else 0.0
            self.world.go(self._deliver(document, 20.0 + late_ms))

    async def _deliver(self, document: dict[str, Any], late_ms: float) -> None:
        began_ms = self.clock.now_ms() + late_ms
        for try_ms in WEBHOOK_TRIES_MS:
            await self.clock.sleep_ms(began_ms + try_ms - self.clock.now_ms())
            node = self.world.pick_node()
            if node is not None and await node.webhook(document):
                return

    def end(self, by: str) -> None:
        """The call is over."""
        if self.over:
            return
        self.over, self.over_ms, self.over_by = True, self.clock.now_ms(), by
        if self.socket is not None:
            self.socket.stop()
        for second in self.seconds:
            if second.joined:
                second.end("callee")
        if self.leg_b in ("ringing", "joined") and not self.seconds:
            self.leg_b = "gone"
            self.tell("call.hangup", leg=self.leg_b_id or B, hangup_cause="normal_clearing")
        self.tell("call.hangup", hangup_cause="normal_clearing", hangup_source="caller" if by == "caller" else "callee")

    # --- the socket --------------------------------------------------------------------------------------------------

    def _open_socket(self) -> None:
        if self.over or not self.wants_stream:
            return
        if self.weather.never_connects > 0:
            self.weather.never_connects -= 1
            if self.weather.tells_failed:
                self.tell("streaming.failed", failure_reason="connection_failed")
            return
        self.world.go(self._connect())

    def open_another(self, silent: Socket) -> None:
        """Beside a socket that brings nothing any more, unless that was lost and replaced meanwhile."""
        if not self.over and self.wants_stream and self.socket is silent:
            self.given_up.append(silent)
            self.socket = None
            self.world.go(self._connect())

    async def _connect(self) -> None:
        node = self.world.pick_node()
        socket = await node.upgrade(self) if node is not None else None
        if socket is None:
            await self.lost(None)
            return
        if self.over:
            socket.break_off()
            return
        self.socket = socket
        self.streams += 1
        await socket.carry(StreamId(f"stream-{self.streams}"))

    def lose_socket(self) -> None:
        """The connection breaks."""
        if self.socket is not None:
            self.socket.break_off()

    async def _connect_again(self) -> None:
        if not self.over and self.wants_stream and self.socket is None:
            await self._connect()

    async def lost(self, socket: Socket | None) -> None:
        """A socket is gone, or did not open: connect again, or report it."""
        if self.socket is socket:
            self.socket = None
        if self.over or not self.wants_stream or self.socket is not None:
            return
        if self.weather.reconnects:
            await self.clock.sleep_ms(self.weather.reconnect_after_ms)
            await self._connect_again()
            return
        self.wants_stream = False
        if self.weather.tells_failed:
            self.tell("streaming.failed", failure_reason="disconnected")

    # --- asked -------------------------------------------------------------------------------------------------------

    async def call_events(self, _session: SessionId) -> list[CallEvent]:
        """All that was told."""
        return [CallEvent(name="event", type="webhook", metadata={"event": document["data"]}) for document in self.told]

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """Whether the line is up."""
        await self.clock.sleep_ms(self.weather.answer_ms)
        return CallStatus(
            call_control_id=call_control_id,
            call_leg_id=LegId(self.leg),
            call_session_id=self.session,
            is_alive=not self.over,
        )


class SecondCall(Telnyx):
    """A call that was dialled for a consult: a session of its own."""

    def __init__(self, first: Telnyx, number: int, client_state: str | None) -> None:
        super().__init__(
            first.world, first.weather, SessionId(f"22222222-2222-3333-4444-{number:012}"), f"second-{number}"
        )
        self.joined = False
        self._first = first
        self._client_state = client_state

    def tell(self, event_type: str, *, leg: str | None = None, **payload: Any) -> None:
        """With the client_state that it was dialled with."""
        super().tell(event_type, leg=leg, **{"client_state": self._client_state, **payload})

    def ring(self) -> None:
        """Ring, and answer, or not."""
        self.tell("call.initiated", direction="outgoing", state="bridging")

        def answered() -> None:
            if self.over:
                return
            if not self.weather.answers_transfer:
                self.end("busy")
                return
            self.rings, self.answered_ms = False, self.clock.now_ms()
            self.tell("call.answered")

        self.world.later(ANSWERS_AFTER_MS, answered)

    def end(self, by: str) -> None:
        """The second person is gone; the caller, whose leg is parked, stays."""
        if self.over:
            return
        self.over, self.over_ms, self.over_by = True, self.clock.now_ms(), by
        if self.socket is not None:
            self.socket.stop()
        if self._first.seconds[-1] is self:
            self._first.leg_b = "gone"
        cause = "user_busy" if by == "busy" else "normal_clearing"
        self.tell("call.hangup", hangup_cause=cause, hangup_source="callee")


class Socket:
    """One audio socket, seen from Telnyx."""

    def __init__(self, node: Node, driver: StreamDriver, telnyx: Telnyx) -> None:
        self.node = node
        self.writable = True
        self.frames = 0
        self.closed_by_server: tuple[int, str] | None = None
        self._driver = driver
        self._telnyx = telnyx
        self._clock = node.world.clock
        self.is_open = True
        self._silent = False
        self._ends = False

    async def carry(self, stream_id: StreamId) -> None:
        """Send the start frame, then audio until the socket is closed by either side."""
        start = Start(
            stream_id=stream_id,
            call_control_id=CallControlId(f"v3:{self._telnyx.leg}"),
            call_session_id=self._telnyx.session,
            media_format=MediaFormat(encoding="PCMU", sample_rate=8000),
        )
        self._receive(start)
        while self.is_open and not self._ends:
            if not self._silent:
                self.frames += 1
                self._receive(Media(payload=bytes([0x7F]) * 160, chunk=self.frames, stream_id=stream_id))
            await self._clock.sleep_ms(FRAME_EVERY_MS)
        if self.is_open:
            self._receive(Stop(stream_id=stream_id))
            self._close(1000)
        await self._telnyx.lost(self)

    def silence(self) -> None:
        """It stays open and brings nothing any more."""
        self._silent = True

    def stop(self) -> None:
        """Telnyx stops the stream."""
        self._ends = True

    def break_off(self) -> None:
        """The connection breaks."""
        self._close(1006)

    def _close(self, code: int) -> None:
        if self.is_open:
            self.is_open = False
            if self.node.alive:
                self._driver.lost(SocketClosed(code=code, by="peer"))

    def _receive(self, message: Any) -> None:
        if self.is_open and self.node.alive:
            self._driver.receive_text(encode_message(message).encode())

    # What the driver asks of a socket:

    def send(self, text: bytes) -> None:
        """What the caller hears: not looked at here."""

    def close(self, code: int, reason: str) -> None:
        """The server closes."""
        if self.is_open:
            self.is_open = False
            self.closed_by_server = code, reason
            if "another server" in reason and self._telnyx.socket is self and not self._silent and not self._ends:
                self.node.world.problems.append("7: the newest socket was closed though the caller talked on it")
            self._driver.lost(SocketClosed(code=code, reason=reason, by="us"))

    def on_second(self, now_ms: float) -> None:
        """No pings here."""


class Log(MemoryCallLog):
    """The log that all nodes share."""

    def __init__(self, world: World, *, shared: bool) -> None:
        super().__init__(world.clock)
        self.shared = shared
        self._watchers: list[asyncio.Queue[SessionId]] = []

    async def append(self, *entries: Entry) -> bool:
        """Nodes that watch are told of what may ask for something, as the databases do it."""
        new = await super().append(*entries)
        for session in {entry.session for entry in entries if not isinstance(entry.what, NO_WAKE_KINDS)}:
            for watcher in self._watchers:
                watcher.put_nowait(session)
        return new

    async def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        """Calls that were written to."""
        news: asyncio.Queue[SessionId] = asyncio.Queue()
        self._watchers.append(news)
        try:
            while True:
                yield await news.get()
        finally:
            self._watchers.remove(news)

    @property
    def entries(self) -> list[Entry]:
        """The timeline of the call."""
        return self._timelines.get(SESSION, [])


class NodeLog:
    """The log as one node reaches it: away while the weather says so, and for good once the node is dead."""

    def __init__(self, node: Node, log: Log) -> None:
        self._node = node
        self._log = log
        self.shared = log.shared

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._log, name)
        if not callable(asked) or name == "watch":
            return asked

        async def ask(*args: Any, **more: Any) -> Any:
            await self._node.reach_log()
            answer = await cast(Callable[..., Awaitable[Any]], asked)(*args, **more)
            if name == "append" and self._node.world.loses_write():
                raise StoreError("the connection broke after the commit")
            return answer

        return ask


class NodeTelnyx:
    """Call Control as one node reaches it, with its retries."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def send(
        self,
        command: Command,
        call_control_id: CallControlId,
        *,
        conference: str | None = None,
        spent_ms: float = 0.0,
        is_over: Callable[[], bool] = lambda: False,
        on_retry: Callable[[Retry], None] = lambda _: None,
    ) -> CommandReply:
        """As `control.Control.send`: what may be repeated is, for up to a minute, or until the call is over."""
        telnyx, clock = self._node.world.telnyx, self._node.world.clock
        attempt = 1
        while True:
            if not self._node.alive:
                raise StoreError("this process is dead")
            try:
                if command.NAME == "dial":
                    return await telnyx.dial(command)
                return await telnyx.named(call_control_id).command(command, call_control_id)
            except ControlError as error:
                spent_ms += 500.0
                if not error.retryable or is_over() or spent_ms > 20_000:
                    raise
                on_retry(Retry(attempt, 500.0, 1.0, error.status, "simulated"))
                await clock.sleep_ms(500.0)
                attempt += 1

    async def call_events(self, session: SessionId) -> list[CallEvent]:
        telnyx = self._node.world.telnyx
        return await next((one for one in telnyx.seconds if one.session == session), telnyx).call_events(session)

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        return await self._node.world.telnyx.named(call_control_id).call_status(call_control_id)


class Node:
    """One process of the server."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.frozen_until_ms = 0.0
        self.calls: Calls
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the process, and return when it serves."""
        self._task = self.world.go(self._serve())
        await self._started.wait()

    async def _serve(self) -> None:
        world = self.world
        context = Context(
            app=world.app,
            log=cast(Any, NodeLog(self, world.log)),
            control=cast(Control, NodeTelnyx(self)),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=world.clock,
            policy=world.policy,
            dials_as=DialsAs("1", "+15555550199"),
            node=self.name if world.log.shared else None,
            data_dir=world.data_dir,
            files=Files.inline(),
            record=world.record,
            log_entries=False,
        )
        recovery = Recovery(context, "resume")
        self.calls = Calls(context, recover=recovery.add)
        async with self.calls.running():
            context.tasks.spawn(recovery.run(self.calls), name="recover calls")
            self._started.set()
            await self._ended.wait()

    async def kill(self) -> None:
        """The process is gone, between two instructions."""
        self.alive = False
        for call in self.calls.live.values():
            waiting = [entry.what for entry in call._journal._pending]
            self.world.died_with.update(what.command_id for what in waiting if isinstance(what, CommandSent))
            self.world.interrupted.update(what.command_id for what in waiting if isinstance(what, CommandAnswered))
            self.world.interrupted.update(call.outbox._under_way)
        for one in (self.world.telnyx, *self.world.telnyx.seconds):
            if one.socket is not None and one.socket.node is self:
                one.socket.break_off()
        self._ended.set()

    def stop(self) -> None:
        """The simulation is over."""
        self._ended.set()

    @property
    def has_unwritten(self) -> bool:
        """Entries wait to be stored."""
        return any(call._journal.has_pending for call in self.calls.live.values())

    async def reach_log(self) -> None:
        """Return once the log answers. Raises StoreError while it does not."""
        world = self.world
        now_ms = world.clock.now_ms()
        if not self.alive:
            raise StoreError("this process is dead")
        if any(since <= now_ms < until for since, until in world.weather.log_down):
            raise StoreError("the log is down")
        if any(since <= now_ms < until for since, until in world.weather.log_slow):
            await world.clock.sleep_ms(500.0)
        else:
            await asyncio.sleep(0)
        if not self.alive:
            raise StoreError("this process is dead")

    async def webhook(self, document: dict[str, Any]) -> bool:
        """Deliver a webhook; False: it has to be tried again."""
        webhook = read_webhook(document)
        assert isinstance(webhook, Webhook)
        try:
            await self.calls.receive_webhook(webhook, document)
        except Exception:
            return False
        return self.alive

    async def upgrade(self, telnyx: Telnyx) -> Socket | None:
        """Ask for the audio socket; None: it was refused."""
        self.world.upgrades += 1
        client = f"203.0.113.{self.world.upgrades % 250}"
        upgrade = Upgrade(telnyx.session, shown_token=None, path="/audio", client=client, headers={})
        try:
            admitted = await admit(self.calls, upgrade)
        except StoreError:
            return None
        if not isinstance(admitted, Admission) or not self.alive:
            return None
        context = self.calls.context
        driver = StreamDriver(
            admitted.call, admitted.call.new_stream(), self.world.clock, context.pacer, context.coalescer
        )
        socket = Socket(self, driver, telnyx)
        driver.begin(cast(Any, socket))
        return socket


class World:
    """Everything of one life."""

    def __init__(self, rng: random.Random, app: App, weather: Weather, data_dir: Path, *, nodes: int = 1) -> None:
        self.rng = rng
        self.app = app
        self.weather = weather
        self.data_dir = data_dir
        self.record = False
        self.clock = ManualClock()
        self.policy = CallPolicy(no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", "retry,hangup"))
        self.log = Log(self, shared=nodes > 1)
        self.telnyx = Telnyx(self, weather)
        self.nodes = [Node(self, f"node-{number}") for number in range(nodes)]
        self.lost_writes = 0
        self.upgrades = 0
        self.problems: list[str] = []
        """What broke in the simulation itself, or in a task of it."""
        self.died_with: set[str] = set()
        """command_ids that stood only in the memory of a process when it was killed."""
        self.interrupted: set[str] = set()
        """command_ids whose answer a process waited for, or had not written yet, when it was killed."""
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def go(self, work: Any) -> asyncio.Task[None]:
        """Run something beside everything else."""
        assert self._group is not None
        task = self._group.create_task(self._noted(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _noted(self, work: Any) -> None:
        try:
            await work
        except Exception as error:
            self.problems.append(f"{type(error).__name__}: {error}")

    def later(self, after_ms: float, do: Callable[[], None]) -> None:
        """Do something at a later time."""

        async def wait() -> None:
            await self.clock.sleep_ms(after_ms)
            do()

        self.go(wait())

    def pick_node(self) -> Node | None:
        """Any living node, as a balancer picks one."""
        living = [node for node in self.nodes if node.alive]
        return self.rng.choice(living) if living else None

    def loses_write(self) -> bool:
        """Whether the answer to this write gets lost though it is in the log."""
        if self.lost_writes and self.clock.now_ms() < self.weather.until_ms and self.rng.random() < 0.2:
            self.lost_writes -= 1
            return True
        return False

    async def restart(self, node: Node, after_ms: float) -> None:
        """Kill a node, and start another process in its place."""
        await node.kill()
        await self.clock.sleep_ms(after_ms)
        fresh = Node(self, node.name)
        await fresh.start()
        self.nodes[self.nodes.index(node)] = fresh

    def _is_long_over(self) -> bool:
        over_ms = self.telnyx.over_ms
        return over_ms is not None and self.clock.now_ms() > max(over_ms, self.weather.until_ms) + OVER_MS

    async def run(
        self,
        life: Callable[[], Awaitable[None]],
        at_each_moment: Callable[[], None],
        at_the_end: Callable[[], None],
        ms: float,
    ) -> None:
        """Let a life pass, looking at it every LOOK_EVERY_MS, and once more before the nodes stop."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for node in self.nodes:
                await node.start()
                await self.clock.advance(self.rng.uniform(0.0, 1_000.0))
            self.go(life())
            while self.clock.now_ms() < ms and not self._is_long_over():
                await self.clock.advance(LOOK_EVERY_MS)
                at_each_moment()
            at_the_end()
            for node in self.nodes:
                node.stop()
            for _ in range(200):
                await self.clock.advance(10.0)
                if all(node._task is None or node._task.done() for node in self.nodes):
                    break
            for task in tuple(self._tasks):
                task.cancel()
