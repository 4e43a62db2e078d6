"""One timer for all streams of a process.

A timer for each frame of each call would cost more than the frame. So whoever wants to be woken says when, and all whose
time has come are woken together, on a shared tick. Playout runs 200 ms ahead of the ear, so a tick later is early enough.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Protocol

import structlog

from callpath.clock import Clock
from callpath.timeline import LAG_MS_MAX

TICK_MS = 10.0
"""Wake-ups fall on multiples of this: half a frame, so that a frame is never more than half of one late."""

AT_A_STRETCH_MS_MAX = 2.0
"""Then the loop has a turn before the others are woken: when a thousand calls begin at once their first looks take longer
than a tick, and frames would wait for all of them together."""

LAG_WINDOW_MS = 1_000.0
LAG_TOLD_EVERY_MS = 30_000.0
"""One lag holds up every call of the process. Each call's counts have it; an entry of its own it has in one of them, since
hundreds at that moment would hold the loop up once more."""
LONG_EVERY_MS = 5_000.0
"""What takes milliseconds is done once in so long, so that next to no frame has to wait for it."""

logger = structlog.get_logger("callpath")


class Sleeper(Protocol):
    """Who can be woken."""

    def wake(self, now_ms: float) -> None:
        """The time has come. Ask again for the next one."""
        ...


class Pacer:
    """Wakes many at their times. `run` must be running."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tick_of: dict[Sleeper, int] = {}
        self._due: dict[int, dict[Sleeper, None]] = {}
        """The same by ticks, so that a tick costs nothing to those who sleep on."""
        self._turns = itertools.count()
        self._next_tick = math.inf
        self._sooner = asyncio.Event()
        self._lags: list[tuple[float, float]] = [(0.0, 0.0), (0.0, 0.0)]
        """The longest lag of this second and of the one before, each with when it began."""
        self._long_at_ms = -math.inf
        self._told_at_ms = -math.inf

    def next_turn(self) -> int:
        """A number for each who asks, one more every time: for those who should not all do a thing at once."""
        return next(self._turns)

    def wake_at(self, sleeper: Sleeper, at_ms: float) -> None:
        """Wake `sleeper` at the first tick from `at_ms` on. Replaces what it asked for before."""
        tick = math.ceil(at_ms / TICK_MS)
        if self._tick_of.get(sleeper) == tick:
            return
        self.forget(sleeper)
        self._tick_of[sleeper] = tick
        self._due.setdefault(tick, {})[sleeper] = None
        if tick < self._next_tick:
            self._sooner.set()

    def forget(self, sleeper: Sleeper) -> None:
        """`sleeper` is gone."""
        tick = self._tick_of.pop(sleeper, None)
        if tick is not None:
            due = self._due[tick]
            del due[sleeper]
            if not due:
                del self._due[tick]

    def lag_ms_lately(self, now_ms: float) -> float:
        """The longest time by which a wake-up was late in the last second or two: something held the event loop up."""
        longest_ms = 0.0
        for began_ms, lag_ms in self._lags:
            if lag_ms > longest_ms and now_ms - began_ms < 2 * LAG_WINDOW_MS:
                longest_ms = lag_ms
        return longest_ms

    def take_lag_ms(self, now_ms: float) -> float:
        """The same for the first who asks after a lag that is worth an entry, then 0 for a while."""
        lag_ms = self.lag_ms_lately(now_ms)
        if lag_ms <= LAG_MS_MAX or now_ms < self._told_at_ms + LAG_TOLD_EVERY_MS:
            return 0.0
        self._told_at_ms = now_ms
        return lag_ms

    def may_take_long(self, now_ms: float) -> bool:
        """Whether somebody may do now what takes milliseconds; then nobody else for a while."""
        if now_ms < self._long_at_ms + LONG_EVERY_MS:
            return False
        self._long_at_ms = now_ms
        return True

    def _note_lag(self, now_ms: float, lag_ms: float) -> None:
        began_ms, longest_ms = self._lags[-1]
        if now_ms - began_ms >= LAG_WINDOW_MS:
            self._lags = [self._lags[-1], (now_ms, max(0.0, lag_ms))]
        elif lag_ms > longest_ms:
            self._lags[-1] = (began_ms, lag_ms)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._next_tick = min(self._due, default=math.inf)
            until_ms = self._next_tick * TICK_MS
            await self._clock.wait(self._sooner, None if until_ms == math.inf else until_ms)
            now_ms = self._clock.now_ms()
            self._note_lag(now_ms, now_ms - until_ms)
            held_since_ms = now_ms
            for tick in sorted(tick for tick in self._due if tick * TICK_MS <= now_ms):
                for sleeper in list(self._due.get(tick, ())):
                    if self._tick_of.get(sleeper) != tick:
                        continue  # one before it made it go, or sleep on
                    if now_ms - held_since_ms > AT_A_STRETCH_MS_MAX:
                        await self._clock.sleep_ms(0)
                        held_since_ms = now_ms = self._clock.now_ms()
                        if self._tick_of.get(sleeper) != tick:
                            continue
                    self.forget(sleeper)
                    self._wake(sleeper, now_ms)
                    now_ms = self._clock.now_ms()

    @staticmethod
    def _wake(sleeper: Sleeper, now_ms: float) -> None:
        try:
            sleeper.wake(now_ms)
        except Exception as error:
            # A fault in one call must not silence all others.
            logger.exception("A stream failed", event_name="stream.failed", error=str(error))
