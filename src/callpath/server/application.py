"""The application's side of one call: when its handler is entered, how it ends, and what its end means for the call.

    it returns          what it played is heard to its end; then the call is hung up
    it raises           the App's @app.on_error is entered, if there is one; then the call is hung up
    it is cancelled     by us: because the call is over, its socket stays away, or another node carries the call now

A CancelledError that the handler lets out without our having cancelled it (a task of its own that it awaits was cancelled,
a cancelled scope of a library) is a failure of the handler like any other exception, and so is `sys.exit()`.

The end of a run is only written down. The hang-up follows from the timeline (`call/ending.py`): so it waits for what Telnyx
still speaks, leaves a call that was handed on alone, is repeated until Telnyx reports the call as over, and is made up for
by the next process after a crash.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable

import structlog

from callpath.api.app import Route
from callpath.api.call import Call
from callpath.api.feed import CallBackend, CallFacts, CallFeed, CallTasks
from callpath.api.ring import Handler
from callpath.call.destinations import Destinations
from callpath.call.ending import is_silenced, needs_handler
from callpath.call.session import Stage
from callpath.call.stream import MediaStream
from callpath.server.blocking import CURRENT_CALL, HANDLER_TASK
from callpath.server.context import Context
from callpath.server.journal import Journal
from callpath.server.line import AudioLine, Carrier
from callpath.server.routing import Router
from callpath.timeline import HandlerEnded, HandlerFailed, HandlerStarted, Noted, StreamStarted, without_numbers
from callpath.wire.media import Start
from callpath.wire.webhook import Webhook

logger = structlog.get_logger("callpath")

CANCEL_AGAIN_MS = 5_000.0
"""How long a cancelled handler may take to end, before it is cancelled again."""

ON_ERROR_MS_MAX = 30_000.0
"""How long @app.on_error may take: to say a sentence, and to transfer the caller."""

NO_ROUTE = "no handler of this App takes the call: give @app.call without numbers=, when= or name= to one of them"


class Application:
    """Runs the handler of one call on whichever socket the call has: entered when a stream has started, carried on over the
    next socket where one is lost, and entered again where the run before was cancelled. `backend` is the handler's."""

    __slots__ = ("_backend", "_context", "_journal", "_line", "_router", "_saving", "_wake", "run")

    def __init__(
        self,
        journal: Journal,
        context: Context,
        line: AudioLine,
        router: Router,
        backend: CallBackend,
        wake: Callable[[], None],
    ) -> None:
        self.run: HandlerRun | None = None
        """The newest run."""
        self._saving: tuple[CallFeed, ...] = ()
        """Feeds of runs that ended while their recordings were still to be closed."""
        self._journal = journal
        self._context = context
        self._line = line
        self._router = router
        self._backend: CallBackend | None = backend
        self._wake = wake

    @property
    def feed(self) -> CallFeed | None:
        """Feeds the Call of the handler that runs; None while none does."""
        return self.run.feed if self.run is not None and self.run.is_running else None

    def receive_webhook(self, webhook: Webhook) -> None:
        """An event of Telnyx's was read from the log: hand it to the handler that runs, or is ending."""
        if self.run is not None and not self.run.is_done:
            self.run.feed.receive_webhook(webhook)

    def changed(self) -> None:
        """Something new is known of the call."""
        if self.run is not None and not self.run.is_done:
            self.run.feed.changed()

    @property
    def is_done(self) -> bool:
        """No handler runs, not even one that was cancelled."""
        return self.run is None or self.run.is_done

    @property
    def is_running(self) -> bool:
        """A handler serves the call."""
        return self.run is not None and self.run.is_running

    def is_saving(self) -> bool:
        """A recording is being closed, and the timeline will say so."""
        self._saving = tuple(feed for feed in self._saving if feed.is_saving)
        return bool(self._saving)

    def stream_started(self, start: Start, stream: MediaStream, carrier: Carrier) -> None:
        """The start frame came: enter the handler, or let it carry on over the new stream."""
        if self._line.stream is not stream:
            return  # it was replaced meanwhile
        session = self._journal.session
        resumed = Stage.STREAM_STARTED in session.stages
        self._journal.note(
            StreamStarted(
                stream_id=start.stream_id,
                encoding=start.media_format.encoding,
                sample_rate_hz=start.media_format.sample_rate,
                again=self.is_running,
            )
        )
        self._line.carrier = carrier
        feed = self.feed
        if feed is not None:
            feed.attach(stream, carrier)
            carrier.serve(feed)
        elif self.is_done and needs_handler(session):
            self.enter(resumed=resumed)
        else:
            self._wake()  # once the cancelled run has ended, the watchdog enters the handler again

    def enter(self, *, resumed: bool = True) -> None:
        """Enter the handler on the open stream. `resumed`: a handler had the call before."""
        stream, carrier, context = self._line.stream, self._line.carrier, self._context
        assert stream is not None and carrier is not None and stream.start is not None and self._backend is not None
        session, route = self._journal.session, self._router.route
        if route is None:
            self._journal.note(HandlerFailed(error=NO_ROUTE, traceback=""))
            return
        decided = session.decided[1] if session.decided is not None else None
        facts = CallFacts.of(
            session.session,
            session.leg,
            stream.start,
            context.data_dir,
            resumed=resumed,
            variables=decided.variables if decided is not None else None,
            state=context.app.state,
            connection_id=context.dials_as.connection_id,
            name_of=context.app.name_of,
            refusal_of=Destinations(context.dials_as.allowed).refusal,
        )
        feed = CallFeed(
            facts,
            sample_rate_hz=route.sample_rate_hz,
            backend=self._backend,
            clock=context.clock,
            files=context.files,
            raw=route.raw,
        )
        feed.attach(stream, carrier)
        call = Call(feed)
        self.run = HandlerRun(call, feed, route, self._journal, context, ended=self._ended)
        carrier.serve(feed)
        if (context.record or (decided is not None and decided.record)) and not route.raw:
            call.record()

    def detach(self) -> None:
        """The socket is gone. The handler waits a while for another."""
        feed = self.feed
        if feed is not None:
            feed.detach()

    def cancel_if_useless(self, *, acts: bool, lost_ms: float | None) -> None:
        """End a handler that serves nobody. `acts`: this node does; `lost_ms`: how long the call has had no socket."""
        within_ms = self._context.policy.reconnect_ms
        if self.run is None or self.run.is_done:
            return
        if self._journal.session.ended:
            self.run.cancel("the call is over")
        elif not acts:
            self.run.cancel("another node carries the call now")
        elif lost_ms is not None and lost_ms >= within_ms and not is_silenced(self._journal.session):
            self.run.cancel(f"its socket was lost, and not back within {within_ms / 1000:g} s")

    def next_turn_ms(self, now_ms: float, lost_ms: float | None) -> float:
        """When `cancel_if_useless` may have something to do without news."""
        if self.run is None or self.run.is_done:
            return math.inf
        at_ms = self.run.cancel_again_ms
        if at_ms is None:
            if lost_ms is None or is_silenced(self._journal.session):
                return math.inf
            at_ms = now_ms - lost_ms + self._context.policy.reconnect_ms
        return max(now_ms + 1, at_ms)

    def forget(self) -> None:
        """Break reference cycles: the call is over."""
        if self.is_done:
            self.run = None
        self._backend = None

    def _ended(self) -> None:
        if self.run is not None and self.run.feed.is_saving:
            self._saving += (self.run.feed,)
        if self._line.carrier is not None:
            self._line.carrier.serve(None)
        self._wake()


class HandlerRun:
    """One run of the handler of `route` with one Call. `ended` is called at its end."""

    __slots__ = (
        "_cancelled_ms", "_context", "_ended", "_journal", "_reason", "_route", "_task", "call", "error", "feed",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        feed: CallFeed,
        route: Route,
        journal: Journal,
        context: Context,
        ended: Callable[[], None],
    ) -> None:
        self.call = call
        self.feed = feed
        self.error: BaseException | None = None
        """What the handler raised."""
        self._route = route
        self._journal = journal
        self._context = context
        self._ended = ended
        self._cancelled_ms: float | None = None
        self._reason = "the server stops"
        self._task: asyncio.Task[None] | None = context.tasks.spawn(self._run(), name=f"handler {call.session_id}")
        """None at the end: a cancelled task holds on to its frames, and so to us."""
        self._task.add_done_callback(self._finish)

    @property
    def is_done(self) -> bool:
        """The handler has ended."""
        return self._task is None or self._task.done()

    @property
    def is_running(self) -> bool:
        """The handler serves the call: it has not ended, and was not told to."""
        return self._cancelled_ms is None and not self.is_done

    def cancel(self, reason: str) -> None:
        """End it; `reason` goes into the timeline. Called again later, this cancels a handler that swallowed the first
        cancellation once more."""
        now_ms = self._context.clock.now_ms()
        if (
            self._task is None
            or self.is_done
            or (self._cancelled_ms is not None and now_ms < self._cancelled_ms + CANCEL_AGAIN_MS)
        ):
            return
        if self._cancelled_ms is not None:
            logger.warning(
                f"The handler goes on though it was cancelled {CANCEL_AGAIN_MS / 1000:.0f} s ago: it is cancelled again",
                event_name="handler.not_ended",
                call_session_id=self.call.session_id,
            )
        else:
            self._reason = reason
        self.feed.tell_end(self._reason)
        self._cancelled_ms = now_ms
        self._task.cancel()

    @property
    def cancel_again_ms(self) -> float | None:
        """When `cancel` is to be called again; None: never."""
        return None if self._cancelled_ms is None or self.is_done else self._cancelled_ms + CANCEL_AGAIN_MS

    async def _run(self) -> None:
        entered_unix_ms = self._context.clock.now_unix_ms()
        self._journal.note(HandlerStarted(name=self._route.name), entered_unix_ms)
        CURRENT_CALL.set(self.call.session_id)
        if self._context.traces is not None:
            self._context.traces.enter_handler(self.call.session_id, entered_unix_ms)
        try:
            # As a task of its own, so that a frame resumes the handler and not every coroutine around it.
            entered = _enter(self._route.handler, self.call, self.feed)
            await asyncio.get_running_loop().create_task(entered, name=f"{HANDLER_TASK}{self.call.session_id}")
            await self.call.finished()
        except asyncio.CancelledError as error:
            if self._was_cancelled():
                self._journal.note(HandlerEnded(cancelled=True, reason=self._reason))
                raise
            await self._fail(error, ": the handler let out a cancellation that is not callpath's")
        except BaseException as error:
            await self._fail(error)
        else:
            cancelled = self._was_cancelled()
            self._journal.note(HandlerEnded(cancelled=cancelled, reason=self._reason if cancelled else ""))

    async def _fail(self, error: BaseException, explanation: str = "") -> None:
        """The handler raised. What the App does about it is part of the run: until then the call is not hung up."""
        self.error = error
        text = f"{type(error).__name__}: {error}".removesuffix(": ") + explanation
        told = "".join(traceback.format_exception(error))
        self._journal.note(HandlerFailed(error=without_numbers(text), traceback=without_numbers(told)))
        handle = self._context.app.error_handler
        if handle is None or self._was_cancelled():
            return
        self._journal.note(Noted(text="@app.on_error entered"))

        async def handle_error(call: Call) -> None:
            await handle(call, error)

        task = asyncio.get_running_loop().create_task(
            _enter(handle_error, self.call, self.feed), name=f"{HANDLER_TASK}{self.call.session_id}"
        )
        ends = asyncio.Event()
        task.add_done_callback(lambda _: ends.set())
        try:
            in_time = await self._context.clock.wait(ends, self._context.clock.now_ms() + ON_ERROR_MS_MAX)
            if not in_time:
                self._journal.note(Noted(text=f"@app.on_error was cancelled after {ON_ERROR_MS_MAX / 1000:.0f} s"))
                task.cancel()
            await task
            await self.call.finished()
        except asyncio.CancelledError:
            if self._was_cancelled():
                task.cancel()
                raise
        except BaseException as failure:
            logger.exception("@app.on_error raised", event_name="on_error.failed", call_session_id=self.call.session_id)
            self._journal.note(Noted(text=without_numbers(f"@app.on_error raised {type(failure).__name__}: {failure}")))

    def _finish(self, _task: asyncio.Task[None]) -> None:
        self.feed.end()
        self._task = None
        self._ended()

    def _was_cancelled(self) -> bool:
        """By us: the call ended, or the server stops."""
        task = asyncio.current_task()
        return self._cancelled_ms is not None or (task is not None and task.cancelling() > 0)


async def _enter(handler: Handler, call: Call, feed: CallFeed) -> None:
    """Run the handler so that it can harm only its own call: what would stop the event loop becomes an error of this one.

    Tasks of `call.tasks` are cancelled when it ends; a task that raises ends it.
    """
    tasks = CallTasks()
    failure: BaseException | None = None
    await tasks.__aenter__()
    feed.tasks = tasks
    try:
        entered: Awaitable[None] = handler(call)
        await entered
    except BaseException as error:  # raised below as it is: the task group would wrap it
        failure = error
    feed.tasks = None
    tasks.cancel()
    try:
        await tasks.__aexit__(None, None, None)
    except BaseExceptionGroup as group:
        raise (group.exceptions[0] if len(group.exceptions) == 1 else group) from None
    try:
        if isinstance(failure, SystemExit):
            told = f"the handler called sys.exit({failure.code!r}), which would end the server"
            raise RuntimeError(told) from failure
        if failure is not None:
            raise failure
    finally:
        failure = None  # its traceback holds this frame, which would hold it
