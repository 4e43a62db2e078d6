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
    """The time as shells use it. `SystemClock` in production, `ManualClock` in tests."""

    def now_ms(self) -> float:
        """Monotonic milliseconds; only differences mean anything."""
        ...

    def now_unix_ms(self) -> int:
        """Wall clock, Unix milliseconds."""
        ...

    async def sleep_ms(self, duration_ms: float) -> None:
        """Return after `duration_ms`; at once (but after other tasks had a turn) if it is not positive."""
        ...

    async def wait(self, wake: asyncio.Event | Wake, until_ms: float | None) -> bool:
        """Wait until `wake` is set or `now_ms()` reaches `until_ms` (None: for ever), and clear `wake`.

        Returns True if `wake` was set, False if time ran out.
        """
        ...

    def block_ms(self, duration_ms: float) -> None:
        """Block the thread, event loop included. For fractions of a millisecond (`server.read_coalescer`)."""
        ...


class Wake:
    """An event for one waiter at a time, for `Clock.wait`. Each call has one, and an `asyncio.Event` takes 1 kB more."""

    __slots__ = ("_set", "_waiter")

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        """Whether it was set since it was last cleared."""
        return self._set

    def set(self) -> None:
        """Wake the waiter."""
        self._set = True
        self.end_wait()

    def clear(self) -> None:
        """Begin again."""
        self._set = False

    def end_wait(self) -> None:
        """Let the waiter go on without having been woken: time is out."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it is set, or `end_wait`. Raises RuntimeError for a second waiter."""
        if self._set:
            return
        if self._waiter is not None:
            raise RuntimeError("one task waits for it already")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class SystemClock:
    """The machine's clock and the running loop's timers."""

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0

    def now_unix_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(max(0.0, duration_ms) / 1000.0)

    async def wait(self, wake: asyncio.Event | Wake, until_ms: float | None) -> bool:
        if until_ms is None or wake.is_set():
            await wake.wait()
        elif isinstance(wake, Wake):
            left_s = max(0.0, until_ms - self.now_ms()) / 1000.0
            timer = asyncio.get_running_loop().call_later(left_s, wake.end_wait)
            try:
                await wake.wait()
            finally:
                timer.cancel()
        else:
            left_s = max(0.0, until_ms - self.now_ms()) / 1000.0
            await _wait_within(asyncio.timeout(left_s), wake)
        return _take(wake)

    def block_ms(self, duration_ms: float) -> None:
        time.sleep(duration_ms / 1000.0)


async def _wait_within(limit: asyncio.Timeout, wake: asyncio.Event | Wake) -> None:
    with contextlib.suppress(TimeoutError):
        async with limit:
            await wake.wait()


def _take(wake: asyncio.Event | Wake) -> bool:
    """Clear `wake`, and return whether it was set. The event decides, not the timer: both may come in one turn of the
    loop, and a timeout must not swallow the wake-up."""
    was_set = wake.is_set()
    wake.clear()
    return was_set


class ManualClock:
    """A clock that stands still until `advance` is called: seconds of a call pass in microseconds.

    `unix_ms` is the wall time at which the clock starts.
    """

    def __init__(self, unix_ms: int = 1_767_323_045_000) -> None:
        self._start_unix_ms = unix_ms
        self._now_ms = 0.0
        self._sleepers: list[tuple[float, asyncio.Timeout]] = []

    def now_ms(self) -> float:
        return self._now_ms

    def now_unix_ms(self) -> int:
        return self._start_unix_ms + int(self._now_ms)

    async def sleep_ms(self, duration_ms: float) -> None:
        if duration_ms <= 0:
            await asyncio.sleep(0)
            return
        await self.wait(asyncio.Event(), self._now_ms + duration_ms)

    async def wait(self, wake: asyncio.Event | Wake, until_ms: float | None) -> bool:
        if until_ms is None or wake.is_set():
            await wake.wait()
        elif until_ms <= self._now_ms:
            await asyncio.sleep(0)
        else:
            alarm = (until_ms, asyncio.timeout(None))
            self._sleepers.append(alarm)
            try:
                await _wait_within(alarm[1], wake)
            finally:
                with contextlib.suppress(ValueError):
                    self._sleepers.remove(alarm)
        return _take(wake)

    def block_ms(self, duration_ms: float) -> None:
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
                alarm[1].reschedule(asyncio.get_running_loop().time())
            await self._settle()
        self._now_ms = end_ms

    @staticmethod
    async def _settle() -> None:
        """Give every task that can run its turns before time moves on."""
        for _ in range(20):
            await asyncio.sleep(0)
