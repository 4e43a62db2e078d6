"""The end of an answering machine's greeting, by its sound."""

from __future__ import annotations

import numpy as np
import pytest

from callpath.audio.beep import BEEP_MS_MAX, SILENCE_MS, Greeting
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.pcm import Pcm
from callpath.audio.tone import sweep, tone

RATE = 8000


def silence(ms: int, rate: int = RATE) -> Pcm:
    return np.zeros(rate * ms // 1000, np.int16)


def hum(ms: int, seed: int = 0) -> Pcm:
    """Noise like a line's, at -70 dBFS."""
    return np.random.default_rng(seed).normal(0, 10, RATE * ms // 1000).astype(np.int16)


def heard(*sounds: Pcm, rate: int = RATE, chunk: int = 160) -> tuple[Greeting, float | None]:
    """The listener after all of it, and when it said that the greeting is over (ms)."""
    greeting, sound = Greeting(rate), np.concatenate(sounds)
    for start in range(0, sound.size, chunk):
        if greeting.push(sound[start : start + chunk]):
            return greeting, (start + chunk) * 1000 / rate
    return greeting, None


@pytest.mark.parametrize("hertz", [400, 425, 440, 620, 950, 1000, 1400, 1750, 2000])
@pytest.mark.parametrize("ms", [200, 350, 1000, 2000])
def test_a_beep_is_heard_when_it_is_over(hertz: float, ms: int, speech_8k: Pcm) -> None:
    """What is said into it is lost."""
    before = np.concatenate((speech_8k, hum(300)))
    greeting, at_ms = heard(before, tone(hertz, duration_ms=ms), hum(200))
    ends_ms = before.size * 1000 / RATE + ms

    assert greeting.beeped
    assert at_ms is not None
    assert ends_ms - 20 <= at_ms <= ends_ms + 60


@pytest.mark.parametrize("level_dbfs", [-6, -20, -30])
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_a_beep_is_heard_at_each_rate_and_level(rate: int, level_dbfs: float) -> None:
    """A handler chooses its rate, a machine its loudness."""
    sounds = (
        silence(500, rate),
        tone(850, duration_ms=400, sample_rate_hz=rate, level_dbfs=level_dbfs),
        silence(200, rate),
    )

    assert heard(*sounds, rate=rate, chunk=rate // 50)[0].beeped


def test_a_beep_in_noise_and_through_the_phones_codec_is_heard() -> None:
    """20 dB above the noise, in µ-law."""
    clean = np.concatenate((silence(500), tone(1000, duration_ms=500, level_dbfs=-20), silence(300)))
    noise = np.random.default_rng(1).normal(0, 32768 * 10 ** (-40 / 20), clean.size)
    payload = open_encoder("PCMU", RATE).encode((clean + noise).astype(np.int16))
    line = open_decoder("PCMU", RATE).decode(payload)

    assert heard(line)[0].beeped


@pytest.mark.parametrize("chunk", [1, 7, 80, 160, 333, 4000])
def test_how_the_sound_is_cut_changes_nothing(chunk: int) -> None:
    """A stream brings 20 ms, a packet that was late brings more."""
    assert heard(silence(300), tone(1000, duration_ms=300), silence(300), chunk=chunk)[0].beeped


def dual(one: float, other: float, ms: int) -> Pcm:
    return (tone(one, duration_ms=ms, level_dbfs=-15) + tone(other, duration_ms=ms, level_dbfs=-15)).astype(np.int16)


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(dual(770, 1336, 300), id="the key 5"),
        pytest.param(dual(480, 620, 500), id="busy, in America"),
        pytest.param(tone(2100, duration_ms=3000), id="a fax answers"),
        pytest.param(tone(1000, duration_ms=BEEP_MS_MAX + 500), id="a tone that does not end"),
        pytest.param(tone(1000, duration_ms=60), id="a click"),
        pytest.param(tone(200, duration_ms=500), id="a deep hum"),
        pytest.param(tone(1000, duration_ms=500, level_dbfs=-60), id="from the next room"),
        pytest.param(sweep(500, 1500, duration_ms=800), id="a siren"),
        pytest.param(np.random.default_rng(2).normal(0, 3000, 8000).astype(np.int16), id="noise"),
    ],
)
def test_other_sounds_are_no_beep(sound: Pcm) -> None:
    """A message that begins in the middle of the greeting is cut off."""
    assert not heard(silence(300), sound, silence(500))[0].beeped


def test_speech_is_no_beep(speech_8k: Pcm) -> None:
    """At any pitch: played faster and slower, for voices of men and children."""
    for factor in (0.6, 0.8, 1.0, 1.3, 1.7, 2.2):
        at = np.arange(0, speech_8k.size - 1, factor)
        assert not heard(np.interp(at, np.arange(speech_8k.size), speech_8k).astype(np.int16))[0].beeped, factor


def test_silence_after_speech_is_an_end(speech_8k: Pcm) -> None:
    """Many machines do not beep."""
    greeting, at_ms = heard(speech_8k, hum(SILENCE_MS + 1000))

    assert (greeting.beeped, greeting.silent) == (False, True)
    assert at_ms is not None
    assert at_ms <= speech_8k.size * 1000 / RATE + SILENCE_MS + 100


@pytest.mark.parametrize("pause_ms", [500, 2000, SILENCE_MS - 500])
def test_a_pause_is_no_end(pause_ms: int, speech_8k: Pcm) -> None:
    """Between "You have reached Ada." and "Leave a message"."""
    assert heard(speech_8k, hum(pause_ms), speech_8k)[1] is None


def test_silence_alone_is_no_end() -> None:
    """A machine takes its time before it speaks."""
    assert heard(hum(10_000))[1] is None
