"""Batches of frames: only when they come often."""

from __future__ import annotations

import asyncio

from callpath.clock import ManualClock
from callpath.server.read_coalescer import (
    AT_ONCE_MAX,
    BATCH_LARGE_ENOUGH,
    JUDGED_EVERY_MS,
    OVERLOADED_BATCH,
    REST_MS_MAX,
    REST_MS_MIN,
    ReadCoalescer,
)


class RestingClock(ManualClock):
    """A clock that remembers its rests."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []

    def block_ms(self, duration_ms: float) -> None:
        self.rests.append(duration_ms)


async def turns(clock: RestingClock, coalescer: ReadCoalescer, frames_a_turn: int) -> None:
    """A fifth of a second in which so many frames come every millisecond."""
    for _ in range(int(2 * JUDGED_EVERY_MS)):
        for _ in range(frames_a_turn):
            coalescer.frame_came()
        await clock.advance(1)


async def test_few_calls_are_never_kept_waiting() -> None:
    """One call must not pay for what helps two hundred."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, 1)

    assert not coalescer.busy
    assert clock.rests == []


async def test_many_calls_are_taken_in_batches() -> None:
    """And the rest is bounded: it is added to every answer."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, 10)

    assert coalescer.busy
    assert all(REST_MS_MIN <= rest_ms <= REST_MS_MAX for rest_ms in clock.rests)


async def test_what_a_frame_wakes_runs_before_the_rest() -> None:
    """A handler that answers a frame would send a millisecond later otherwise, on every frame."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, 10)
    clock.rests.clear()
    handler = asyncio.get_running_loop().create_future()
    rests_before: list[int] = []
    handler.add_done_callback(lambda _: rests_before.append(len(clock.rests)))
    coalescer.frame_came()
    handler.set_result(None)
    await clock.advance(1)

    assert (rests_before, len(clock.rests)) == ([0], 1)


async def test_a_turn_that_brought_enough_needs_no_rest() -> None:
    """On a core that is nearly full every rest would be paid with calls."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, BATCH_LARGE_ENOUGH)
    clock.rests.clear()
    await turns(clock, coalescer, BATCH_LARGE_ENOUGH)
    enough = list(clock.rests)
    await turns(clock, coalescer, BATCH_LARGE_ENOUGH - 1)

    assert (enough, bool(clock.rests)) == ([], True)


async def test_things_that_can_wait_are_done_at_once_by_a_few_only() -> None:
    """Hundreds of calls that begin in the same moment would each stop all others for a log line."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    at_once = [coalescer.has_time() for _ in range(2 * AT_ONCE_MAX)]
    await turns(clock, coalescer, 1)
    later = coalescer.has_time()
    await turns(clock, coalescer, 10)

    assert (at_once.count(True), later, coalescer.has_time()) == (AT_ONCE_MAX, True, False)


async def test_what_has_waited_is_done_among_many_frames_by_a_few_only() -> None:
    """It would else wait for a quiet moment that never comes; and be all that is done when a thousand have waited."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, 10)
    done = [coalescer.has_time(waited=True) for _ in range(2 * AT_ONCE_MAX)]

    assert (coalescer.busy, done.count(True), done[-1]) == (True, AT_ONCE_MAX, False)


async def test_nothing_that_can_wait_is_done_while_frames_do() -> None:
    """A turn that is behind would fall back further: a thousand calls were held up for seconds."""
    clock = RestingClock()
    coalescer = ReadCoalescer(clock)
    await turns(clock, coalescer, OVERLOADED_BATCH)
    behind = coalescer.has_time(waited=True)
    await turns(clock, coalescer, OVERLOADED_BATCH - 1)

    assert (behind, coalescer.has_time(waited=True)) == (False, True)
