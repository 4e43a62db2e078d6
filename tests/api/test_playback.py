"""How much of one source the caller has heard, and whether anything cut it off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.audio.tone import tone
from callpath.testing import place_call


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
