"""How much of one source the caller has heard, and whether anything cut it off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.playback import Playback
from callpath.audio.tone import tone
from callpath.clock import ManualClock
from callpath.testing import Pair, place_call


def app_of(handle: Callable[[Call], Awaitable[None]]) -> App:
    app = App()
    app.call(handle)
    return app


@pytest.mark.parametrize(("before_ms", "cut_after_ms"), [(0, 805), (2_000, 2_805), (600, 1_000)])
async def test_what_was_heard_is_exact_for_each_source(before_ms: int, cut_after_ms: int) -> None:
    """`clear` added up everything since the last one: 4,805 ms for an answer of which 2,805 were heard. A speech
    service that is told more than it said refuses it."""
    heard_ms: list[float] = []
    state: list[tuple[bool, bool]] = []

    async def handle(call: Call) -> None:
        first = await call.play(tone(440, duration_ms=before_ms)) if before_ms else None
        answer = call.start_playing(tone(440, duration_ms=5_000))
        later = call.start_playing(tone(440, duration_ms=100))
        await asyncio.sleep(cut_after_ms / 1000)
        await call.clear()
        for playback in (first, answer, later):
            if playback is not None:
                heard_ms.append(playback.heard_ms)
                state.append((playback.finished, playback.cut))
        again = await call.play(tone(440, duration_ms=300))
        await again.heard()
        heard_ms.append(again.heard_ms)
        state.append((again.finished, again.cut))
        await asyncio.sleep(1)
        heard_ms.append(answer.heard_ms)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=6_000)

    if before_ms:
        first_ms = heard_ms.pop(0)
        assert first_ms == pytest.approx(before_ms, abs=0.1)
        assert state.pop(0) == (True, False)
    answer_ms, later_ms, again_ms, afterwards_ms = heard_ms
    waited_ms = max(0, before_ms - 400)  # `play` returns when its audio is queued
    assert answer_ms == pytest.approx(waited_ms + cut_after_ms - before_ms, abs=45)
    assert later_ms == 0
    assert again_ms == pytest.approx(300, abs=0.1)
    assert afterwards_ms == answer_ms
    assert state == [(False, True), (False, True), (True, False)]


async def test_a_source_goes_on_counting_on_the_next_stream() -> None:
    """What a lost socket held was not heard; what follows on the next one is."""
    heard_ms: list[float] = []

    async def handle(call: Call) -> None:
        playback = await call.play(tone(440, duration_ms=2_000))
        heard_ms.append(await playback.heard())

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=300)
        await caller.connect()
        await caller.run(ms=5_000)

    assert 1_500 <= heard_ms[0] < 1_990


# --- by literal times ------------------------------------------------------------------------------------------------


class Line:
    """A stream on a manual clock, on which a test queues pieces of sources."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.connect()

    def connect(self) -> None:
        self.pair = Pair()
        self.pair.now_ms = self.clock.now_ms()
        self.pair.run(ms=0)

    def queue(self, playback: Playback, ms: int) -> None:
        self.pair.server.play(tone(440, duration_ms=ms))
        playback.extend(self.pair.server, ms)

    async def run(self, ms: float) -> None:
        self.pair.run(ms)
        await self.clock.advance(ms)

    def lose(self) -> None:
        self.pair.server.playout.end_run(self.clock.now_ms())


def look(playback: Playback) -> tuple[float, float, bool, bool]:
    assert bool(playback) != playback.cut
    return round(playback.heard_ms, 3), round(playback.duration_ms, 3), playback.finished, playback.cut


async def test_each_of_two_sources_has_its_own_time() -> None:
    """The second is not heard while the first is, and the first no longer than it is."""
    line = Line()
    one, two = Playback(line.clock), Playback(line.clock)
    line.queue(one, 100)
    line.queue(two, 200)
    one.queued = two.queued = True
    seen = []
    for ms in (0, 60, 39, 1, 50, 150, 500):
        await line.run(ms)
        seen.append((look(one), look(two)))

    assert seen == [
        ((0, 100, False, False), (0, 200, False, False)),
        ((60, 100, False, False), (0, 200, False, False)),
        ((99, 100, False, False), (0, 200, False, False)),
        ((100, 100, True, False), (0, 200, False, False)),
        ((100, 100, True, False), (50, 200, False, False)),
        ((100, 100, True, False), (200, 200, True, False)),
        ((100, 100, True, False), (200, 200, True, False)),
    ]


async def test_a_source_that_grows_is_not_finished() -> None:
    """An engine that is slower than speech: all that came was heard, and more comes."""
    line = Line()
    playback = Playback(line.clock)
    nothing = look(playback)
    line.queue(playback, 100)
    await line.run(200)
    waiting = look(playback)
    line.queue(playback, 60)
    playback.queued = True
    await line.run(60)

    assert nothing == (0, 0, False, False)
    assert waiting == (100, 100, False, False)
    assert look(playback) == (160, 160, True, False)


async def test_a_source_of_nothing_is_finished() -> None:
    """Silence was asked for, and was heard."""
    playback = Playback(ManualClock())
    playback.queued = True

    assert look(playback) == (0, 0, True, False)
    assert await playback.heard() == 0


@pytest.mark.parametrize("queued", [True, False])
async def test_what_a_clear_cut_off_stays_cut_off(queued: bool) -> None:
    """However long the call goes on, and whether all of it was queued or not."""
    line = Line()
    playback = Playback(line.clock)
    line.queue(playback, 100)
    playback.queued = queued
    await line.run(40)
    line.pair.server.clear(line.clock.now_ms())
    if not queued:
        playback.stop()
    after = look(playback)
    await line.run(500)

    assert after == look(playback) == (40, 100, False, True)


async def test_a_source_that_was_stopped_at_its_last_moment_is_cut_off() -> None:
    """All that was queued was heard; what was to follow never will be."""
    line = Line()
    playback = Playback(line.clock)
    line.queue(playback, 100)
    await line.run(100)
    playback.stop()

    assert look(playback) == (100, 100, False, True)


async def test_what_a_lost_socket_held_counts_as_played_and_not_as_heard() -> None:
    """What was heard before it and what follows on the next stream are added up."""
    line = Line()
    playback = Playback(line.clock)
    line.queue(playback, 100)
    await line.run(30)
    line.lose()
    lost = look(playback)
    await line.run(500)
    line.connect()
    line.queue(playback, 200)
    playback.queued = True
    queued = look(playback)
    await line.run(200)

    assert lost == (30, 100, False, False)
    assert queued == (30, 300, False, False)
    assert look(playback) == (230, 300, False, True)


async def test_a_wait_ends_when_it_was_heard() -> None:
    """To the millisecond: the next sentence of a conversation depends on it."""
    line = Line()
    playback = Playback(line.clock)
    line.queue(playback, 700)
    playback.queued = True
    waiting = asyncio.ensure_future(playback.heard())
    await line.run(699)
    early = waiting.done()
    await line.run(1)

    assert not early
    assert waiting.done() and await waiting == 700


async def test_a_wait_for_a_source_that_was_cut_off_ends_within_half_a_second() -> None:
    """And not with the source, which may be music without end."""
    line = Line()
    playback = Playback(line.clock)
    line.queue(playback, 5_000)
    playback.queued = True
    waiting = asyncio.ensure_future(playback.heard())
    await line.run(10)
    line.pair.server.clear(line.clock.now_ms())
    await line.run(489)
    early = waiting.done()
    await line.run(1)

    assert not early
    assert waiting.done() and await waiting == 10
