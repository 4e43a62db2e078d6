"""What a call plays: any source, one after the other, until a clear; as a handler hears of it, and the caller hears it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.file_threads import InlineFiles
from callpath.api.playing import Player
from callpath.api.queue import AudioQueue
from callpath.api.sounds import Sound, Sounds
from callpath.audio.g711 import G711Encoder
from callpath.audio.pcm import as_pcm
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.audio.wav import write_wav
from callpath.call.stream import DtmfPressed, MarkHandedBack
from callpath.clock import Clock, ManualClock
from callpath.errors import AudioError
from callpath.testing import Pair, place_call


async def test_play_waits_for_room() -> None:
    """Else ten minutes of speech would be encoded and queued before the caller hears the first word."""
    app = App()
    done: list[float] = []

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=2000))
        done.append(call.played_ms)

    async with place_call(app) as caller:
        await caller.run(ms=1500)
        assert done == []
        await caller.run(ms=400)

        assert len(done) == 1
        assert done[0] == pytest.approx(1600, abs=60)


async def test_a_short_sound_is_heard_without_a_pause_in_it() -> None:
    """90 ms are no whole frames: when the handler waits for the end, nothing more comes that could fill the last one."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await call.play(np.full(720, 5000, np.int16))
        await call.finished()

    async with place_call(app) as caller:
        await caller.run(ms=200)
        heard = np.flatnonzero(caller.heard > 4000)

    assert 720 == heard.size
    assert 719 == heard[-1] - heard[0]


async def test_play_takes_files_arrays_bytes_and_iterators(tmp_path: Path) -> None:
    """In order, each at its own rate."""

    write_wav(tmp_path / "a.wav", tone(500, duration_ms=200, sample_rate_hz=16000), 16000)
    app = App()

    async def pieces() -> AsyncIterator[bytes]:
        audio = tone(1500, duration_ms=200).tobytes()
        for start in range(0, len(audio), 62):  # of odd length on purpose
            yield audio[start : start + 62]

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tmp_path / "a.wav")
        await call.play(tone(1000, duration_ms=200, sample_rate_hz=24000), sample_rate_hz=24000)
        await call.play(pieces())

    async with place_call(app) as caller:
        await caller.run(ms=1000)
        heard = caller.heard
        assert [round(dominant_frequency_hz(heard[8 * at : 8 * (at + 120)], 8000), -1) for at in (60, 260, 460)] == [
            500,
            1000,
            1500,
        ]


async def test_an_iterator_may_cut_within_a_sample() -> None:
    """An engine's answer read from HTTP comes in pieces as the network cut them; half of all are of odd length."""
    app = App()
    speech = tone(700, duration_ms=600)

    async def pieces(audio: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(audio), 333):
            yield audio[start : start + 333]

    @app.call
    async def handle(call: Call) -> None:
        await call.play(pieces(speech.tobytes()))
        with pytest.raises(AudioError, match="half a sample"):
            await call.play(pieces(b"odd"))

    async with place_call(app) as caller:
        await caller.run(ms=1000)

        assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.99


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(b"odd", id="half a sample"),
        pytest.param("missing.wav", id="no file"),
        pytest.param(np.zeros(160, np.float32), id="floats"),
        pytest.param(np.zeros((160, 2), np.int16), id="stereo"),
    ],
)
async def test_audio_that_cannot_be_played(wrong: object, tmp_path: Path) -> None:
    """A clear error in the handler, at the line that did it."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await call.play(wrong)  # type: ignore[arg-type]

    with pytest.raises(AudioError):
        async with place_call(app) as caller:
            await caller.run(ms=100)


@pytest.mark.parametrize("rate_hz", [16, 8, -8000, 200_000])
async def test_a_rate_that_cannot_be_played(rate_hz: int) -> None:
    """Kilohertz taken for hertz: said every time. The second piece was played at the speed of the one before."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        for audio in (bytes(2), bytes(2), bytes(320), tone(440, duration_ms=100)):
            with pytest.raises(AudioError, match=f"{rate_hz} "):
                await call.play(audio, sample_rate_hz=rate_hz)

    async with place_call(app) as caller:
        await caller.run(ms=100)

        assert caller.returned


async def test_sources_are_heard_one_after_the_other() -> None:
    """Two tasks that speak at the same time must not be mixed word by word."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call.play(tone(500, duration_ms=1000)))
            tasks.create_task(call.play(tone(1500, duration_ms=1000)))

    async with place_call(app) as caller:
        await caller.run(ms=2300)

        assert [
            round(dominant_frequency_hz(caller.heard[8 * at : 8 * (at + 800)], 8000), -1) for at in (100, 1100)
        ] == [
            500,
            1500,
        ]


async def test_a_chunk_does_not_overtake_a_source_that_waits() -> None:
    """The next short word of the task that has just spoken would be heard before the sentence that was asked for first."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        async def speech() -> AsyncIterator[bytes]:
            yield tone(500, duration_ms=200).tobytes()
            await clock_of(call).sleep_ms(300)

        async def first_and_last() -> None:
            await call.play(speech())
            await call.play(tone(2500, duration_ms=100).tobytes())

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first_and_last())
            tasks.create_task(call.play(tone(1500, duration_ms=300)))

    async with place_call(app) as caller:
        await caller.run(ms=1200)

        heard = caller.heard
        assert [round(dominant_frequency_hz(heard[8 * at : 8 * (at + 60)], 8000), -2) for at in (50, 400, 630)] == [
            500,
            1500,
            2500,
        ]


def clock_of(call: Call) -> Clock:
    return call._feed.clock


async def test_an_interrupting_source_is_heard_at_once() -> None:
    """An alarm must not wait for the end of a long sentence; the sentence learns that it was cut off."""
    app = App()
    finished: list[bool] = []

    @app.call
    async def handle(call: Call) -> None:
        async def sentence() -> None:
            finished.append(bool(await call.play(tone(500, duration_ms=5000))))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sentence())
            async for event in call.events:
                if isinstance(event, DtmfPressed):
                    finished.append(bool(await call.play(tone(1500, duration_ms=500), interrupt=True)))
                    break

    async with place_call(app) as caller:
        await caller.run(ms=1000)
        caller.press("1")
        await caller.run(ms=1000)

        assert sorted(finished) == [False, True]
        assert round(dominant_frequency_hz(caller.heard[8 * 1100 : 8 * 1500], 8000), -1) == 1500
        assert np.abs(caller.heard[8 * 1600 :]).max() == 0


@pytest.mark.parametrize("interrupt", [True, False])
async def test_a_source_that_was_cut_off_holds_nobody_up(interrupt: bool) -> None:
    """An engine that is still thinking when the caller barges in has the turn: the next answer must not wait for it."""
    app = App()
    finished: list[tuple[str, bool]] = []

    @app.call
    async def handle(call: Call) -> None:
        async def speech() -> AsyncIterator[bytes]:
            yield tone(500, duration_ms=100).tobytes()
            await clock_of(call).sleep_ms(3000)

        async def speak() -> None:
            finished.append(("speech", bool(await call.play(speech()))))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            await clock_of(call).sleep_ms(500)
            if not interrupt:
                await call.clear()
            finished.append(("alarm", bool(await call.play(tone(1500, duration_ms=200), interrupt=interrupt))))

    async with place_call(app) as caller:
        await caller.run(ms=800)
        heard = caller.heard
        await caller.run(ms=3000)

        assert round(dominant_frequency_hz(heard[8 * 550 : 8 * 650], 8000), -2) == 1500
        assert finished == [("alarm", True), ("speech", False)]


@pytest.mark.parametrize("interrupt", [True, False])
async def test_an_iterator_that_never_yields_again_is_cut_off_and_closed(interrupt: bool) -> None:
    """An engine that has stalled held up whoever played it for the rest of the call, though the caller had barged in."""
    app = App()
    done: list[object] = []

    @app.call
    async def handle(call: Call) -> None:
        async def speech() -> AsyncIterator[bytes]:
            try:
                yield tone(500, duration_ms=100).tobytes()
                await asyncio.Event().wait()
            finally:
                done.append("closed")

        async def speak() -> None:
            done.append(bool(await call.play(speech())))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            await clock_of(call).sleep_ms(500)
            if interrupt:
                await call.play(bytes(320), interrupt=True)
            else:
                await call.clear()

    async with place_call(app) as caller:
        await caller.run(ms=600)

        assert done == ["closed", False]


async def test_an_iterator_that_waits_for_room_is_closed_by_a_cut() -> None:
    """It holds the engine's connection, and would hold it until the garbage collector comes by."""
    app = App()
    done: list[object] = []

    @app.call
    async def handle(call: Call) -> None:
        async def speech() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield tone(500, duration_ms=1000).tobytes()
            finally:
                done.append("closed")

        source = speech()

        async def speak() -> None:
            done.append(bool(await call.play(source)))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            await clock_of(call).sleep_ms(500)
            await call.clear()

    async with place_call(app) as caller:
        await caller.run(ms=600)

        assert done == ["closed", False]


async def test_a_cancelled_handler_cancels_the_iterator_that_it_plays() -> None:
    """The call is over: an engine that goes on costs money, and one that is cut off at that moment must not go on
    either."""
    app = App()
    done: list[str] = []

    async def speech(name: str) -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        except asyncio.CancelledError:
            done.append(name)
            raise

    @app.call
    async def handle(call: Call) -> None:
        for name in ("one", "two"):
            played = asyncio.create_task(call.play(speech(name)))
            await clock_of(call).sleep_ms(100)
            if name == "two":
                await call.clear()
            played.cancel()
            with pytest.raises(asyncio.CancelledError):
                await played
        await call.play(speech("three"))

    async with place_call(app) as caller:
        await caller.run(ms=300)
        await caller.hang_up()

    assert done == ["one", "two", "three"]


async def test_what_an_iterator_raises_comes_out_of_play() -> None:
    """A handler that falls back to another engine looks for its engine's own exception."""
    app = App()
    raised: list[bool] = []
    error = OSError("the engine is gone")

    async def speech() -> AsyncIterator[bytes]:
        yield bytes(320)
        raise error

    @app.call
    async def handle(call: Call) -> None:
        try:
            await call.play(speech())
        except OSError as caught:
            raised.append(caught is error)

    async with place_call(app) as caller:
        await caller.run(ms=300)

    assert raised == [True]


async def test_clear_ends_a_source_that_is_still_playing() -> None:
    """Barge-in in the middle of a file: the rest of it must not come after the clear."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(call.play(tone(500, duration_ms=5000)))
            async for _ in call.events:
                await call.clear()
                break
        async for _ in call.events:
            pass

    async with place_call(app) as caller:
        await caller.run(ms=1000)
        caller.press("1")
        await caller.run(ms=1000)

        assert np.abs(caller.heard[8 * 1100 :]).max() == 0


async def test_a_lost_socket_is_no_end_of_the_books() -> None:
    """What was heard before it is heard still; and whoever waits for a mark that it held would wait for ever."""
    app = App()
    events: list[object] = []
    heard_ms: list[float] = []

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=300))
        await call.mark("first")
        async for event in call.events:
            if isinstance(event, DtmfPressed):
                heard_ms.append(await call.clear())
            else:
                events.append(event)

    async with place_call(app) as caller:
        await caller.run(ms=200)
        assert caller.call is not None and caller.call.stream is not None
        feed = caller.call._feed
        stream, sink = caller.call.stream, feed.player._sink
        feed.detach()
        await caller.run(ms=50)
        feed.receive(DtmfPressed("1"))
        feed.receive(DtmfPressed("1"))
        await caller.run(ms=50)
        feed.attach(stream, sink)

        assert events == [MarkHandedBack("first", heard=False)]
        assert heard_ms == [pytest.approx(200, abs=25), 0]


async def test_a_raw_call_gets_and_plays_payloads() -> None:
    """A bridge pays for no codec, and loses nothing by one."""
    app = App()
    payloads: list[bytes] = []

    @app.call(raw=True)
    async def handle(call: Call) -> None:
        async for payload in call.audio:
            payloads.append(payload)
            await call.play(payload)

    speech = tone(700, duration_ms=1000)
    async with place_call(app, say=speech) as caller:
        await caller.run(ms=1500)

        assert {len(payload) for payload in payloads} == {160}
        assert payloads[0] == G711Encoder("PCMU").encode(speech[:160])
        assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.99


async def test_a_raw_call_plays_payloads_of_any_length() -> None:
    """A recording of seconds is one payload to an engine. Sent as one, each left a hole of its length before the next, and
    was queued at once, however long."""
    app = App()
    payload = G711Encoder("PCMU").encode(tone(700, duration_ms=501))
    queued_ms: list[float] = []

    @app.call(raw=True)
    async def handle(call: Call) -> None:
        for _ in range(2):
            await call.play(payload)
            assert call.stream is not None
            queued_ms.append(call.stream.unheard_ms(clock_of(call).now_ms()))
        await call.play(b"")

    async with place_call(app) as caller:
        await caller.run(ms=1500)

        frames = np.abs(caller.heard[: 8 * 1500].reshape(-1, 160)).max(axis=1)
        loud = np.flatnonzero(frames > 1000)
        assert max(queued_ms) <= 400
        assert (loud[-1] - loud[0] + 1, len(loud)) == (51, 51)


async def test_a_raw_call_plays_no_pcm() -> None:
    """It would be noise to the caller."""
    app = App()

    @app.call(raw=True)
    async def handle(call: Call) -> None:
        await call.play(tone(700, duration_ms=100))

    with pytest.raises(AudioError, match="payloads"):
        async with place_call(app) as caller:
            await caller.run(ms=100)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
async def test_an_empty_piece_is_heard_at_once(rate_hz: int) -> None:
    """A speech service sends one now and then; at another rate than the phone's the handler failed on it."""
    app = App()
    states: list[tuple[bool, bool]] = []

    @app.call(sample_rate_hz=rate_hz)
    async def handle(call: Call) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            yield b""
            yield tone(440, duration_ms=100, sample_rate_hz=rate_hz).tobytes()
            yield b""

        for source in (b"", pieces()):
            playback = await call.play(source)
            await playback.heard()
            states.append((playback.finished, playback.cut))

    async with place_call(app) as caller:
        await caller.run(ms=1_000)

    assert states == [(True, False), (True, False)]


# --- the player itself, by literal times -----------------------------------------------------------------------------


class Audio(AudioQueue):
    """The caller's audio, whose reader is the task that plays, or is not."""

    def __init__(self, *, is_reader: bool) -> None:
        super().__init__(limit=10)
        self.is_reader = is_reader
        self.told: list[str] = []

    def pause(self) -> bool:
        self.told.append("pause")
        return self.is_reader

    def resume(self) -> None:
        self.told.append("resume")


class Heard(Sounds):
    """Files of a second each."""

    def __init__(self) -> None:
        super().__init__(InlineFiles())
        self.asked_hz: list[int] = []

    async def load(self, source: str | Path, rate_hz: int) -> Sound:
        self.asked_hz.append(rate_hz)
        return Sound(tone(440, duration_ms=1_000, sample_rate_hz=rate_hz), rate_hz)


class Line:
    """A player on a stream that sends nothing by itself, so that what it queues can be seen."""

    def __init__(self, *, rate_hz: int = 8000, raw: bool = False, is_reader: bool = False) -> None:
        self.clock = ManualClock()
        self.pair = Pair(raw=raw)
        self.pair.run(ms=0)
        self.stream = self.pair.server
        self.audio, self.sounds = Audio(is_reader=is_reader), Heard()
        self.player = Player(self.audio, self.sounds, self.clock, sample_rate_hz=rate_hz, raw=raw)
        self.written: list[int] = []
        """Lengths of what was queued."""

    def attach(self) -> None:
        self.player.attach(self.stream, self)

    def play(self, audio: bytes) -> None:
        self.written.append(len(audio))
        self.stream.play(as_pcm(audio))

    def play_payload(self, payload: bytes) -> None:
        self.written.append(len(payload))
        self.stream.play_payload(payload)

    def flush(self) -> None: ...

    async def run(self, ms: float) -> None:
        """Let time pass in frames, and the player go on."""
        for _ in range(int(ms // 20)):
            self.pair.run(20)
            self.player.make_room()
            await self.clock.advance(20)


async def test_two_pieces_are_queued_and_no_more() -> None:
    """What is queued on top of the stream's lead is lost by a clear, and was made for nothing."""
    line = Line()
    line.attach()
    playing = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    await line.clock.advance(0)
    queued = list(line.written), line.stream.playout.queued_ms, playing.done()
    await line.run(1_000)

    assert queued == ([1600, 1600], 200, False)
    assert [1600] * 10 == line.written
    assert (await playing).duration_ms == 1_000


async def test_a_source_of_another_rate_is_as_long_as_it_is() -> None:
    """In the stream's time: what was heard of it is what a speech service is told."""
    line = Line(rate_hz=24_000)
    line.attach()
    one = await line.player.play(tone(440, duration_ms=100, sample_rate_hz=24_000).tobytes(), 24_000)
    two = await line.player.play(tone(440, duration_ms=60, sample_rate_hz=16_000).tobytes(), 16_000)
    await line.run(120)
    heard_ms = one.heard_ms, two.heard_ms
    await line.run(100)

    assert [1600, 960] == line.written
    assert (one.duration_ms, two.duration_ms) == (100, 60)
    assert heard_ms == (100, 20)
    assert one.finished and two.finished


@pytest.mark.parametrize("rate_hz", [4000, 192_000])
async def test_the_lowest_and_the_highest_rate_are_played(rate_hz: int) -> None:
    """As the error for the next ones says."""
    line = Line()
    line.attach()
    playback = await line.player.play(tone(440, duration_ms=150, sample_rate_hz=rate_hz), rate_hz)
    for wrong in (3999, 192_001):
        with pytest.raises(AudioError, match=f"4000 to 192000 Hz, not at {wrong} Hz"):
            await line.player.play(tone(440, duration_ms=150), wrong)

    assert playback.duration_ms == 150


@pytest.mark.parametrize(
    ("payload_bytes", "written"),
    [(0, []), (1, [1]), (160, [160]), (800, [800]), (801, [160] * 4 + [161]), (4008, [160] * 24 + [168])],
)
async def test_how_a_payload_is_cut(payload_bytes: int, written: list[int]) -> None:
    """100 ms are queued as they are. Longer ones go out as frames, and what is left over goes with the last, since a
    frame of a few samples would be a hole behind it. One of nothing is nothing."""
    line = Line(raw=True)
    line.attach()
    playing = asyncio.ensure_future(line.player.play(bytes([0x55]) * payload_bytes, 8000))
    await line.run(1_000)

    assert written == line.written
    assert (await playing).duration_ms == payload_bytes / 8
    assert playing.result().finished


async def test_a_file_is_read_at_the_rate_of_the_stream() -> None:
    """So that it need not be resampled while it plays; before there is a stream, at the handler's."""
    line = Line(rate_hz=16_000)
    waiting = asyncio.ensure_future(line.player.play("hello.wav", 16_000))
    await line.clock.advance(0)
    without = list(line.written)
    line.attach()
    await line.run(1_200)
    again = asyncio.ensure_future(line.player.play("hello.wav", 16_000))
    await line.run(1_200)

    assert without == []
    assert [16_000, 8000] == line.sounds.asked_hz
    assert (await waiting).duration_ms == pytest.approx(1_000, abs=0.2)
    assert (await again).duration_ms == 1_000


async def test_a_stream_that_is_gone_takes_nothing() -> None:
    """What is played then waits for the next one, from where it was."""
    line = Line()
    line.attach()
    playing = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    await line.run(200)
    line.player.detach()
    before = len(line.written)
    await line.run(500)
    without = len(line.written)
    line.attach()
    await line.run(1_200)

    assert before == without < 10
    assert 10 == len(line.written)
    assert (await playing).duration_ms == 1_000


async def test_a_call_that_is_over_plays_nothing_more() -> None:
    """Neither what was begun nor what comes; and what was heard of it stays, however late that is asked."""
    line = Line()
    line.attach()
    one = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    two = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    connected = await line.player.connected()
    await line.clock.advance(0)
    await line.run(100)
    line.player.end()
    await line.clock.advance(0)
    written = len(line.written)
    late = [await line.player.play(source, 8000) for source in (bytes(320), tone(440, duration_ms=500))]
    begun = line.player.begin()
    heard_ms = (await one).heard_ms
    await line.run(1_000)

    assert connected is line.stream
    assert await line.player.connected() is None
    assert (written, [True] * 5) == (len(line.written), [one.cut for one in (await one, await two, *late, begun)])
    assert heard_ms == one.result().heard_ms == 100


async def test_a_source_that_begins_after_a_cut_is_not_cut() -> None:
    """And one that was announced before it is, even if it had not begun."""
    line = Line()
    line.attach()
    announced = line.player.begin()
    playing = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    await line.run(100)
    line.player.cut()
    line.stream.clear(line.clock.now_ms())
    written = len(line.written)
    late = await line.player.play(tone(440, duration_ms=500), 8000, announced)
    after = await line.player.play(tone(440, duration_ms=100), 8000)
    await line.run(200)

    assert (True, True) == ((await playing).cut, late.cut)
    assert late is announced
    assert after.finished
    assert written + 1 == len(line.written)


@pytest.mark.parametrize("is_reader", [True, False])
async def test_a_reader_that_plays_does_not_fall_behind(is_reader: bool) -> None:
    """It cannot read meanwhile; another task that plays says nothing about the reader. A chunk that is queued at once is no
    wait, also after a source that was one."""
    line = Line(is_reader=is_reader)
    line.attach()
    await line.player.play(bytes(320), 8000)
    at_once = list(line.audio.told)
    playing = asyncio.ensure_future(line.player.play(tone(440, duration_ms=1_000), 8000))
    await line.run(2_000)
    await playing
    await line.player.play(bytes(320), 8000)

    assert at_once == []
    assert line.audio.told == (["pause", "resume"] if is_reader else ["pause"])
