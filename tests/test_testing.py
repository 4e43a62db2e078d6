"""Handlers under test with no network: the very way in which users test theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.feed import CallFacts, CallFeed
from callpath.api.files import Files
from callpath.audio.codec import CODECS
from callpath.audio.g711 import G711Encoder
from callpath.audio.level import level_dbfs
from callpath.audio.pcm import as_pcm
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.call.session import CallSession
from callpath.call.stream import AudioReceived, DtmfPressed, MarkHandedBack, MediaStream
from callpath.clock import Clock, ManualClock
from callpath.errors import AudioError, LocalProtocolError
from callpath.server.builtin import BUILTIN
from callpath.testing import Pair, place_call
from callpath.timeline import Noted, PlayoutCleared, RecordingSaved, What
from callpath.wire.command import Command, Encoding, Hangup, Speak, StreamingStop, Transfer
from callpath.wire.ids import CallControlId, SessionId

WIRES = [
    (encoding, rate_hz)
    for encoding, codec in CODECS.items()
    if codec.open_encoder is not None
    for rate_hz in codec.rates_hz
]


async def test_echo_by_sound() -> None:
    """The built-in echo, on the real stream code."""
    speech = tone(700, duration_ms=1000)
    async with place_call(BUILTIN["echo"](), say=speech) as caller:
        await caller.run(ms=1500)

        assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.99


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "G722", "OPUS", "L16"])
async def test_speech_is_the_same_on_a_leg_of_any_codec(encoding: Encoding) -> None:
    """It is given at 8 kHz: on a wideband leg it was twice as high, and the pause after it empty chunks, or a howl."""
    if encoding in ("G722", "OPUS"):
        pytest.importorskip("av")
    speech = tone(700, duration_ms=1000)
    async with place_call(BUILTIN["echo"](), say=speech, encoding=encoding) as caller:
        await caller.run(ms=2000)

        assert dominant_frequency_hz(caller.heard[: 8 * 900], 8000) == pytest.approx(700, abs=3)
        assert level_dbfs(caller.heard[8 * 1200 : 8 * 1900]) < -60
        assert caller.call is not None
        assert caller.call.played_ms == pytest.approx(2000, abs=60)


async def test_tone_by_sound() -> None:
    """The built-in tone is 440 Hz."""
    async with place_call(BUILTIN["tone"]()) as caller:
        await caller.run(ms=2000)

        assert caller.heard_hz() == pytest.approx(440, abs=3)


async def test_record_by_sound(tmp_path: Path) -> None:
    """The built-in recorder writes what the caller said, and tells the timeline where."""
    from callpath.audio.wav import read_wav

    speech = tone(700, duration_ms=1000)
    async with place_call(BUILTIN["record"](), say=speech, data_dir=tmp_path) as caller:
        await caller.run(ms=1200)
        await caller.hang_up()
        (saved,) = (what for what in caller.timeline if isinstance(what, RecordingSaved))
        recorded, rate_hz = read_wav(saved.path)

        assert rate_hz == 8000
        assert saved.duration_ms == pytest.approx(1200, abs=40)
        assert find_delay_ms(speech, recorded, 8000).correlation > 0.99


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 24000, 48000])
async def test_audio_comes_and_goes_at_the_rate_asked_for(sample_rate_hz: int) -> None:
    """An engine that wants 16 or 24 kHz must not hear chipmunks, nor make the caller hear them."""
    app = App()
    heard: list[bytes] = []

    @app.call(sample_rate_hz=sample_rate_hz)
    async def handle(call: Call) -> None:
        async for chunk in call.audio:
            heard.append(chunk)
            await call.play(chunk)

    speech = tone(700, duration_ms=1000)
    async with place_call(app, say=speech) as caller:
        await caller.run(ms=1500)

        assert {len(chunk) for chunk in heard} == {sample_rate_hz // 50 * 2}
        assert caller.heard_hz() == pytest.approx(700, abs=3)
        assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.98


@pytest.mark.parametrize(("encoding", "rate_hz"), WIRES)
@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 24000, 48000])
async def test_a_tone_is_found_again_from_every_wire_to_every_handler_and_back(
    encoding: Encoding, rate_hz: int, sample_rate_hz: int
) -> None:
    """A rate that is wrong at one of these seams is half speed or double speed, for those who have just this pair."""
    if encoding in ("G722", "OPUS"):
        pytest.importorskip("av")
    pair = Pair(encoding=encoding, rate_hz=rate_hz, play_encoding=encoding, play_rate_hz=rate_hz)
    ear_hz = pair.server.play_rate_hz  # of this codec's PCM, both ways
    spoken = tone(700, duration_ms=400, sample_rate_hz=ear_hz)
    pair.say(spoken)
    pair.run(ms=0)
    start = pair.server.start
    assert start is not None
    feed = CallFeed(
        CallFacts.of(SessionId("s"), None, start, Path()),
        sample_rate_hz=sample_rate_hz,
        backend=Quiet(),
        clock=ManualClock(),
        files=Files.inline(),
    )
    feed.attach(pair.server, Queueing(pair.server))
    call = Call(feed)
    heard: list[bytes] = []
    for _ in range(20):
        for event in pair.run(ms=20):
            assert isinstance(event, AudioReceived)
            feed.receive(event)
            heard.append(await anext(call.audio))
            await call.play(heard[-1])
    pair.run(ms=100)
    came = np.frombuffer(b"".join(heard), np.int16)

    assert {sample_rate_hz // 50 * 2} == {len(chunk) for chunk in heard}
    assert dominant_frequency_hz(came, sample_rate_hz) == pytest.approx(700, abs=3)
    assert dominant_frequency_hz(pair.heard(), ear_hz) == pytest.approx(700, abs=3)
    assert level_dbfs(came[came.size // 2 :]) == pytest.approx(level_dbfs(spoken), abs=0.5)


class Quiet:
    """A line on which nothing is asked for."""

    session = CallSession(SessionId("s"))

    async def send(self, command: Command, leg: CallControlId | None = None) -> str:
        raise AssertionError(command)

    def note(self, what: What) -> None:
        raise AssertionError(what)


class Queueing:
    """An outlet whose stream is carried by its `Pair`."""

    def __init__(self, stream: MediaStream) -> None:
        self.play_payload = stream.play_payload
        self._stream = stream

    def play(self, audio: bytes) -> None:
        self._stream.play(as_pcm(audio))

    def flush(self) -> None: ...


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


async def test_a_handler_that_returns_is_heard_to_the_end() -> None:
    """Its last sentence must not be cut off."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=500))

    async with place_call(app) as caller:
        await caller.run(ms=400)
        assert not caller.returned
        await caller.run(ms=300)

        assert caller.returned
        assert np.abs(caller.heard[8 * 440 : 8 * 480]).max() > 1000


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


async def test_barge_in() -> None:
    """Clear stops at once, and says how much was really heard."""
    app = App()
    heard_ms: list[float] = []

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=300))
        async for event in call.events:
            if isinstance(event, DtmfPressed):
                heard_ms.append(await call.clear())

    async with place_call(app) as caller:
        await caller.run(ms=200)
        caller.press("1")
        await caller.run(ms=500)

        assert heard_ms == [pytest.approx(200, abs=25)]
        assert np.abs(caller.heard[8 * 250 :]).max() == 0
        assert any(isinstance(what, PlayoutCleared) for what in caller.timeline)


async def test_marks_come_back_as_events() -> None:
    """Heard when reached; not heard when cleared."""
    app = App()
    events: list[object] = []

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=200))
        await call.mark("first")
        await call.play(tone(440, duration_ms=200))
        await call.mark("second")
        async for event in call.events:
            events.append(event)
            if event == MarkHandedBack("first", heard=True):
                await call.clear()

    async with place_call(app) as caller:
        await caller.run(ms=1000)

        assert events == [MarkHandedBack("first", heard=True), MarkHandedBack("second", heard=False)]


async def test_play_takes_files_arrays_bytes_and_iterators(tmp_path: Path) -> None:
    """In order, each at its own rate."""
    from callpath.audio.wav import write_wav

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


async def test_commands_and_notes() -> None:
    """What a handler asks of Telnyx."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        call.note("hello")
        await call.speak("One moment, please")
        await call.transfer("+15555550100")
        await call.hangup()

    async with place_call(app) as caller:
        await caller.run(ms=5000)

        assert [type(command) for command in caller.commands] == [Speak, Transfer, StreamingStop, Hangup]
        assert Noted(text="hello") in caller.timeline


async def test_the_audio_ends_with_the_call() -> None:
    """A handler that loops over it comes to its clean-up code."""
    app = App()
    cleaned: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        try:
            async for _ in call.audio:
                pass
        finally:
            cleaned.append(call.session_id)

    async with place_call(app) as caller:
        await caller.run(ms=100)
        await caller.hang_up()

        assert cleaned == ["session-1"]


async def test_a_slow_handler_loses_the_oldest_audio_and_it_is_counted() -> None:
    """A queue without an end would grow until the process dies."""
    app = App()
    calls: list[Call] = []

    @app.call
    async def handle(call: Call) -> None:
        calls.append(call)
        await anext(aiter(call.audio))
        await asyncio.Event().wait()

    async with place_call(app) as caller:
        await caller.run(ms=6000)

        assert calls[0].audio.dropped == pytest.approx(300 - 250, abs=2)
        assert calls[0].audio.behind == 250


def test_one_handler_an_app() -> None:
    """The second one would never be entered."""
    app = App()

    @app.call
    async def first(call: Call) -> None: ...

    with pytest.raises(LocalProtocolError, match="handler for all calls already"):

        @app.call
        async def second(call: Call) -> None: ...


def test_a_rate_that_no_codec_path_offers() -> None:
    """Named at once, at import, and not in the first call."""
    with pytest.raises(AudioError, match="44100"):
        App().call(sample_rate_hz=44100)


# --- several sources, raw calls, recordings --------------------------------------------------------------------------


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


async def test_both_sides_are_recorded_as_they_were_heard(tmp_path: Path) -> None:
    """Left the caller, right what he heard; what a barge-in took back is not in it."""
    from callpath.audio.wav import read_wav_sides

    app = App()

    @app.call
    async def handle(call: Call) -> None:
        call.record(tmp_path / "call.wav")
        await call.play(tone(440, duration_ms=200))
        await call.play(tone(1500, duration_ms=200))
        async for _ in call.events:
            await call.clear()

    speech = tone(700, duration_ms=800)
    async with place_call(app, say=speech) as caller:
        await caller.run(ms=300)
        caller.press("1")
        await caller.run(ms=700)
        await caller.hang_up()
        (saved,) = (what for what in caller.timeline if isinstance(what, RecordingSaved))
        heard = caller.heard
        (left, right), rate_hz = read_wav_sides(saved.path)

    assert rate_hz == 8000
    assert find_delay_ms(speech, left, 8000).correlation > 0.99
    ours = find_delay_ms(heard[: 8 * 300], right, 8000)
    assert ours.correlation > 0.98
    assert abs(ours.delay_ms) < 40
    assert np.abs(right[8 * 380 :]).max() == 0
