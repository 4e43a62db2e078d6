"""Time: the machine's, and one that stands still until it is told to pass."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.clock import Clock, ManualClock, SystemClock, Wake


@pytest.fixture(params=[ManualClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Either: shells are written against what both promise."""
    made: Clock = request.param()
    return made


@pytest.fixture(params=[asyncio.Event, Wake])
def wake(request: pytest.FixtureRequest) -> asyncio.Event | Wake:
    """Either: a clock waits for both."""
    made: asyncio.Event | Wake = request.param()
    return made


async def turns() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


# --- what both promise -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until_ms", [None, 1e12, 0.0, -1.0])
async def test_a_set_event_is_seen_whatever_the_time(
    clock: Clock, until_ms: float | None, wake: asyncio.Event | Wake
) -> None:
    """A stream that has something to send now must not take the wake for a time-out."""
    wake.set()

    assert await clock.wait(wake, until_ms) is True
    assert not wake.is_set()


@pytest.mark.parametrize("until_ms", [None, 1e12])
async def test_an_event_that_is_set_later_ends_the_wait(
    clock: Clock, until_ms: float | None, wake: asyncio.Event | Wake
) -> None:
    """A frame came in while the writer waits for its next time to send."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.wait(wake, until_ms))
        await turns()
        before = waiting.done()
        wake.set()

    assert before is False
    assert waiting.result() is True
    assert not wake.is_set()


async def test_a_time_that_is_over_ends_the_wait_at_once(clock: Clock, wake: asyncio.Event | Wake) -> None:
    """A late writer goes on; it does not wait for ever for a moment that has passed."""

    assert await clock.wait(wake, clock.now_ms() - 1) is False
    assert not wake.is_set()


@pytest.mark.parametrize("duration_ms", [0, -5])
async def test_a_sleep_of_nothing_lets_others_run(clock: Clock, duration_ms: float) -> None:
    """A loop that is behind must not starve the reader beside it."""
    seen: list[str] = []

    async def other() -> None:
        seen.append("other")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other())
        await clock.sleep_ms(duration_ms)
        seen.append("sleeper")

    assert seen == ["other", "sleeper"]


async def test_a_cancelled_wait_leaves_nothing_behind(clock: Clock, wake: asyncio.Event | Wake) -> None:
    """A call that ends while its writer waits: the next wait on this event must not be woken by the old one."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.wait(wake, 1e12))
        await turns()
        waiting.cancel()

    assert waiting.cancelled()
    assert not wake.is_set()
    assert getattr(clock, "_sleepers", []) == []


@pytest.mark.parametrize("set_after_ms", [-0.5, 0.0, 0.5])
async def test_an_event_that_is_set_when_time_runs_out_is_not_lost(
    clock: Clock, set_after_ms: float, wake: asyncio.Event | Wake
) -> None:
    """The event and the timer come in one turn of the loop, in either order. Reported as a timeout, the event would be
    cleared unseen, and the call that was woken by it would sleep on."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(clock.wait(wake, clock.now_ms() + 5))
        await turns()
        if isinstance(clock, ManualClock):
            clock._now_ms += 5
            ring = partial(clock._sleepers[0][1].reschedule, loop.time())
            for one in (wake.set, ring) if set_after_ms < 0 else (ring, wake.set):
                one()
        else:
            loop.call_later((5 + set_after_ms) / 1000, wake.set)
            clock.block_ms(8)  # both are due when the loop looks at its timers next

    assert waiting.result() is True or wake.is_set()


async def test_a_wake_has_one_waiter() -> None:
    """The second of two would never be woken."""
    wake = Wake()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(wake.wait())
        await turns()
        with pytest.raises(RuntimeError, match="one task"):
            await wake.wait()
        wake.set()
    assert first.done()


# --- the machine's ---------------------------------------------------------------------------------------------------


async def test_the_machines_clock_waits_until_the_time_is_reached(wake: asyncio.Event | Wake) -> None:
    """Frames would go out too early."""
    clock = SystemClock()
    until_ms = clock.now_ms() + 2
    woken = await clock.wait(wake, until_ms)

    assert woken is False
    assert clock.now_ms() >= until_ms


async def test_a_timer_that_goes_off_early_is_no_event(wake: asyncio.Event | Wake) -> None:
    """uvloop's do, by up to half a ms: the doctor's stream ended after one frame, taken for closed by the server."""

    class Early(SystemClock):
        def now_ms(self) -> float:
            return 0.0

    assert await Early().wait(wake, 1.0) is False


async def test_an_ended_wait_does_not_ring_later(wake: asyncio.Event | Wake) -> None:
    """A timer that is left behind would wake some later wait on this event, for nothing."""
    clock = SystemClock()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(clock.wait(wake, clock.now_ms() + 5))
        await turns()
        wake.set()
    await clock.sleep_ms(10)

    assert not wake.is_set()


def test_the_machines_clocks_run_forward() -> None:
    """Entries carry Unix milliseconds: a value in seconds would put every call into 1970."""
    clock = SystemClock()
    readings = [clock.now_ms() for _ in range(100)]

    assert readings == sorted(readings)
    assert clock.now_unix_ms() > 1_700_000_000_000


# --- the one for tests -----------------------------------------------------------------------------------------------


async def test_the_manual_clock_stands_still() -> None:
    """Else a test's outcome would hang on how fast the machine is."""
    clock = ManualClock(unix_ms=5000)
    await turns()
    before = (clock.now_ms(), clock.now_unix_ms())
    await clock.advance(20.5)

    assert before == (0.0, 5000)
    assert (clock.now_ms(), clock.now_unix_ms()) == (20.5, 5020)


async def test_sleepers_wake_at_their_own_times_in_order() -> None:
    """Two streams on one clock: each must see the moment that it asked for, not the end of the step."""
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, duration_ms: float) -> None:
        await clock.sleep_ms(duration_ms)
        woken.append((name, clock.now_ms()))

    async with asyncio.TaskGroup() as tasks:
        for name, duration_ms in (("c", 30.0), ("a", 10.0), ("b", 20.0), ("late", 50.5)):
            tasks.create_task(sleep(name, duration_ms))
        await clock.advance(50)
        early = list(woken)
        await clock.advance(0.5)

    assert early == [("a", 10.0), ("b", 20.0), ("c", 30.0)]
    assert woken[3:] == [("late", 50.5)]


async def test_one_step_holds_many_sleeps_of_a_loop() -> None:
    """A pacer of 20 ms must run 50 times in a second, not once."""
    clock = ManualClock()
    ticks: list[float] = []

    async def pace() -> None:
        while True:
            await clock.sleep_ms(20)
            ticks.append(clock.now_ms())

    async with asyncio.TaskGroup() as tasks:
        pacer = tasks.create_task(pace())
        await clock.advance(1000)
        pacer.cancel()

    assert ticks == [20.0 * n for n in range(1, 51)]


async def test_a_wait_says_whether_time_or_the_event_ended_it(wake: asyncio.Event | Wake) -> None:
    """Reported the wrong way round, a time-out would pass for a frame."""
    clock = ManualClock()
    async with asyncio.TaskGroup() as tasks:
        timed_out = tasks.create_task(clock.wait(wake, 100))
        await clock.advance(99)
        before = timed_out.done()
        await clock.advance(1)
    async with asyncio.TaskGroup() as tasks:
        woken = tasks.create_task(clock.wait(wake, 200))
        await clock.advance(50)
        wake.set()
        await clock.advance(50)

    assert before is False
    assert (timed_out.result(), woken.result()) == (False, True)
    assert not wake.is_set()


@given(st.lists(st.floats(0.001, 500), max_size=20), st.lists(st.floats(0, 200), max_size=10))
async def test_nobody_oversleeps_and_nobody_wakes_early(sleeps: list[float], steps: list[float]) -> None:
    """However time is cut into steps."""
    clock = ManualClock()
    woken: list[tuple[float, float]] = []

    async def sleep(duration_ms: float) -> None:
        await clock.sleep_ms(duration_ms)
        woken.append((duration_ms, clock.now_ms()))

    async def let_pass() -> None:
        for step in steps:
            await clock.advance(step)

    sleeping: list[Coroutine[Any, Any, None]] = [sleep(duration_ms) for duration_ms in sleeps]
    async with asyncio.TaskGroup() as tasks:
        sleepers = [tasks.create_task(one) for one in sleeping]
        await turns()
        await let_pass()
        for sleeper in sleepers:
            sleeper.cancel()

    assert woken == [(duration_ms, duration_ms) for duration_ms in sorted(sleeps) if duration_ms <= clock.now_ms()]
