"""What is said on a call, as a handler reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from callpath import App, Call, InvalidRequestError, TranscriptLine
from callpath.commands import SuppressionStart, SuppressionStop, TranscriptionStart, TranscriptionStop
from callpath.errors import ControlError
from callpath.testing import LEG, place_call


def app_of(handle: Callable[[Call], Awaitable[None]]) -> App:
    app = App()
    app.call(handle)
    return app


async def test_lines_come_interim_and_final_and_end_with_the_block() -> None:
    """A bot that answers what was said reads the final ones; one that interrupts, the others, too."""
    lines: list[TranscriptLine] = []

    async def handle(call: Call) -> None:
        async with call.transcribe(engine="Deepgram", language="en", interim=True) as said:
            async for line in said:
                lines.append(line)
                if line.is_final:
                    break
        await asyncio.sleep(10)

    async with place_call(app_of(handle)) as caller:
        await caller.speech("hel", is_final=False, confidence=None)
        await caller.speech("hello there")
        await caller.run(ms=500)
        await caller.speech("nobody listens any more")
        start, stop = caller.commands

    assert [("hel", False, None), ("hello there", True, 0.9)] == [
        (one.text, one.is_final, one.confidence) for one in lines
    ]
    assert {("inbound", LEG)} == {(one.track, one.leg_id) for one in lines}
    assert isinstance(start, TranscriptionStart) and isinstance(stop, TranscriptionStop)
    assert ("Deepgram", "inbound") == (start.transcription_engine, start.transcription_tracks)
    wanted = {"transcription_engine": "Deepgram", "language": "en", "interim_results": True}
    assert wanted == start.transcription_engine_config


async def test_it_begins_with_the_first_read_and_ends_with_the_call() -> None:
    """`async for line in call.transcribe()` is all that a note-taker needs."""
    texts: list[tuple[str, str | None]] = []

    async def handle(call: Call) -> None:
        async for line in call.transcribe(track="both"):
            texts.append((line.text, line.track))
        texts.append(("over", None))

    async with place_call(app_of(handle)) as caller:
        await caller.speech("one")
        await caller.speech("two", track="outbound")
        await caller.event("call.transcription", leg="leg-2", transcription_data={"transcript": "another leg's"})
        await caller.event("call.transcription", transcription_data={"transcript": ""})
        await caller.event("call.transcription")
        await caller.run(ms=100)
        await caller.hang_up()

    assert [("one", None), ("two", "outbound")] == texts, "the handler is cancelled at the end of the call"


async def test_stopping_ends_the_iteration_once() -> None:
    """A task that reads must not hang when another one stops it; a second stop costs no command."""
    read: list[str] = []

    async def handle(call: Call) -> None:
        said = await call.transcribe()
        with pytest.raises(InvalidRequestError) as raised:
            call.transcribe()
        assert "second_transcription" == raised.value.reason

        async def listen() -> None:
            async for line in said:
                read.append(line.text)
            read.append("end")

        task = call.tasks.create_task(listen())
        await asyncio.sleep(1)
        await said.stop()
        await said.stop()
        await task
        again = call.transcribe()
        await again.stop()  # it never began: nothing is sent

    async with place_call(app_of(handle)) as caller:
        await caller.speech("hello")
        await caller.run(ms=2000)
        names = [command.NAME for command in caller.commands]

    assert ["hello", "end"] == read
    assert ["transcription_start", "transcription_stop", "hangup"] == names


async def test_a_refusal_is_raised_where_it_is_begun_and_can_be_tried_again() -> None:
    """90054: it is transcribed already."""
    codes: list[str | None] = []

    async def handle(call: Call) -> None:
        for _ in range(2):
            with pytest.raises(ControlError) as raised:
                await call.transcribe()
            codes.append(raised.value.code)

    async with place_call(app_of(handle), refuse={"transcription_start": "90054"}) as caller:
        await caller.run(ms=100)

    assert ["90054", "90054"] == codes


async def test_noise_is_suppressed_until_that_is_stopped() -> None:
    """Telnyx sends no event for it."""

    async def handle(call: Call) -> None:
        await call.suppress_noise("both", engine="Krisp", config={"suppression_level": 80})
        await call.stop_suppressing_noise()

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        start, stop, *_ = caller.commands

    assert isinstance(start, SuppressionStart) and isinstance(stop, SuppressionStop)
    assert ("both", "Krisp", {"suppression_level": 80}) == (
        start.direction,
        start.noise_suppression_engine,
        start.noise_suppression_engine_config,
    )
