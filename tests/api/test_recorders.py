"""Recordings as a handler steers them. (The file itself: test_recording.py; what both sides are: tests/call.)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from callpath import App, Call, InvalidRequestError, Recorded
from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.audio.wav import read_wav_sides
from callpath.commands import RecordPause, RecordResume, RecordStart, RecordStop
from callpath.errors import ControlError
from callpath.testing import HandlerUnderTest, place_call
from callpath.timeline import RecordingNotStored, RecordingPaused, RecordingResumed, RecordingSaved


def app_of(handle: Callable[[Call], Awaitable[None]]) -> App:
    app = App()
    app.call(handle)
    return app


def power(pcm: Pcm, hz: float) -> float:
    """How loud one frequency is in all of `pcm`: 0 to 1, 1 for a tone at full scale."""
    wave = np.exp(-2j * np.pi * hz * np.arange(pcm.size) / 8000)
    return float(2 * abs((pcm.astype(float) * wave).sum()) / max(1, pcm.size) / 32768)


@pytest.mark.parametrize("late_ms", [0, 200])
async def test_nothing_of_a_pause_is_in_the_file(tmp_path: Path, late_ms: int) -> None:
    """A card number that is said, pressed or read back in a pause must not be found on a disk: PCI. Late frames of the
    caller's, which come after the pause, belong to it."""

    async def handle(call: Call) -> None:
        recording = await call.record(tmp_path / "call.wav")
        await (await call.play(tone(440, duration_ms=900))).heard()
        await recording.pause()
        playback = await call.play(tone(1900, duration_ms=1000))
        await playback.heard()
        await call._feed.clock.sleep_ms(late_ms)
        await recording.resume()
        await call.play(tone(620, duration_ms=1000))
        await asyncio.sleep(2)

    said, gap = tone(700, duration_ms=850), np.zeros(8 * 250, np.int16)
    speech = np.concatenate([said, gap, tone(2600, duration_ms=850 + late_ms)])
    async with place_call(app_of(handle), say=speech) as caller:
        await caller.run(ms=2100 + late_ms)
        caller.say(tone(1100, duration_ms=900))
        await caller.run(ms=1500)
        await caller.hang_up()
        (left, right), rate_hz = read_wav_sides(tmp_path / "call.wav")
        paused, resumed = (
            [w for w in caller.timeline if isinstance(w, kind)] for kind in (RecordingPaused, RecordingResumed)
        )

    assert 8000 == rate_hz
    assert power(right, 1900) < 1e-3, "what was played in the pause"
    assert power(left[6900:], 2600) < 1e-3, "what the caller said in the pause"
    assert min(power(left[:6000], 700), power(right[:6000], 440), power(right[-8000:], 620)) > 0.01
    assert power(left[-11000:], 1100) > 0.01, "and what came after it is there"
    assert not right[8000:14000].any(), "the pause is silence, so that the file's time is the call's"
    assert (1, 1) == (len(paused), len(resumed))


async def test_a_key_pressed_in_the_last_moment_of_a_pause_is_not_kept(tmp_path: Path) -> None:
    """It arrives when the recording runs again already: network and jitter buffer take their time."""
    from callpath.call.recorder import Recorder

    recorder = Recorder(8000, 0.0)
    recorder.pause(100.0)
    recorder.resume(1000.0)
    for number in range(50):
        recorder.receive(np.full(160, 5, np.int16), 8000, 1020.0 + 20 * number)
    left, _ = recorder.finish(2100.0)

    assert not left[: 8 * 1300].any()
    assert left[8 * 1300 : 8 * 2000].all()


async def test_a_burst_after_a_stalled_network_belongs_to_the_pause() -> None:
    """TCP holds the caller's frames back for seconds, and brings them all at once when the pause is over."""
    from callpath.call.recorder import Recorder

    recorder = Recorder(8000, 0.0)
    recorder.pause(0.0)
    recorder.take(3000.0)
    recorder.resume(3000.0)
    for _ in range(100):  # two seconds of the pause, all at once
        recorder.receive(np.full(160, 7, np.int16), 8000, 3010.0)
    for number in range(1, 50):
        recorder.receive(np.full(160, 3, np.int16), 8000, 3010.0 + 20 * number)
    left, _ = recorder.finish(4100.0)

    assert 7 not in left.tolist()
    assert 3 in left.tolist()


async def test_a_pause_that_never_ends_is_silence_to_the_end(tmp_path: Path) -> None:
    """The caller hangs up while the card number is asked for."""

    async def handle(call: Call) -> None:
        recording = call.record(tmp_path / "call.wav")  # without await, as before December 2026
        await call._feed.clock.sleep_ms(1000)
        await recording.pause()
        await recording.pause()
        await asyncio.sleep(60)

    async with place_call(app_of(handle), say=tone(700, duration_ms=5000)) as caller:
        await caller.run(ms=3000)
        await caller.hang_up()
        (saved,) = (what for what in caller.timeline if isinstance(what, RecordingSaved))
    (left, _), _ = read_wav_sides(tmp_path / "call.wav")

    assert saved.duration_ms == pytest.approx(3000, abs=60)
    assert left[:7000].any() and not left[8100:].any()


@pytest.mark.parametrize(("track", "silent", "heard"), [("inbound", 1, 0), ("outbound", 0, 1)])
async def test_one_side_alone(tmp_path: Path, track: str, silent: int, heard: int) -> None:
    """Where only one party has agreed, the other's voice may not be kept."""

    async def handle(call: Call) -> None:
        call.record(tmp_path / "call.wav", track=track)  # type: ignore[arg-type]  # one of three words
        await call.play(tone(440, duration_ms=900))
        await asyncio.sleep(10)

    async with place_call(app_of(handle), say=tone(700, duration_ms=900)) as caller:
        await caller.run(ms=1000)
        await caller.hang_up()
    sides, _ = read_wav_sides(tmp_path / "call.wav")

    assert not sides[silent].any()
    assert sides[heard].any()


async def test_a_recording_that_was_stopped_is_a_file_and_another_can_follow(tmp_path: Path) -> None:
    """A voicemail box: the message, then the next one. The first file must not be written over."""
    results: list[Recorded] = []
    problems: list[str] = []

    async def handle(call: Call) -> None:
        first = await call.record()
        assert first.path == call.record(tmp_path / "ignored.wav").path
        await call._feed.clock.sleep_ms(1000)
        results.append(await first.stop())
        results.append(await first.stop())
        for ask in (first.pause, first.resume):
            with pytest.raises(InvalidRequestError) as raised:
                await ask()
            problems.append(raised.value.reason)
        second = await call.record()
        await call._feed.clock.sleep_ms(500)
        results.append(await second.stop())

    async with place_call(app_of(handle), say=tone(700, duration_ms=3000), data_dir=tmp_path) as caller:
        await caller.run(ms=2500)
    first, again, second = results

    assert first == again
    assert first and second and first.path != second.path
    assert pytest.approx(1000, abs=30) == first.duration_ms
    assert pytest.approx(500, abs=30) == second.duration_ms
    assert ["recording_over"] * 2 == problems
    assert first.path is not None and second.path is not None
    assert read_wav_sides(first.path)[0][0].any() and read_wav_sides(second.path)[0][0].any()
    assert 2 == sum(isinstance(what, RecordingSaved) for what in caller.timeline)
    assert not (tmp_path / "ignored.wav").exists()


async def test_a_folder_that_cannot_be_written_ends_a_recording_with_one_entry(tmp_path: Path) -> None:
    """The call goes on, pause and stop say what is, and a new recording may go elsewhere."""
    (tmp_path / "taken").write_text("a file where a folder is needed")
    results: list[Recorded] = []

    async def handle(call: Call) -> None:
        recording = await call.record(tmp_path / "taken" / "call.wav")
        await call._feed.clock.sleep_ms(200)
        assert recording.is_over
        with pytest.raises(InvalidRequestError, match="over"):
            await recording.pause()
        results.append(await recording.stop())
        results.append(await call.record(tmp_path / "call.wav").stop())

    async with place_call(app_of(handle), say=tone(700, duration_ms=500)) as caller:
        await caller.run(ms=1000)
    failed, other = results

    assert ("failed", "REC008", None) == (failed.status, failed.code, failed.path)
    assert other
    assert 1 == sum(isinstance(what, RecordingNotStored) for what in caller.timeline)


# --- Telnyx's own ----------------------------------------------------------------------------------------------------


def told(caller: HandlerUnderTest) -> list[type]:
    return [type(command) for command in caller.commands]


async def test_telnyx_records_and_tells_where_the_file_is() -> None:
    """Its address comes with a webhook after the stop, and is good for ten minutes."""
    results: list[Recorded] = []

    async def handle(call: Call) -> None:
        recording = await call.record_with_telnyx(format="mp3", channels="single", track="inbound", max_s=60)
        with pytest.raises(InvalidRequestError) as raised:
            await call.record_with_telnyx()
        assert "second_recording" == raised.value.reason
        await recording.pause()
        await recording.pause()
        await asyncio.sleep(1)
        await recording.resume()
        await asyncio.sleep(1)
        results.append(await recording.stop())
        with pytest.raises(InvalidRequestError, match="over"):
            await recording.pause()
        results.append(await (await call.record_with_telnyx()).stop())

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=4000)
    first, second = results

    assert first and second
    assert {"mp3": "https://recordings.example.com/1.mp3"} == first.urls
    assert {"wav": "https://recordings.example.com/2.wav"} == second.urls
    assert 2000 == pytest.approx(first.duration_ms, abs=50)
    assert "recording-1" == first.recording_id
    pausing = [RecordStart, RecordPause, RecordResume, RecordStop]
    assert [*pausing, RecordStart, RecordStop] == [kind for kind in told(caller) if kind.__name__.startswith("Record")]
    start = caller.commands[0]
    assert isinstance(start, RecordStart)
    assert ("mp3", "single", "inbound", 60) == (start.format, start.channels, start.recording_track, start.max_length)


async def test_a_recording_that_the_hangup_ends_is_told_to_a_handler_that_cleans_up() -> None:
    """call.recording.saved comes after call.hangup: the handler is cancelled already."""
    results: list[Recorded] = []

    async def handle(call: Call) -> None:
        recording = await call.record_with_telnyx()
        try:
            await asyncio.sleep(60)
        finally:
            results.append(await recording.saved(within_s=4))

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=1000)
        await caller.hang_up()

    assert ["saved"] == [result.status for result in results]


async def test_telnyx_may_fail_to_save_or_say_nothing() -> None:
    """Nothing waits forever, and what failed is not taken for the next recording's end."""
    results: list[Recorded] = []

    async def handle(call: Call) -> None:
        recording = await call.record_with_telnyx()
        await call.app.state.told.wait()
        results.append(await recording.stop())
        quiet = await call.record_with_telnyx()
        results.append(await quiet.saved(within_s=3))

    app = app_of(handle)
    app.state.told = asyncio.Event()
    async with place_call(app) as caller:
        await caller.event("call.recording.error", reason="Internal server error")
        app.state.told.set()
        await caller.run(ms=5000)
    failed, unknown = results

    assert ("failed", "Internal server error") == (failed.status, failed.detail)
    assert "unknown" == unknown.status


async def test_a_refused_recording_leaves_nothing_behind() -> None:
    """90020: the audio has not begun. The handler may ask again."""
    problems: list[str | None] = []

    async def handle(call: Call) -> None:
        for _ in range(2):
            try:
                await call.record_with_telnyx()
            except ControlError as error:
                problems.append(error.code)
        with pytest.raises(InvalidRequestError, match="14,400"):
            await call.record_with_telnyx(max_s=20_000)

    async with place_call(app_of(handle), refuse={"record_start": "90020"}) as caller:
        await caller.run(ms=500)

    assert ["90020", "90020"] == problems
