"""Playback: one source that was given to `call.play`, and how much of it the caller has heard."""

from __future__ import annotations

from callpath.call.playout import Playout, Run
from callpath.call.stream import MediaStream
from callpath.clock import Clock

WAIT_MS_MAX = 500.0
"""How long `heard` sleeps at most before it looks whether something has cut the source off."""

ROUNDING_MS = 0.01
"""Sums of frames that are no whole milliseconds long differ by this much."""


class Playback:
    """One source that plays or was played. True unless it was cut off.

    playback = await call.play(answer)
    …
    await call.clear()
    playback.heard_ms       # of this source, whatever was played before and behind it
    """

    __slots__ = ("_before_ms", "_begin_ms", "_clock", "_end_ms", "_playout", "_run", "_stopped", "queued")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._run: Run | None = None
        self._stopped = self.queued = False
        """`queued`: all of it was queued, and its length is known."""
        self._before_ms: tuple[float, float] | None = None
        """On streams whose sockets were lost: how much of it was heard, and how much was queued; None: on none."""
        self._playout: Playout
        self._begin_ms: float
        self._end_ms: float
        """Where it is in the run. Set with it: one of these is made for each chunk that a handler plays."""

    @property
    def heard_ms(self) -> float:
        """Milliseconds of this source that the caller has heard so far."""
        run = self._run
        if run is None:
            return 0.0
        heard_ms = run.heard_ms
        if heard_ms is None:
            heard_ms = self._playout.heard_since_clear_ms(self._clock.now_ms())
        before_ms = self._before_ms[0] if self._before_ms is not None else 0.0
        return before_ms + min(max(0.0, heard_ms - self._begin_ms), self._end_ms - self._begin_ms)

    @property
    def duration_ms(self) -> float:
        """Milliseconds of it that were queued so far; its length, once all of it is (`queued`)."""
        if self._run is None:
            return 0.0
        before_ms = self._before_ms[1] if self._before_ms is not None else 0.0
        return before_ms + self._end_ms - self._begin_ms

    @property
    def finished(self) -> bool:
        """The caller has heard all of it."""
        return self._is_over and not self._stopped and self.heard_ms >= self.duration_ms - ROUNDING_MS

    @property
    def cut(self) -> bool:
        """A clear, an interruption, a lost socket or the end of the call came before all of it was heard."""
        return self._stopped or (self._is_over and not self.finished)

    @property
    def _is_over(self) -> bool:
        """Nothing more of it will be heard."""
        run = self._run
        if self._stopped or not self.queued:
            return self._stopped
        if run is None or run.heard_ms is not None:
            return True
        return self._playout.heard_since_clear_ms(self._clock.now_ms()) >= self._end_ms - ROUNDING_MS

    def __bool__(self) -> bool:
        return not self.cut

    async def heard(self) -> float:
        """Wait until all of it was heard, or it was cut off. Returns the milliseconds that were heard."""
        while not self._is_over:
            left_ms = self.duration_ms - self.heard_ms if self.queued else WAIT_MS_MAX
            await self._clock.sleep_ms(min(max(left_ms, 1.0), WAIT_MS_MAX))
        return self.heard_ms

    # --- for the player ----------------------------------------------------------------------------------------------

    def extend(self, stream: MediaStream, duration_ms: float) -> None:
        """A piece of it was queued on `stream` just now."""
        playout = stream.playout
        end_ms = stream.added_ms
        if self._run is not playout.run:
            if self._run is not None:
                self._before_ms = self.heard_ms, self.duration_ms
            self._playout, self._run, self._begin_ms = playout, playout.run, end_ms - duration_ms
        self._end_ms = end_ms

    def stop(self) -> None:
        """No more of it will be queued: it was cut off."""
        self._stopped = True
