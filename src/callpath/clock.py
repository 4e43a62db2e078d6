"""The only module that reads a clock or sleeps. Everything else takes `now` as an argument, or a Clock.

Two kinds of time, never mixed:
    now_ms()       monotonic milliseconds (float): durations, deadlines, pacing
    now_unix_ms()  wall time, Unix milliseconds (int): what stands in a timeline
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol


class Clock(Protocol):
    """What a shell needs of time. `SystemClock` in production, `ManualClock` in tests."""

    def now_ms(self) -> float:
        """Monotonic milliseconds; only differences mean anything."""
        ...

    def now_unix_ms(self) -> int:
        """Wall clock, Unix milliseconds."""
        ...

    async def sleep_ms(self, duration_ms: float) -> None:
        """Return after `duration_ms`; at once (but after other tasks had a turn) if it is not positive."""
        ...

    async def wait(self, wake: asyncio.Event, until_ms: float | None) -> bool:
        """Wait until `wake` is set or `now_ms()` reaches `until_ms` (None: for ever), and clear `wake`.

        Returns True if `wake` was set, False if time ran out.
        """
        ...

    def rest(self, duration_ms: float) -> None:
        """Hold the whole thread up, event loop and all. For fractions of a millisecond (`server.gathering`)."""
        ...


class SystemClock:
    """The machine's clock and the running loop's timers."""

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0

    def now_unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(max(0.0, duration_ms) / 1000.0)

    async def wait(self, wake: asyncio.Event, until_ms: float | None) -> bool:
        if until_ms is None:
            await wake.wait()
        elif not wake.is_set():
            # A timer that sets the event costs a third of wait_for: no task, no cancellation.
            rung = False

            def ring() -> None:
                nonlocal rung
                rung = True  # the clock cannot say it: uvloop's timers go off up to half a ms early
                wake.set()

            timer = asyncio.get_running_loop().call_later(max(0.0, until_ms - self.now_ms()) / 1000.0, ring)
            try:
                await wake.wait()
            finally:
                timer.cancel()
            if rung or self.now_ms() >= until_ms:
                wake.clear()
                return False
        wake.clear()
        return True

    def rest(self, duration_ms: float) -> None:
        time.sleep(duration_ms / 1000.0)


class ManualClock:
    """A clock that stands still until `advance` is called: seconds of a call pass in microseconds.

    `unix_ms` is the wall time at which the clock starts.
    """

    def __init__(self, unix_ms: int = 1_767_323_045_000) -> None:
        self._start_unix_ms = unix_ms
        self._now_ms = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now_ms(self) -> float:
        return self._now_ms

    def now_unix_ms(self) -> int:
        return self._start_unix_ms + int(self._now_ms)

    async def sleep_ms(self, duration_ms: float) -> None:
        if duration_ms <= 0:
            await asyncio.sleep(0)
            return
        await self.wait(asyncio.Event(), self._now_ms + duration_ms)

    async def wait(self, wake: asyncio.Event, until_ms: float | None) -> bool:
        woken_by_time = False
        if until_ms is not None and not wake.is_set():
            if until_ms <= self._now_ms:
                await asyncio.sleep(0)
                return False
            alarm = (until_ms, wake)
            self._sleepers.append(alarm)
            try:
                await wake.wait()
            finally:
                with contextlib.suppress(ValueError):
                    self._sleepers.remove(alarm)
            woken_by_time = self._now_ms >= until_ms
        else:
            await wake.wait()
        wake.clear()
        return not woken_by_time

    def rest(self, duration_ms: float) -> None:
        """Time stands still."""

    async def advance(self, duration_ms: float) -> None:
        """Let `duration_ms` pass, waking sleepers at their exact times and letting tasks run in between."""
        end_ms = self._now_ms + duration_ms
        await self._settle()
        while True:
            due = [at for at, _ in self._sleepers if at <= end_ms]
            if not due:
                break
            self._now_ms = max(self._now_ms, min(due))
            for alarm in [a for a in self._sleepers if a[0] <= self._now_ms]:
                self._sleepers.remove(alarm)
                alarm[1].set()
            await self._settle()
        self._now_ms = end_ms

    @staticmethod
    async def _settle() -> None:
        """Give every task that can run its turns before time moves on."""
        for _ in range(20):
            await asyncio.sleep(0)
