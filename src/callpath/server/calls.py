"""All live calls of this process: takes what comes from outside, and hands it to the call that it belongs to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from callpath.errors import LocalProtocolError, StoreError
from callpath.server.capacity import Capacity
from callpath.server.context import Context
from callpath.server.events import store_conference_webhook, store_webhook
from callpath.server.journal import GroupStore
from callpath.server.live import LiveCall
from callpath.server.pacer import Pacer
from callpath.timeline import Entry, LoopBlocked
from callpath.wire.document import Json
from callpath.wire.ids import SessionId
from callpath.wire.webhook import CallInitiated, ConferenceWebhook, Webhook

HEARTBEAT_MS = 250.0


class Heartbeat:
    """Wakes regularly, so that the event loop's lag is known while no stream is open, too."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def wake(self, now_ms: float) -> None:
        self._pacer.wake_at(self, now_ms + HEARTBEAT_MS)


class DialKeeper(Protocol):
    """What calls have to tell of dials."""

    async def note_initiated(self, webhook: Webhook) -> None:
        """A call has begun; perhaps one that was dialled."""
        ...

    async def recover(self, session: SessionId, *, resend: bool) -> None:
        """Find out about a dial whose process is gone. Raises StoreError."""
        ...


class Calls:
    """All live calls of this process. `running()` must be entered while requests are served."""

    def __init__(self, context: Context, *, recover: Callable[[SessionId], None] | None = None) -> None:
        """`recover` takes a call whose node died (`recovery`)."""
        self.context = context
        self.live: dict[SessionId, LiveCall] = {}
        self.capacity = Capacity(context, self.served)
        self.upgrades = 0
        """Upgrades that are neither answered yet nor refused."""
        self.started = False
        """Calls are served, or were."""
        self.dials: DialKeeper | None = None
        """Keeps the dials of this process (`dialling`)."""
        self._recover = recover
        self._group = GroupStore(context)
        gauge, prober = context.metrics.gauge, context.prober
        gauge("callpath_calls", "Calls that are served", self.served)
        gauge("callpath_calls_max", "CALLPATH_CALLS_MAX; 0: as many as come", lambda: context.calls_max)
        gauge("callpath_sockets", "Audio sockets", lambda: sum(c.stream is not None for c in self.live.values()))
        gauge("callpath_outbox_commands", "Commands under way", lambda: len(self._under_way()))
        gauge("callpath_outbox_age_seconds", "Of the oldest command under way", self._outbox_age_s)
        gauge("callpath_loop_lag_seconds", "The longest lag of the event loop within the last two seconds", self._lag_s)
        gauge(
            "callpath_probes_running",
            "Stream URLs that the doctor is trying",
            lambda: len(prober.under_way) if prober is not None else 0,
        )
        gauge("callpath_draining", "1 while the server lets calls finish", lambda: self.capacity.draining)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is entered, calls are served; on leaving, handlers are cancelled and timelines stored."""
        context = self.context
        async with context.app.running(), context.tasks.running():
            self.started = True
            Heartbeat(context.pacer).wake(context.clock.now_ms())
            context.tasks.run_critical(context.pacer.run, "pace streams")
            context.tasks.spawn(context.leases.keep(self._held, self._orphaned), name="keep leases")
            context.tasks.spawn(context.leases.follow(self._changed), name="follow other nodes")
            try:
                yield
            finally:
                context.files.stop()
                context.tasks.stop()
                for call in self.live.values():
                    call.stop()
        context.files.close()

    @property
    def is_running(self) -> bool:
        """Calls are served. If not any more, the server stops, or something failed without which there are no calls."""
        return self.context.tasks.is_running

    @property
    def ready(self) -> bool:
        """New calls are taken."""
        return self.is_running and not self.capacity.draining

    # --- what comes from outside -------------------------------------------------------------------------------------

    async def receive_webhook(self, webhook: Webhook, body: Json) -> bool:
        """Store an authentic event and let its call act on it. False: it was there already.

        Returns once the event is on disk; raises StoreError if it is not.
        """
        session = webhook.payload.call_session_id
        try:
            new = await store_webhook(self.context, webhook, body)
        except StoreError:
            if session in self.live:
                self.live[session].wake()  # it may be on disk, and only the answer was lost
            raise
        if new and self.dials is not None and isinstance(webhook.payload, CallInitiated):
            await self.dials.note_initiated(webhook)
        # A duplicate, too: of the first, the commit may have been all that whoever stored it came to.
        self.load(session).wake()
        return new

    async def receive_conference_webhook(self, webhook: ConferenceWebhook, body: Json) -> bool:
        """Store an authentic event about a whole conference with the call that made it; one that names none is dropped.
        False: it was there already. Raises StoreError."""
        session = webhook.payload.creator_call_session_id or webhook.payload.call_session_id
        if session is None:
            return True
        new = await store_conference_webhook(self.context, session, webhook, body)
        self.load(session).wake()
        return new

    def note_blockage(self, session: SessionId, what: LoopBlocked) -> bool:
        """Code of a call's handler blocked the event loop. False: the call is not here any more."""
        call = self.live.get(session)
        if call is not None:
            call.note(what)
        return call is not None

    def load(self, session: SessionId, timeline: Sequence[Entry] = ()) -> LiveCall:
        """The actor of a call, started if need be; it need not read again what was just read. Raises
        LocalProtocolError when the server is not running."""
        call = self.live.get(session)
        if call is None:
            if not self.is_running:
                raise LocalProtocolError("the server is not running")
            call = self.live[session] = LiveCall(
                session,
                self.context,
                capacity=self.capacity,
                group=self._group,
                forget=self._forget,
                wake_other=self._wake_other,
                timeline=timeline,
            )
            self.context.tasks.keep(call.run(), name=f"call {session}")
        return call

    def _wake_other(self, session: SessionId) -> None:
        """Something was written into the timeline of another call than the one that wrote it."""
        with suppress(LocalProtocolError):  # the server stops: the next process reads it
            self.load(session).wake()

    def _forget(self, call: LiveCall) -> None:
        """The actor has nothing more to do."""
        if self.live.get(call.session.session) is call:
            del self.live[call.session.session]

    # --- other nodes -------------------------------------------------------------------------------------------------

    def _held(self, sessions: set[SessionId], at_ms: float) -> None:
        for session, call in self.live.items():
            if call.acts and call.ownership.since_ms < at_ms and session not in sessions:
                call.ownership.lease_lost()

    def _orphaned(self, session: SessionId) -> None:
        if self._recover is not None:
            self._recover(session)

    def _changed(self, session: SessionId | None) -> None:
        for call in self.live.values() if session is None else filter(None, [self.live.get(session)]):
            call.wake()

    # --- in figures --------------------------------------------------------------------------------------------------

    def served(self) -> int:
        """Calls that are served."""
        return sum(call.is_served for call in self.live.values())

    def busy(self) -> list[SessionId]:
        """Calls that a stop would cut."""
        return [session for session, call in self.live.items() if call.is_busy]

    def offered(self) -> int:
        """Calls that wait for another node to take them."""
        return sum(call.is_offered for call in self.live.values())

    def _under_way(self) -> list[float]:
        return [since_ms for call in self.live.values() for since_ms in call.outbox.sending_since_ms]

    def _outbox_age_s(self) -> float:
        now_ms = self.context.clock.now_ms()
        return (now_ms - min(self._under_way(), default=now_ms)) / 1000

    def _lag_s(self) -> float:
        return self.context.pacer.lag_ms_lately(self.context.clock.now_ms()) / 1000
