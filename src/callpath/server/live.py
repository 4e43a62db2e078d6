"""One call while something may still happen to it: reads what is new in its timeline, acts on it, waits.

The log is the truth; everything else only wakes the actor. So a webhook and an audio socket may come in any order, and
a call that this process has never seen is loaded from its timeline.

    journal.py      the timeline: entries, state          outbox.py      commands and their answers
    application.py  one run of the handler                line.py        the audio socket and its stream
    ownership.py    whether this node acts for the call   call/watchdog  what is wrong with the call (pure)
                                                          call/ending    when it is hung up (pure)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from callpath.api.call import Call, CallFacts
from callpath.call.ending import is_silenced, next_ending
from callpath.call.session import CallSession, Stage
from callpath.call.stream import MediaStream
from callpath.call.watchdog import NO_EVENTS, STUCK, RuntimeState, due_commands, evaluate
from callpath.errors import LocalProtocolError, StoreError
from callpath.server.application import HandlerRun
from callpath.server.capacity import Capacity
from callpath.server.context import Context
from callpath.server.events import ask_status, found_missed
from callpath.server.journal import GroupStore, Journal, write_entry
from callpath.server.line import AudioLine, Carrier
from callpath.server.outbox import Outbox
from callpath.server.ownership import Ownership
from callpath.timeline import CallStuck, Entry, PolicyActed, StreamMissing, StreamStarted, What
from callpath.wire.command import Command
from callpath.wire.ids import SessionId
from callpath.wire.media import Start

logger = structlog.get_logger("callpath")

EVICT_AFTER_MS = 600_000
"""Idle calls are evicted after ten minutes and reloaded from the timeline on the next event."""

ENDING_MS = 15_000
"""How long a call without socket, handler and news holds up a stop of the server."""

STORE_RETRY_MS = 1_000
"""When a store that failed is asked again. Media goes on meanwhile, and webhooks are answered 503."""


class LiveCall:
    """One call while something may still happen to it. It is also the `CallBackend` of the handler's Call."""

    def __init__(
        self,
        session: SessionId,
        context: Context,
        *,
        capacity: Capacity,
        group: GroupStore,
        forget: Callable[[LiveCall], None],
        timeline: Sequence[Entry] = (),
    ) -> None:
        self._context = context
        self._capacity = capacity
        self._forget = forget
        self._clock = context.clock
        self._wake = asyncio.Event()
        self._journal = Journal(session, context, wake=self._wake.set, store_soon=group.store_soon, timeline=timeline)
        self.session: CallSession = self._journal.session
        self._token = context.tokens.of(session) if context.tokens else None
        self._outbox = Outbox(self._journal, context, self._token)
        self._ready: asyncio.Event | None = asyncio.Event()
        """Set once the timeline so far has been read; None from then on, as it weighs more than most of the rest."""
        self._line = AudioLine(context)
        self._ownership = Ownership(session, context)
        self.handler_run: HandlerRun | None = None
        """The newest run of the handler."""
        self._saving: tuple[Call, ...] = ()
        """Calls of handlers that ended while their recordings were still to be closed."""
        self._stopping = False
        self._evaluate_at_unix_ms: int | None = None

    # --- the actor ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something new in the log, or to decide."""
        self._journal.has_news = True
        self._wake.set()

    def stop(self) -> None:
        """The server is shutting down."""
        self._stopping = True
        self._evaluate_at_unix_ms = None
        self.wake()

    async def run(self) -> None:
        """Read what is new, act on it, wait, until nothing more can happen."""
        try:
            while True:
                await self._journal.store()
                if self._journal.has_news:
                    await self._journal.read_news()
                if not self.acts and not self._journal.failed and not self._stopping:
                    await self._claim()
                self._mark_ready()
                await self._act()
                if self._is_over():
                    return
                woken = await self._clock.wait(self._wake, self._next_turn_ms())
                if not woken and self._may_be_evicted():
                    return
                if not woken and self._context.log.shared:
                    self._journal.has_news = True  # another node does not tell of everything that it writes
        finally:
            self._mark_ready()
            self._forget(self)
            self._drop_references()
            await self._ownership.release()
            if self.acts and self.session.ended:
                await self._trace()

    async def _claim(self) -> None:
        """Act for the call, unless another node does. Commands of a process that is gone are sent again."""
        self._journal.failed = not await self._ownership.claim()
        if self.acts:
            self._outbox.send_again()

    def _drop_references(self) -> None:
        """Break reference cycles, so that the call is freed without a pass of the garbage collector: with a thousand calls
        a pass holds all of them up for 50 ms."""
        if self.handler_run is not None and self.handler_run.is_done:
            self.handler_run = None
        self._line.forget()

    async def until_ready(self) -> None:
        """Return once the timeline so far has been read, or the actor has ended."""
        if self._ready is not None:
            await self._ready.wait()

    def _mark_ready(self) -> None:
        self._journal.is_new = False
        if self._ready is not None:
            self._ready.set()
            self._ready = None

    async def _trace(self) -> None:
        """Make the trace of a call that is over. A trace that cannot be made harms nobody."""
        context, session = self._context, self.session.session
        if context.traces is not None:
            try:
                await context.traces.export(
                    session, context.log, lambda entry: write_entry(context.log, context.metrics, entry)
                )
            except StoreError as error:
                logger.error("No trace made", event_name="trace.failed", error=str(error), call_session_id=session)

    async def _act(self) -> None:
        """Do what follows from what is known: entries, commands, and the handler's beginning and end."""
        if self._stopping:
            return
        if self.acts and self._may_be_offered and self._capacity.refusing():
            self._evaluate_at_unix_ms = None
            await self._ownership.offer()
        if self.acts:
            self._watch()
            for command in self._due_commands():
                self._outbox.dispatch(command)
        if self.handler_run is not None and not self.handler_run.is_done:
            reason = self._reason_to_cancel()
            if reason is not None:
                self.handler_run.cancel(reason)

    def _due_commands(self) -> list[Command]:
        context = self._context
        ending = next_ending(
            self.session, handler_running=self._handler_running(), now_unix_ms=self._clock.now_unix_ms()
        )
        if ending.again_unix_ms is not None:
            self._evaluate_at_unix_ms = min(ending.again_unix_ms, self._evaluate_at_unix_ms or ending.again_unix_ms)
        return [
            *self.session.next_commands(context.plan, self._token),
            *due_commands(self.session, context.plan, self._token, context.policy),
            *ending.commands,
        ]

    def _reason_to_cancel(self) -> str | None:
        if self.session.ended:
            return "the call is over"
        if not self.acts:
            return "another node carries the call now"
        lost_ms, within_ms = self._lost_ms(), self._context.policy.reconnect_ms
        if lost_ms is not None and lost_ms >= within_ms and not is_silenced(self.session):
            return f"its socket was lost, and not back within {within_ms / 1000:g} s"
        return None

    def _may_be_evicted(self) -> bool:
        return (
            self._is_idle()
            and not self._journal.has_pending
            and self._evaluate_at_unix_ms is None
            and not self.is_offered
        )

    def _is_over(self) -> bool:
        if self._stopping:
            stored = not self._journal.has_pending or self._journal.failed
            return self._handler_is_done() and not self._is_saving() and stored
        return self.session.ended and self._is_idle() and not self._journal.has_pending

    def _is_idle(self) -> bool:
        return self._handler_is_done() and self._line.stream is None and self._outbox.is_empty and not self._is_saving()

    def _is_saving(self) -> bool:
        """A recording is being closed, and the timeline will say so."""
        self._saving = tuple(call for call in self._saving if call.is_saving)
        return bool(self._saving)

    def _next_turn_ms(self) -> float:
        """When to act again without being woken."""
        now_ms = self._clock.now_ms()
        if self._journal.failed:
            return now_ms + STORE_RETRY_MS
        at_ms = now_ms + EVICT_AFTER_MS
        if not self.acts and not self.session.ended:
            at_ms = max(now_ms + 1, self._ownership.claim_again_ms)
        if self._evaluate_at_unix_ms is not None:
            at_ms = now_ms + max(1, self._evaluate_at_unix_ms - self._clock.now_unix_ms())
        if self.handler_run is not None and not self.handler_run.is_done:
            lost_ms = self._lost_ms()
            if lost_ms is not None and not is_silenced(self.session):
                at_ms = min(at_ms, max(now_ms + 1, now_ms - lost_ms + self._context.policy.reconnect_ms))
            if self.handler_run.cancel_again_ms is not None:
                at_ms = min(at_ms, max(now_ms + 1, self.handler_run.cancel_again_ms))
        return at_ms

    @property
    def is_taken(self) -> bool:
        """We have begun to serve it, and it is not over."""
        return self.acts and bool(self.session.commands) and not self.session.ended and not self.session.refused

    @property
    def _is_unserved(self) -> bool:
        """It rings, and nobody has done anything about it."""
        return not (self.session.leg is None or self.session.commands or self.session.refused or self.session.ended)

    @property
    def is_offered(self) -> bool:
        """It is left to the other nodes, and refused here if none takes it."""
        return self._ownership.was_offered and not self.acts and self._is_unserved

    @property
    def _may_be_offered(self) -> bool:
        return self._is_unserved and not self._ownership.was_offered and self._context.log.shared

    @property
    def is_busy(self) -> bool:
        """Somebody talks, or is about to. What only waits for its last webhook does not count for long: during a deploy
        that one may go to the new server."""
        being_refused = self.acts and self.session.refused and not self.session.ended  # the next step may be due
        if not self.is_taken and not being_refused:
            return self._journal.has_pending or self.stream is not None or self._is_saving()
        quiet_ms = self._clock.now_unix_ms() - (self.session.last_unix_ms or 0)
        return not self._is_idle() or quiet_ms < ENDING_MS

    @property
    def sending_since_ms(self) -> list[float]:
        """When each command that is under way was sent first."""
        return self._outbox.sending_since_ms

    # --- which node acts ---------------------------------------------------------------------------------------------

    @property
    def acts(self) -> bool:
        """Whether this node sends what the call needs, and watches over it; another may."""
        return self._ownership.acts

    @property
    def acts_since_ms(self) -> float:
        """Since when."""
        return self._ownership.since_ms

    async def take_over(self, *, by_force: bool = True) -> bool:
        """Act for the call from now on: its audio socket is to open here. False, only where not by force: another node
        does. Raises StoreError."""
        took = await self._ownership.take_over(by_force=by_force)
        if not took and self.acts:
            self.lose()
        return took

    def recovered(self) -> None:
        """The lease is this node's now, whoever had it when we asked last."""
        self._ownership.claim_again_ms = 0.0
        self.wake()

    def lose(self) -> None:
        """Another node has the call's newest socket, or took us for dead. Nothing more is sent from here."""
        self._ownership.lose()
        self._evaluate_at_unix_ms = None
        self._wake.set()

    # --- the watchdog ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Write down what is wrong with the call, and see to what follows from it beside commands."""
        unserved = not self.session.commands and not self.session.refused
        found = evaluate(
            self.session,
            self._context.policy,
            RuntimeState(
                refusing=self._capacity.refusing() if unserved else None,
                socket_open=self.stream is not None,
                stream_open=self._line.carrier is not None,
                idle_ms=self._line.idle_ms,
                lost_ms=self._lost_ms(),
                handler_running=not self._handler_is_done(),
            ),
            self._clock.now_unix_ms(),
        )
        self._evaluate_at_unix_ms = found.again_unix_ms
        if found.enter_handler:
            self._enter_handler()
        for what in found.entries:
            self.note(what)
            if isinstance(what, StreamMissing) and what.seen == "nothing" and self.session.probed is None:
                self._probe()
            elif isinstance(what, CallStuck):
                self._context.tasks.spawn(self._check(what), name=f"check call {self.session.session}")

    def _probe(self) -> None:
        """Have the doctor try the stream's URL, beside everything else."""
        prober, session = self._context.prober, self.session.session
        if prober is not None and session not in prober.under_way:

            async def probe() -> None:
                self.note(await prober.probe(session))

            self._context.tasks.spawn(probe(), name=f"probe {session}")

    async def _check(self, stuck: CallStuck) -> None:
        """The call seems to be up for nothing: ask Telnyx, and hang up unless it is over already. If we may only have
        missed what happened to it, that is looked for first."""
        leg = self.session.leg
        assert leg is not None
        if stuck.reason == NO_EVENTS and await found_missed(self._context, self.session.session):
            self.wake()
            return
        checked = await ask_status(self._context, leg.call_control_id)
        self.note(checked)
        if checked.alive is not False and self.acts:
            self.note(PolicyActed(policy=STUCK, number=stuck.number, step="hangup"))

    # --- what the handler's Call asks of us --------------------------------------------------------------------------

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        """Add an entry to the timeline; it is stored in order, soon. `at_unix_ms`: when it happened, if not now."""
        self._journal.note(what, at_unix_ms)

    async def send(self, command: Command) -> None:
        """Have Telnyx carry out a command about this call. Raises ControlError, LocalProtocolError when it is over, or
        another node carries it."""
        if not self.acts:
            raise LocalProtocolError(f"{command.NAME} is not possible here any more: another node carries the call")
        await self._outbox.send(command)

    # --- the socket --------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> MediaStream | None:
        """The stream of the newest socket, living or not; None while there is none."""
        return self._line.stream

    @property
    def has_living_socket(self) -> bool:
        """Whether an audio socket is open and brought a frame lately."""
        return self._line.is_living

    def _lost_ms(self) -> float | None:
        """Time since the stream was lost, here or with another node; None: it is there, or never was."""
        return self._line.lost_ms(self.acts_since_ms) if self.session.started_unix_ms else None

    def new_stream(self) -> MediaStream:
        """Our side of a socket that is being accepted. It replaces one that has died."""
        if self.call is not None:
            self.call.detach()
        return self._line.new_stream()

    def socket_opened(self, stream: MediaStream, close: Callable[[int, str], None]) -> None:
        """The socket of `stream` is open; `close` closes it with a code and a reason."""
        self._line.opened(stream, close)

    def stream_started(self, start: Start, stream: MediaStream, carrier: Carrier) -> None:
        """The start frame came: enter the handler, or let it carry on over the new stream."""
        if self.stream is not stream:
            return  # it was replaced meanwhile
        again = self._handler_running()
        media_format = start.media_format
        resumed = Stage.STREAM_STARTED in self.session.stages
        self.note(
            StreamStarted(
                stream_id=start.stream_id,
                encoding=media_format.encoding,
                sample_rate_hz=media_format.sample_rate,
                again=again,
            )
        )
        self._line.carrier = carrier
        if self.call is not None:
            self.call.attach(stream, carrier)
            carrier.serve(self.call)
        elif self._handler_is_done() and not self.session.handler_finished:
            self._enter_handler(resumed=resumed)
        else:
            self._wake.set()  # once the cancelled handler has ended, the watchdog enters it again

    def socket_closed(self, stream: MediaStream) -> None:
        """The socket is gone. The handler waits a while for another; it ends when the call does."""
        if self.stream is not stream:
            return
        self._line.lost()
        if self.call is not None:
            self.call.detach()
        self.wake()

    # --- the handler -------------------------------------------------------------------------------------------------

    @property
    def call(self) -> Call | None:
        """The Call of the handler that runs; None while none does."""
        return self.handler_run.call if self.handler_run is not None and self.handler_run.is_running else None

    def _handler_is_done(self) -> bool:
        return self.handler_run is None or self.handler_run.is_done

    def _handler_running(self) -> bool:
        return self.handler_run is not None and self.handler_run.is_running

    def _enter_handler(self, *, resumed: bool = True) -> None:
        """Enter the handler on the open stream. `resumed`: a handler had the call before."""
        stream, carrier, context = self._line.stream, self._line.carrier, self._context
        assert stream is not None and carrier is not None and stream.start is not None
        app = context.app
        facts = CallFacts.of(self.session.session, self.session.leg, stream.start, context.data_dir, resumed=resumed)
        call = Call(
            facts,
            sample_rate_hz=app.sample_rate_hz,
            backend=self,
            clock=self._clock,
            files=context.files,
            raw=app.raw,
        )
        call.attach(stream, carrier)
        self.handler_run = HandlerRun(call, self._journal, context, ended=self._handler_ended)
        carrier.serve(call)
        if context.record and not app.raw:
            call.record()

    def _handler_ended(self) -> None:
        if self.handler_run is not None and self.handler_run.call.is_saving:
            self._saving += (self.handler_run.call,)
        if self._line.carrier is not None:
            self._line.carrier.serve(None)
        self._wake.set()

    def _ids(self) -> dict[str, str]:
        return {"call_session_id": self.session.session}
