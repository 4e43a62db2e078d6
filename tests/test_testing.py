"""Handlers under test with no network: the very way in which users test theirs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.feed import CallFacts, CallFeed
from callpath.api.files import Files
from callpath.audio.codec import CODECS
from callpath.audio.level import level_dbfs
from callpath.audio.pcm import as_pcm
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.call.session import CallSession
from callpath.call.stream import AudioReceived, DtmfPressed, MarkHandedBack, MediaStream
from callpath.clock import ManualClock
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
    stopping = False

    async def send(self, command: Command, leg: CallControlId | None = None, *, conference: str | None = None) -> str:
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
