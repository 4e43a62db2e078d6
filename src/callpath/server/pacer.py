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

TICK_MS = 10.0
"""Wake-ups fall on multiples of this: half a frame, so that a frame is never more than half of one late."""

logger = structlog.get_logger("callpath")


class Sleeper(Protocol):
    """Who can be woken."""

    def wake(self, now_ms: float) -> None:
        """The time has come. Ask again for the next one."""
        ...


class Pacer:
    """Wakes many at their times. `run` must be running."""

    def __init__(self, clock: Clock) -> None:
        self.lag_ms_max = 0.0
        """The longest time by which a wake-up was late since it was last reset: something held the event loop up."""
        self._clock = clock
        self._times: dict[Sleeper, float] = {}
        self._turns = itertools.count()
        self._until_ms = math.inf
        self._sooner = asyncio.Event()

    def next_turn(self) -> int:
        """A number for each who asks, one more every time: for those who should not all do a thing at once."""
        return next(self._turns)

    def wake_at(self, sleeper: Sleeper, at_ms: float) -> None:
        """Wake `sleeper` at the first tick from `at_ms` on. Replaces what it asked for before."""
        self._times[sleeper] = at_ms
        if at_ms < self._until_ms:
            self._sooner.set()

    def forget(self, sleeper: Sleeper) -> None:
        """`sleeper` is gone."""
        self._times.pop(sleeper, None)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            first_ms = min(self._times.values(), default=math.inf)
            self._until_ms = math.inf if first_ms == math.inf else math.ceil(first_ms / TICK_MS) * TICK_MS
            await self._clock.wait(self._sooner, None if self._until_ms == math.inf else self._until_ms)
            now_ms = self._clock.now_ms()
            self.lag_ms_max = max(self.lag_ms_max, now_ms - self._until_ms)
            for sleeper in [sleeper for sleeper, at_ms in self._times.items() if at_ms <= now_ms]:
                if self._times.pop(sleeper, None) is None:
                    continue  # one before it made it go
                try:
                    sleeper.wake(now_ms)
                except Exception as error:
                    # A fault in one call must not silence all others.
                    logger.exception("A stream failed", event_name="stream.failed", error=str(error))
