"""One call while something may still happen to it: reads what is new in its timeline, acts on it, waits.

The store is the truth; everything else only wakes the actor. So a webhook and an audio socket may come in any order, and
a call that this process has never seen is picked up from its timeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Awaitable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from callpath.call.plan import derived_command_id, masked
from callpath.call.session import CallSession, Stage
from callpath.call.stream import MediaStream
from callpath.call.watchdog import STUCK, UNHEARD, Live, due_commands, look
from callpath.control import RETRY_MS_MAX, Retry
from callpath.errors import CallpathError, ControlError, LocalProtocolError, RemoteProtocolError, StoreError
from callpath.server.blocking import CURRENT_CALL
from callpath.server.examiner import Examiner
from callpath.server.handler import Call, CallFacts, Handler, Outlet
from callpath.server.leases import LEASE_MS, OFFER_MS
from callpath.timeline import (
    WITNESSED,
    CallRefused,
    CallStuck,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    Entry,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    LoopBlocked,
    MediaCounted,
    PolicyActed,
    RecordingNotStored,
    RecordingSaved,
    SocketReceived,
    SocketRefused,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamUrl,
    WebhookReceived,
    What,
    describe,
    kind_of,
    without_numbers,
)
from callpath.wire.command import Command, Hangup, read_command
from callpath.wire.document import Json, write
from callpath.wire.ids import SessionId
from callpath.wire.media import Start

if TYPE_CHECKING:
    from callpath.server.runner import CallRunner

logger = structlog.get_logger("callpath")

FORGET_AFTER_MS = 600_000
"""A call without socket, handler or news for ten minutes leaves memory. Its timeline brings it back when it stirs."""

SILENT_SOCKET_MS = 2_000
"""A socket that brought nothing for this long is taken for dead, so that a new one may replace it. Telnyx sends a
frame every 20 ms."""

PENDING_MAX = 10_000
"""Entries of one call that wait for the store; beyond it they are dropped, and the log says so."""

ENDING_MS = 15_000
"""A call without socket, handler and news for so long holds up no stop of the server."""

STORE_RETRY_MS = 1_000
"""A store that failed is asked again after this long. Media goes on meanwhile, and webhooks are answered 503."""

DECISIONS = (CommandSent, StreamMissing, PolicyActed, CallStuck)
"""Entries that something follows from at once, whether they are stored by then or not."""


NOT_READ_BACK = (*WITNESSED, SocketReceived)
"""Entries of ours that come with every call and ask for nothing here. Read back like the others, they would cost a query
each, at the very moment when a call begins to talk."""


class LiveCall:
    """One call while something may still happen to it. It is also the handler's `Line` to Telnyx."""

    def __init__(self, session: SessionId, runner: CallRunner, timeline: Sequence[Entry] = ()) -> None:
        self.session = CallSession(session)
        self._ready: asyncio.Event | None = asyncio.Event()
        """Set once the timeline so far has been read; None from then on, as it weighs more than most of the rest."""
        self.call: Call | None = None
        self._runner = runner
        self._clock = runner.clock
        self._wake = asyncio.Event()
        self._pending: list[Entry] = []
        self._storing = asyncio.Lock()
        self._number = 0
        self._handler: asyncio.Task[None] | None = None
        self.stream: MediaStream | None = None
        """The stream of the newest socket; one before it has died."""
        self._lost_socket_at_ms: float | None = None
        self._stopping = False
        self._store_failed = False
        self._out: dict[str, float] = {}
        """Commands that are under way, by command_id, with the time since when."""
        self._look_at_unix_ms: int | None = None
        self._token = runner.tokens.of(session) if runner.tokens else None
        self.acts = False
        """Whether this node sends what the call needs, and watches over it; another may."""
        self.acts_since_ms = 0.0
        self._claim_again_ms = 0.0
        self._offered = False
        """We cannot take it, and another node may; after a while we refuse it ourselves."""
        if timeline:
            self._number = timeline[-1].number
            self._learn(*timeline)
        self._news = not timeline or runner.log.shared
        """Whether the store may hold what is not known here. (Another node may write at any moment.)"""

    # --- the actor ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something new in the store, or to decide."""
        self._news = True
        self._wake.set()

    def stop(self) -> None:
        """The server is shutting down."""
        self._stopping = True
        self._look_at_unix_ms = None
        self.wake()

    async def run(self) -> None:
        """Until nothing more can happen: read what is new, act on it, wait."""
        try:
            while True:
                await self._store_pending()
                if self._news:
                    await self._read_news()
                if not self.acts and not self._store_failed and not self._stopping:
                    await self._claim()
                self._be_ready()
                await self._act()
                if self._is_over():
                    return
                woken = await self._clock.wait(self._wake, self._next_look_at_ms())
                if not woken and self._may_be_forgotten():
                    return
                if not woken and self._runner.log.shared:
                    self._news = True  # what is missing by the clock may be at another node, which tells not everything
        finally:
            self._be_ready()
            self._runner.forget(self)
            self._let_go()
            if self.acts:
                await self._runner.leases.release(self.session.session)
                if self.session.ended:
                    await self._runner.trace(self.session.session)

    def _let_go(self) -> None:
        """Of who holds us, too. A call would else stay in memory until the garbage collector comes, and have it come more
        often: with a thousand calls it holds all of them up for 50 ms."""
        if self._handler_is_done():
            self.call = self._handler = None

    async def until_ready(self) -> None:
        """Return once the timeline so far has been read, or the actor has ended."""
        if self._ready is not None:
            await self._ready.wait()

    def _be_ready(self) -> None:
        if self._ready is not None:
            self._ready.set()
            self._ready = None

    async def _claim(self) -> None:
        """Act for the call, unless another node does. Commands of a process that is gone are sent again."""
        if self._clock.now_ms() < self._claim_again_ms:
            return
        self._claim_again_ms = self._clock.now_ms() + LEASE_MS
        try:
            self.acts = await self._runner.leases.claim(self.session.session)
            self.acts_since_ms = self._clock.now_ms()
        except StoreError as error:
            logger.error("Call not claimed", event_name="lease.not_claimed", error=str(error), **self._ids())
            self._store_failed, self._claim_again_ms = True, 0.0
            return
        if self.acts:
            self._send_again()

    async def _offer(self) -> None:
        """Leave it to the other nodes for a while."""
        self._offered, self.acts, self._look_at_unix_ms = True, False, None
        self._claim_again_ms = self._clock.now_ms() + OFFER_MS
        try:
            await self._runner.leases.offer(self.session.session)
        except StoreError as error:
            logger.error("Call not offered", event_name="lease.not_offered", error=str(error), **self._ids())

    async def take_over(self, *, by_force: bool = True) -> bool:
        """The call's audio socket is to open here: from now on this node acts for the call. False, only where not by
        force: another one does. Raises StoreError."""
        took = await self._runner.leases.claim(self.session.session, by_force=by_force)
        if took:
            self.acts, self.acts_since_ms = True, self._clock.now_ms()
        elif self.acts:
            self.lose()
        return took

    def taken_up(self) -> None:
        """The lease is this node's now, whoever had it when we asked last."""
        self._claim_again_ms = 0.0
        self.wake()

    def lose(self) -> None:
        """Another node has the call's newest socket, or took us for dead."""
        logger.warning("Another node acts for the call now", event_name="lease.lost", **self._ids())
        self.acts = False
        self._claim_again_ms = self._clock.now_ms() + LEASE_MS
        self._look_at_unix_ms = None

    async def _read_news(self) -> None:
        self._news = False
        try:
            news = await self._runner.log.read(self.session.session, after=self._number)
        except StoreError as error:
            logger.error("Timeline not read", event_name="timeline.not_read", error=str(error), **self._ids())
            self._store_failed = self._news = True
            return
        if news:
            self._number = news[-1].number
        self._learn(*news)

    def _learn(self, *entries: Entry) -> None:
        """Fold entries, and tell how long the stages took that are reached by them."""
        known = set(self.session.stages)
        for entry in entries:
            self.session.apply(entry)
        if self._ready is not None:
            return  # reached before this process had the call
        for stage, at_unix_ms in self.session.stages.items():
            if stage not in known:
                since_ms = at_unix_ms - (self.session.first_unix_ms or at_unix_ms)
                self._runner.metrics.stage(stage.label, since_ms / 1000)

    async def _act(self) -> None:
        if self._stopping:
            return
        if self.acts and self._is_new and not self._offered and self._runner.log.shared and self._runner.refusing():
            await self._offer()
        if self.acts:
            plan = self._runner.plan
            self._watch()
            for command in self.session.next_commands(plan, self._token):
                await self._request(command)
            for command in due_commands(self.session, plan, self._token, self._runner.patience):
                await self._request(command)
        lost_at_ms = self._lost_socket_at_ms
        gone = lost_at_ms is not None and self._clock.now_ms() >= lost_at_ms + self._runner.reconnect_ms
        if self.session.ended or gone:
            self._cancel_handler()

    def _may_be_forgotten(self) -> bool:
        return self._is_idle() and not self._pending and self._look_at_unix_ms is None and not self.is_offered

    def _is_over(self) -> bool:
        if self._stopping:
            return self._handler_is_done() and (not self._pending or self._store_failed)
        return self.session.ended and self._is_idle() and not self._pending

    def _is_idle(self) -> bool:
        return self._handler_is_done() and self.stream is None and not self._out

    def _handler_is_done(self) -> bool:
        return self._handler is None or self._handler.done()

    def _next_look_at_ms(self) -> float:
        now_ms = self._clock.now_ms()
        if self._store_failed:
            return now_ms + STORE_RETRY_MS
        at_ms = now_ms + FORGET_AFTER_MS
        if not self.acts and not self.session.ended:
            at_ms = max(now_ms + 1, self._claim_again_ms)
        if self._look_at_unix_ms is not None:
            at_ms = now_ms + max(1, self._look_at_unix_ms - self._clock.now_unix_ms())
        if self._lost_socket_at_ms is not None and not self._handler_is_done():
            at_ms = min(at_ms, max(now_ms + 1, self._lost_socket_at_ms + self._runner.reconnect_ms))
        return at_ms

    @property
    def is_taken(self) -> bool:
        """We have begun to serve it, and it is not over."""
        return self.acts and bool(self.session.commands) and not self.session.ended and not self.session.refused

    @property
    def _is_new(self) -> bool:
        """It rings, and nobody has done anything about it."""
        return not (self.session.leg is None or self.session.commands or self.session.refused or self.session.ended)

    @property
    def is_offered(self) -> bool:
        """It is left to the other nodes, and refused here if none takes it."""
        return self._offered and not self.acts and self._is_new

    @property
    def is_busy(self) -> bool:
        """Somebody talks, or is about to. What only waits for its last webhook does not count for long: during a deploy
        that one may go to the new server."""
        being_refused = self.acts and self.session.refused and not self.session.ended  # the next step may be due
        if not self.is_taken and not being_refused:
            return bool(self._pending) or self.stream is not None
        quiet_ms = self._clock.now_unix_ms() - (self.session.last_unix_ms or 0)
        return not self._is_idle() or quiet_ms < ENDING_MS

    @property
    def sending_since_ms(self) -> list[float]:
        """When each command that is under way was sent first."""
        return list(self._out.values())

    # --- the watchdog ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Write down what is wrong with the call, and see to what follows from it beside commands."""
        live = Live(
            refusing=None if self.session.commands or self.session.refused else self._runner.refusing(),
            socket_open=self.stream is not None,
            idle_ms=self._idle_ms(),
            handler_running=not self._handler_is_done(),
        )
        found = look(self.session, self._runner.patience, live, self._clock.now_unix_ms())
        self._look_at_unix_ms = found.again_unix_ms
        for what in found.entries:
            self.note(what)
            if isinstance(what, StreamMissing) and what.seen == "nothing" and self.session.probed is None:
                self._examine()
            elif isinstance(what, CallStuck):
                self._runner.spawn(self._check(what), name=f"check call {self.session.session}")

    def _examine(self) -> None:
        if self._runner.examiner is not None and self.session.session not in self._runner.probing:
            self._runner.probing.add(self.session.session)
            self._runner.spawn(self._probe(self._runner.examiner), name=f"probe {self.session.session}")

    async def _probe(self, examiner: Examiner) -> None:
        """Have the doctor try the stream's URL. Takes up to half a minute, beside everything else."""
        session = self.session.session
        try:
            url, token, secret = self._runner.probe_target(session)
            verdict = await examiner.verdict(url, token, secret)
        finally:
            self._runner.probing.discard(session)
        self.note(
            StreamProbed(
                url=url.replace(secret, "***") if secret else url,
                healthy=verdict.healthy,
                decided=verdict.decided,
                summary=verdict.summary,
                code=verdict.code,
                slug=verdict.slug,
                owner=verdict.owner,
                fix=verdict.fix,
                duration_ms=verdict.duration_ms,
                shared=verdict.shared,
            )
        )

    async def _check(self, stuck: CallStuck) -> None:
        """The call seems to be up for nothing: ask Telnyx, and hang up unless it is over already. If we may only have
        missed what happened to it, that is looked for first."""
        leg = self.session.leg
        assert leg is not None
        fetch = self._runner.fetch_missed if stuck.reason == UNHEARD else None
        if fetch is not None and await fetch(self.session.session):
            self.wake()
            return
        checked = await self._runner.ask_status(leg.call_control_id)
        self.note(checked)
        if checked.alive is not False:
            self.note(PolicyActed(policy=STUCK, number=stuck.number, step="hangup"))

    # --- the timeline ------------------------------------------------------------------------------------------------

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        """Add an entry to the timeline; it is stored in order, soon. `at_unix_ms`: when it happened, if not now."""
        leg = self.session.leg
        entry = Entry(
            session=self.session.session,
            at_unix_ms=self._clock.now_unix_ms() if at_unix_ms is None else at_unix_ms,
            what=what,
            leg=leg.leg_id if leg else None,
            call_control_id=leg.call_control_id if leg else None,
        )
        if len(self._pending) >= PENDING_MAX:
            logger.error("Entry dropped: the store is too slow", event_name="entry.dropped", **_ids(entry))
            return
        self._pending.append(entry)
        if isinstance(what, (*DECISIONS, *NOT_READ_BACK)):
            self._learn(entry)  # at once: it must not be decided again, even if the store fails
        self._runner.metrics.count(what)
        if isinstance(what, RecordingSaved) and self._runner.uploads is not None:
            self._runner.uploads.announce(what.path)
        if isinstance(what, WITNESSED):
            self._runner.store_soon(self)
        elif isinstance(what, NOT_READ_BACK):
            self._wake.set()  # to be stored
        else:
            self.wake()
        if not isinstance(what, MediaCounted):  # in the log it would be every other line
            log_entry(entry)

    async def _store_pending(self) -> None:
        """Store what waits, in order. What cannot be stored now goes on waiting, and the call goes on without it."""
        async with self._storing:
            self._store_failed = False
            together = PENDING_MAX
            while self._pending:
                waiting = self._pending[:together]
                try:
                    await self._runner.log.append(*waiting)
                except StoreError as error:
                    if len(waiting) > 1:
                        together = 1  # what can be stored must not wait for what cannot
                        continue
                    self._store_failed = True
                    logger.error("Entry not stored", event_name="entry.not_stored", error=str(error), **self._ids())
                    return
                del self._pending[: len(waiting)]

    async def lend_pending(self) -> list[Entry] | None:
        """What waits to be stored, for somebody who stores it together with others'. `take_back` has to follow, and until
        then nothing else of this call is stored. None: it is being stored already."""
        if self._storing.locked():
            return None
        await self._storing.acquire()
        return self._pending.copy()

    def take_back(self, stored: int) -> None:
        """So many of them are on disk; if it is none, this call tries by itself."""
        del self._pending[:stored]
        self._storing.release()
        if self._pending:
            self._wake.set()

    def _ids(self) -> dict[str, str]:
        return {"call_session_id": self.session.session}

    # --- commands ----------------------------------------------------------------------------------------------------

    async def send(self, command: Command) -> None:
        """Have Telnyx carry out a command about this call. Raises ControlError, LocalProtocolError when it is over."""
        if self.session.ended:
            raise LocalProtocolError(f"{command.NAME} is not possible any more: the call is over")
        if command.command_id is None:
            number = 1 + sum(1 for sent in self.session.commands.values() if sent.command == command.NAME)
            leg = self.session.leg
            assert leg is not None, "a call has a leg before it has a handler"
            command = msgspec.structs.replace(
                command, command_id=derived_command_id(leg.call_control_id, command.NAME, number)
            )
        await self._request(command, wait=True)

    async def _request(self, command: Command, *, wait: bool = False) -> None:
        """Write down that the command goes out, then send it: in that order, since Telnyx's answer, its webhooks and
        its audio socket may all be here before `send` returns."""
        leg = self.session.leg
        assert leg is not None and command.command_id is not None
        asks_for_stream = getattr(command, "stream_url", None) is not None
        if asks_for_stream:
            self.note(StreamStarting(within=command.NAME))
            url = str(getattr(command, "stream_url", ""))
            self.note(StreamUrl(url=url.replace(self._token, "***") if self._token else url))
        self.note(
            CommandSent(
                command=command.NAME,
                command_id=command.command_id,
                call_control_id=leg.call_control_id,
                body=masked(write(command), self._token),
            )
        )
        await self._store_pending()
        if wait:
            await self._send(command, asks_for_stream)
        elif not self._stopping:  # the server may have stopped while it was written down: the next one sends it
            self._runner.spawn(self._send_quietly(command, asks_for_stream), name=f"send {command.NAME}")

    def _send_again(self) -> None:
        """Commands of a process that is gone, whose answers nobody heard: within Telnyx's minute the same command_id is
        carried out once, however often it comes. After that nobody can know, and the watchdog sees what is missing."""
        for sent in self.session.unanswered():
            spent_ms = self._clock.now_unix_ms() - self.session.sent_unix_ms[sent.command_id]
            if self.session.ended or self._stopping:
                return
            if spent_ms >= RETRY_MS_MAX:
                unknown = f"the server stopped before the answer came, and {spent_ms / 1000:.0f} s have passed"
                self.note(CommandAnswered(command=sent.command, command_id=sent.command_id, error_detail=unknown))
                continue
            try:
                command = read_command(sent.command, self._unmasked(sent.body))
            except RemoteProtocolError:
                continue  # of a version that knew another command
            command = msgspec.structs.replace(command, command_id=sent.command_id)
            reason = f"sent {spent_ms / 1000:.1f} s ago by a process that is gone"
            self.note(CommandRetried(command=sent.command, command_id=sent.command_id, attempt=0, reason=reason))
            self._runner.spawn(
                self._send_quietly(command, "stream_url" in sent.body, spent_ms),
                name=f"send {sent.command} again",
            )

    def _unmasked(self, body: Json) -> Json:
        token = self._token or ""
        return {
            name: value.replace("***", token) if name in ("stream_url", "stream_auth_token") else value
            for name, value in body.items()
        }

    async def _send_quietly(self, command: Command, asks_for_stream: bool, spent_ms: float = 0.0) -> None:
        """A refused command stands in the timeline already."""
        with contextlib.suppress(ControlError):
            await self._send(command, asks_for_stream, spent_ms)

    async def _send(self, command: Command, asks_for_stream: bool, spent_ms: float = 0.0) -> None:
        leg = self.session.leg
        assert leg is not None and command.command_id is not None
        command_id = command.command_id
        self._out[command_id] = self._clock.now_ms() - spent_ms

        def note_retry(retry: Retry) -> None:
            self.note(
                CommandRetried(
                    command=command.NAME,
                    command_id=command_id,
                    attempt=retry.attempt,
                    wait_ms=retry.wait_ms,
                    status=retry.status,
                    latency_ms=retry.latency_ms,
                    reason=retry.reason,
                )
            )

        answered: CommandAnswered
        try:
            reply = await self._runner.control.send(
                command,
                leg.call_control_id,
                spent_ms=spent_ms,
                is_over=lambda: self.session.ended,
                on_retry=note_retry,
            )
        except ControlError as error:
            answered = CommandAnswered(
                command=command.NAME,
                command_id=command_id,
                status=error.status,
                latency_ms=error.latency_ms,
                attempts=error.attempts,
                error_code=error.code,
                error_detail=error.detail and without_numbers(error.detail),
            )
            self.note(answered)
            raise
        else:
            answered = CommandAnswered(
                command=command.NAME,
                command_id=command_id,
                status=reply.status,
                latency_ms=reply.latency_ms,
                attempts=reply.attempts,
            )
            self.note(answered)
            if asks_for_stream:
                self.note(StreamAccepted(status=reply.status, within=command.NAME))
        finally:
            self._out.pop(command_id, None)
            self.wake()

    # --- the socket --------------------------------------------------------------------------------------------------

    @property
    def has_socket(self) -> bool:
        """Whether an audio socket is open, living or not."""
        return self.stream is not None

    def has_living_socket(self) -> bool:
        """Whether an audio socket is open and brought a frame lately."""
        return self.stream is not None and self._idle_ms() < SILENT_SOCKET_MS

    def _idle_ms(self) -> float:
        """Since the socket last brought anything."""
        return 0.0 if self.stream is None else self._clock.now_ms() - self.stream.last_frame_ms

    def new_stream(self) -> MediaStream:
        """Our side of a socket that is being accepted. It replaces one that has died."""
        plan = self._runner.plan
        rate_hz = 8000 if plan.with_answer else plan.play_rate_hz
        stream = MediaStream(
            play_encoding=plan.play_codec,
            play_rate_hz=rate_hz,
            raw=self._runner.app.raw,
            byte_order=self._runner.byte_order,
        )
        stream.last_frame_ms = self._clock.now_ms()
        if self.stream is not None:
            self.stream.replaced = True
        self.stream = stream
        self._lost_socket_at_ms = None
        return stream

    def stream_started(self, start: Start, stream: MediaStream, outlet: Outlet) -> None:
        """The start frame came: enter the handler, or let it carry on over the new stream."""
        again = self.call is not None
        resumed = not again and Stage.STREAM_STARTED in self.session.stages
        media_format = start.media_format
        self.note(
            StreamStarted(
                stream_id=start.stream_id,
                encoding=media_format.encoding,
                sample_rate_hz=media_format.sample_rate,
                again=again,
            )
        )
        if self.call is None:
            facts = CallFacts.of(self.session.session, self.session.leg, start, self._runner.data_dir, resumed=resumed)
            app = self._runner.app
            self.call = Call(facts, sample_rate_hz=app.sample_rate_hz, line=self, clock=self._clock, raw=app.raw)
            self.call.attach(stream, outlet)
            if self._runner.record and not app.raw:
                self.call.record()
            self._handler = self._runner.spawn(self._run_handler(self.call), name=f"handler {self.session.session}")
        else:
            self.call.attach(stream, outlet)

    def socket_closed(self, stream: MediaStream) -> None:
        """The socket is gone. The handler waits a while for another; it ends when the call does."""
        if self.stream is not stream:
            return
        self.stream = None
        self._lost_socket_at_ms = self._clock.now_ms()
        if self.call is not None:
            self.call.detach()
        self.wake()

    # --- the handler -------------------------------------------------------------------------------------------------

    async def _run_handler(self, call: Call) -> None:
        app = self._runner.app
        assert app.handler is not None
        entered_unix_ms = self._clock.now_unix_ms()
        self.note(HandlerStarted(name=app.name), entered_unix_ms)
        CURRENT_CALL.set(self.session.session)
        if self._runner.traces is not None:
            self._runner.traces.enter_handler(self.session.session, entered_unix_ms)
        try:
            # As a task of its own, so that a frame resumes the handler and not every coroutine around it.
            await asyncio.get_running_loop().create_task(_entered(app.handler, call), name=f"handler {call.session_id}")
            await call.finished()
        except asyncio.CancelledError:
            self.note(HandlerEnded(cancelled=True))
            raise
        except Exception as error:
            text = without_numbers(f"{type(error).__name__}: {error}")
            told = without_numbers("".join(traceback.format_exception(error)))
            self.note(HandlerFailed(error=text, traceback=told))
        else:
            self.note(HandlerEnded())
        finally:
            call.end()
            self.wake()
        await self._hang_up()

    async def _hang_up(self) -> None:
        if self.session.leg is None or self.session.ended or self._stopping:
            return
        try:
            await self.send(Hangup())
        except CallpathError as error:
            logger.warning("Hang-up failed", event_name="hangup.failed", error=str(error), **self._ids())

    def _cancel_handler(self) -> None:
        if self._handler is not None and not self._handler.done():
            self._handler.cancel()


def _entered(handler: Handler, call: Call) -> Coroutine[Any, Any, None]:
    """The coroutine of a handler, of whatever kind what it returns can be awaited."""
    entered = handler(call)
    return entered if asyncio.iscoroutine(entered) else _awaited(entered)


async def _awaited(entered: Awaitable[None]) -> None:
    await entered


TOLD = ("failure_reason", "hangup_cause", "hangup_source")
"""Of a webhook, what a log must show so that a verdict can be had from the log alone."""


def log_entry(entry: Entry) -> None:
    """One line in the log for one entry of a timeline, under the entry's own name."""
    what = entry.what
    level = "warning" if isinstance(what, WARNINGS) or _failed(what) else "info"
    fields = {}
    if isinstance(what, StreamUrl):
        fields["stream_url"] = what.url
    elif isinstance(what, WebhookReceived):
        payload = (what.body.get("data") or {}).get("payload") or {}
        fields = {name: str(payload[name]) for name in TOLD if payload.get(name)}
    getattr(logger, level)(describe(what), event_name=kind_of(what), **fields, **_ids(entry))


WARNINGS = (CallRefused, CommandRetried, LoopBlocked, SocketRefused, StreamMissing, CallStuck, RecordingNotStored)


def _failed(what: What) -> bool:
    match what:
        case HandlerFailed():
            return True
        case CommandAnswered():
            return not what.accepted
        case StreamProbed():
            return what.healthy is not True
        case _:
            return False


def _ids(entry: Entry) -> dict[str, str]:
    ids: dict[str, str] = {"call_session_id": entry.session}
    if entry.leg is not None:
        ids["call_leg_id"] = entry.leg
    return ids
