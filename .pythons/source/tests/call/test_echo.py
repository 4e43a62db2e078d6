"""Our own voice in the caller's audio; and all that only looks like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import callpath.simulator
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import tone
from callpath.audio.wav import read_wav
from callpath.call.echo import WINDOW_MS, Echo, EchoCheck
from callpath.call.stream import SymptomSeen
from callpath.testing import Pair

HELLO, HELLO_RATE_HZ = read_wav(Path(callpath.simulator.__file__).parent / "voices" / "hello.wav")
VOICE = resample_file_audio(HELLO, HELLO_RATE_HZ, 8000)
SPEECH = VOICE[8 * 300 : 8 * 2700]
OTHER = SPEECH[::-1]  # as speech-like, and nothing in common
QUIET = np.zeros(8 * 2400, np.int16)


def later(pcm: Pcm, ms: int, gain_db: float = 0.0) -> Pcm:
    return (np.concatenate((np.zeros(8 * ms, np.int16), pcm))[: pcm.size] * 10 ** (gain_db / 20)).astype(np.int16)


def told(heard: Pcm, sent: Pcm, encoding: str = "PCMU") -> Echo | None:
    """From two seconds of frames, as they go over the wire."""
    check = EchoCheck(0.0)
    for at in range(0, heard.size - 159, 160):
        check.heard(open_encoder(encoding, 8000).encode(heard[at : at + 160]), at / 8 + 20 + (at // 160 % 3) * 4)
        check.sent(open_encoder("PCMU", 8000).encode(sent[at : at + 160]), at / 8)
    assert check.complete(WINDOW_MS + 1)
    return check.echo(open_decoder(encoding, 8000).decode, open_decoder("PCMU", 8000).decode)


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
@pytest.mark.parametrize(("delay_ms", "gain_db"), [(60, 0.0), (310, -12.0), (900, -20.0)])
def test_an_echo_is_heard(encoding: str, delay_ms: int, gain_db: float) -> None:
    """A loudspeaker phone, or a bridge that sends us back: the bot talks to itself and stops at its own words."""
    found = told(later(SPEECH, delay_ms, gain_db), SPEECH, encoding)

    assert found is not None
    assert found.likeness > 0.8
    assert found.delay_ms == pytest.approx(delay_ms, abs=25)


def noise() -> Pcm:
    return (np.random.default_rng(1).normal(0, 2000, 8 * 2400)).astype(np.int16)


@pytest.mark.parametrize(
    ("heard", "sent"),
    [
        pytest.param(OTHER, SPEECH, id="two people"),
        pytest.param(SPEECH, later(SPEECH, 300), id="a handler that echoes"),
        pytest.param(tone(440, duration_ms=2400), tone(440, duration_ms=2400), id="tones"),
        pytest.param(tone(440, duration_ms=2400), SPEECH, id="a tone and speech"),
        pytest.param(noise(), SPEECH, id="noise"),
        pytest.param(QUIET, SPEECH, id="a silent caller"),
        pytest.param(SPEECH, QUIET, id="we are silent"),
        pytest.param(later(SPEECH, 100, -60.0), SPEECH, id="too faint to tell"),
        pytest.param((later(SPEECH, 100, -20.0) + OTHER // 2).astype(np.int16), SPEECH, id="speech over the echo"),
    ],
)
def test_what_proves_nothing_is_not_told(heard: Pcm, sent: Pcm) -> None:
    """A false alarm sends somebody after a fault that is not there."""
    size = min(heard.size, sent.size)

    assert told(heard[:size], sent[:size]) is None


def test_a_stream_tells_it_once() -> None:
    """Found by the looks of an ordinary call, told in its timeline, and not again every second."""
    pair = Pair()
    pair.server.play(VOICE)
    pair.say(later(VOICE, 400, -10.0))
    seen = []
    for _ in range(6):
        pair.run(ms=1000)
        may = pair.server.wants_analysis(pair.now_ms)
        seen += pair.server.on_second(pair.now_ms, waiting_ms=0.0, lag_ms=0.0, may_take_long=may)

    assert ["own_audio_heard"] == [event.symptom.slug for event in seen if isinstance(event, SymptomSeen)]


def test_what_is_gathered_is_bounded() -> None:
    """The next look may come late, or never: then it must not go on collecting."""
    check = EchoCheck(0.0)
    for number in range(1000):
        check.heard(bytes(160), 20.0 * number)
        check.sent(bytes(160), 20.0 * number)

    assert len(check._heard) == len(check._sent) == WINDOW_MS / 20 + 1
