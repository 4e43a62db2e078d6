"""One timer for all streams, on a manual clock."""

from __future__ import annotations

import asyncio

from callpath.clock import ManualClock
from callpath.server.pacer import AT_A_STRETCH_MS_MAX, LAG_TOLD_EVERY_MS, Pacer


class Sleeper:
    def __init__(self, fails: bool = False) -> None:
        self.woken: list[float] = []
        self._fails = fails

    def wake(self, now_ms: float) -> None:
        self.woken.append(now_ms)
        if self._fails:
            raise ValueError("a bug")


async def test_all_whose_time_has_come_are_woken_together_on_a_tick() -> None:
    """A timer for each frame of each call would cost more than the frame."""
    clock = ManualClock()
    pacer = Pacer(clock)
    one, other, later = Sleeper(), Sleeper(), Sleeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        pacer.wake_at(one, 11)
        pacer.wake_at(other, 19)
        pacer.wake_at(later, 21)
        await clock.advance(100)
        running.cancel()

    assert (one.woken, other.woken, later.woken) == ([20], [20], [30])


async def test_a_sooner_time_replaces_a_later_one_and_the_gone_are_forgotten() -> None:
    """Else a clear would wait for the frame that it takes back."""
    clock = ManualClock()
    pacer = Pacer(clock)
    sooner, gone = Sleeper(), Sleeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        pacer.wake_at(sooner, 500)
        pacer.wake_at(gone, 500)
        await clock.advance(50)
        pacer.wake_at(sooner, 60)
        pacer.forget(gone)
        await clock.advance(1000)
        running.cancel()

    assert (sooner.woken, gone.woken) == ([60], [])


async def test_who_asks_again_and_again_is_woken_once_and_leaves_nothing_behind() -> None:
    """Every frame of a paced call asks for another time; what it asked for before must not pile up."""
    clock = ManualClock()
    pacer = Pacer(clock)
    restless, gone = Sleeper(), Sleeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        for at_ms in (500, 30, 500, 45, 45, 500):
            pacer.wake_at(restless, at_ms)
            pacer.wake_at(gone, at_ms)
        pacer.forget(gone)
        await clock.advance(1000)
        running.cancel()

    assert (restless.woken, gone.woken) == ([500], [])
    assert not pacer._due and not pacer._tick_of


async def test_one_that_is_woken_may_send_another_away() -> None:
    """The end of one call may close the socket of the next."""
    clock = ManualClock()
    pacer = Pacer(clock)
    other = Sleeper()

    class Sends(Sleeper):
        def wake(self, now_ms: float) -> None:
            super().wake(now_ms)
            pacer.forget(other)

    first = Sends()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        pacer.wake_at(first, 20)
        pacer.wake_at(other, 20)
        await clock.advance(50)
        running.cancel()

    assert (first.woken, other.woken) == ([20], [])


async def test_frames_have_a_turn_between_many_that_are_woken_at_once() -> None:
    """When a thousand calls begin together, no frame may wait for the first looks of all of them."""
    clock = ManualClock()
    pacer = Pacer(clock)
    happened: list[str] = []
    told_to_go = Sleeper()

    class TakesLong(Sleeper):
        def wake(self, now_ms: float) -> None:
            super().wake(now_ms)
            happened.append("look")
            clock._now_ms += AT_A_STRETCH_MS_MAX * 0.6
            if len(happened) == 1:
                asyncio.get_running_loop().call_soon(frame_comes)

    def frame_comes() -> None:
        happened.append("frame")
        pacer.forget(told_to_go)

    looks = [TakesLong() for _ in range(5)]
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        for sleeper in (looks[0], looks[1], told_to_go, *looks[2:]):
            pacer.wake_at(sleeper, 20)
        await clock.advance(20)
        await clock.advance(0)
        running.cancel()

    assert happened == ["look", "look", "frame", "look", "look", "look"]
    assert told_to_go.woken == []
    assert [len(look.woken) for look in looks] == [1] * 5


async def test_a_fault_in_one_stream_does_not_silence_the_others() -> None:
    """They share the timer."""
    clock = ManualClock()
    pacer = Pacer(clock)
    broken, fine = Sleeper(fails=True), Sleeper()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(pacer.run())
        pacer.wake_at(broken, 10)
        pacer.wake_at(fine, 10)
        await clock.advance(50)
        running.cancel()

    assert fine.woken == [10]


async def test_what_takes_long_is_done_by_one_at_a_time() -> None:
    """Two hundred analyses in one turn would stop all audio for half a second."""
    pacer = Pacer(ManualClock())

    assert [pacer.may_take_long(at_ms) for at_ms in (0, 1, 4999, 5000, 5500)] == [True, False, False, True, False]


async def test_a_lag_is_told_to_one_and_a_later_one_again() -> None:
    """All calls of a process feel the same lag; the next one is another."""
    clock = ManualClock()
    pacer = Pacer(clock)
    pacer._note_lag(0.0, 250.0)
    at_once = [pacer.take_lag_ms(10.0) for _ in range(3)]
    pacer._note_lag(LAG_TOLD_EVERY_MS + 10.0, 300.0)
    later = [pacer.take_lag_ms(LAG_TOLD_EVERY_MS + 20.0) for _ in range(2)]

    assert ([250.0, 0.0, 0.0], [300.0, 0.0]) == (at_once, later)
