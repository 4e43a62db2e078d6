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

    __slots__ = (
        "_begin_ms",
        "_clock",
        "_end_ms",
        "_heard_before_ms",
        "_playout",
        "_run",
        "_stopped",
        "_total_before_ms",
        "queued",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._playout: Playout | None = None
        self._run: Run | None = None
        self._begin_ms = self._end_ms = 0.0
        """Where it is in the run."""
        self._heard_before_ms = self._total_before_ms = 0.0
        """On streams whose sockets were lost: how much of it was heard, and how much was queued."""
        self._stopped = False
        self.queued = False
        """All of it was queued: its length is known."""

    @property
    def heard_ms(self) -> float:
        """Milliseconds of this source that the caller has heard so far."""
        run, playout = self._run, self._playout
        if run is None or playout is None:
            return self._heard_before_ms
        heard_ms = run.heard_ms if run.heard_ms is not None else playout.heard_since_clear_ms(self._clock.now_ms())
        return self._heard_before_ms + min(max(0.0, heard_ms - self._begin_ms), self._end_ms - self._begin_ms)

    @property
    def duration_ms(self) -> float:
        """Milliseconds of it that were queued so far; its length, once all of it is (`queued`)."""
        return self._total_before_ms + self._end_ms - self._begin_ms

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
        run, playout = self._run, self._playout
        if self._stopped or not self.queued:
            return self._stopped
        if run is None or playout is None or run.heard_ms is not None:
            return True
        return playout.heard_since_clear_ms(self._clock.now_ms()) >= self._end_ms - ROUNDING_MS

    def __bool__(self) -> bool:
        return not self.cut

    async def heard(self) -> float:
        """Wait until all of it was heard, or it was cut off. Returns the milliseconds that were heard."""
        while not self._is_over:
            left_ms = self.duration_ms - self.heard_ms if self.queued else WAIT_MS_MAX
            await self._clock.sleep_ms(min(max(left_ms, 1.0), WAIT_MS_MAX))
        return self.heard_ms

    # --- for the player ----------------------------------------------------------------------------------------------

    def extend(self, stream: MediaStream, begin_ms: float) -> None:
        """A piece of it was queued on `stream`, from `begin_ms` of the run on."""
        playout = stream.playout
        if self._run is not playout.run:
            if self._run is not None:
                self._heard_before_ms = self.heard_ms
                self._total_before_ms = self.duration_ms
            self._playout, self._run, self._begin_ms = playout, playout.run, begin_ms
        self._end_ms = stream.added_ms

    def stop(self) -> None:
        """No more of it will be queued: it was cut off."""
        self._stopped = True
