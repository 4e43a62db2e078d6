"""One run of the application's handler, from entering it to its end, and what its end means for the call.

    it returns          what it played is heard to its end; then the call is hung up
    it raises           the call is hung up
    it is cancelled     by us: because the call is over, its socket stays away, or another node carries the call now

A CancelledError that the handler lets out without our having cancelled it (a task of its own that it awaits was cancelled,
a cancelled scope of a library) is a failure of the handler like any other exception, and so is `sys.exit()`.

The run only writes down how it ended. The hang-up follows from the timeline (`call/ending.py`): so it waits for what Telnyx
still speaks, leaves a call that was handed on alone, is repeated until Telnyx reports the call as over, and is made up for
by the next process after a crash.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

import structlog

from callpath.api.app import Handler
from callpath.api.call import Call
from callpath.server.blocking import CURRENT_CALL
from callpath.server.context import Context
from callpath.server.journal import Journal
from callpath.timeline import HandlerEnded, HandlerFailed, HandlerStarted, without_numbers

logger = structlog.get_logger("callpath")

CANCEL_AGAIN_MS = 5_000.0
"""How long a cancelled handler may take to end, before it is cancelled again."""


class HandlerRun:
    """One run of the handler with one Call. `ended` is called at its end."""

    def __init__(self, call: Call, journal: Journal, context: Context, ended: Callable[[], None]) -> None:
        self.call = call
        self.error: BaseException | None = None
        """What the handler raised."""
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
        self._cancelled_ms = now_ms
        self._task.cancel()

    @property
    def cancel_again_ms(self) -> float | None:
        """When `cancel` is to be called again; None: never."""
        return None if self._cancelled_ms is None or self.is_done else self._cancelled_ms + CANCEL_AGAIN_MS

    async def _run(self) -> None:
        app = self._context.app
        assert app.handler is not None
        entered_unix_ms = self._context.clock.now_unix_ms()
        self._journal.note(HandlerStarted(name=app.name), entered_unix_ms)
        CURRENT_CALL.set(self.call.session_id)
        if self._context.traces is not None:
            self._context.traces.enter_handler(self.call.session_id, entered_unix_ms)
        try:
            # As a task of its own, so that a frame resumes the handler and not every coroutine around it.
            entered = _enter(app.handler, self.call)
            await asyncio.get_running_loop().create_task(entered, name=f"handler of {self.call.session_id}")
            await self.call.finished()
        except asyncio.CancelledError as error:
            if self._was_cancelled():
                self._journal.note(HandlerEnded(cancelled=True, reason=self._reason))
                raise
            self._note_failure(error, ": the handler let out a cancellation that is not callpath's")
        except BaseException as error:
            self._note_failure(error)
        else:
            cancelled = self._was_cancelled()
            self._journal.note(HandlerEnded(cancelled=cancelled, reason=self._reason if cancelled else ""))

    def _finish(self, _task: asyncio.Task[None]) -> None:
        self.call.end()
        self._task = None
        self._ended()

    def _was_cancelled(self) -> bool:
        """By us: the call ended, or the server stops."""
        task = asyncio.current_task()
        return self._cancelled_ms is not None or (task is not None and task.cancelling() > 0)

    def _note_failure(self, error: BaseException, explanation: str = "") -> None:
        self.error = error
        text = f"{type(error).__name__}: {error}".removesuffix(": ") + explanation
        told = "".join(traceback.format_exception(error))
        self._journal.note(HandlerFailed(error=without_numbers(text), traceback=without_numbers(told)))


async def _enter(handler: Handler, call: Call) -> None:
    """The handler, contained: what would stop the event loop, and with it every call, becomes an error of this one."""
    try:
        entered: Awaitable[None] = handler(call)
        await entered
    except SystemExit as error:
        raise RuntimeError(f"the handler called sys.exit({error.code!r}), which would end the server") from error
