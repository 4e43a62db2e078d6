from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.g711 import G711Decoder, G711Encoder
from callpath.audio.l16 import L16Encoder
from callpath.audio.level import Guess, guess_encoding, is_silence, level_dbfs, peak_dbfs
from callpath.audio.pcm import Pcm, saturate
from callpath.audio.tone import tone


@pytest.mark.parametrize("level", [-3.01, -12.0, -40.0, -70.0])
def test_level_of_a_sine_is_its_rms(level: float) -> None:
    """Thresholds for silence and clipping are set in these numbers."""
    assert abs(level_dbfs(tone(1000, duration_ms=100, level_dbfs=level)) - level) < 0.3


def test_corners() -> None:
    """No infinity may reach a report in JSON."""
    assert [-100.0, -100.0] == [level_dbfs(np.zeros(160, np.int16)), peak_dbfs(np.zeros(0, np.int16))]
    assert 0.0 == level_dbfs(np.full(160, -32768, np.int16))
    assert 0.0 == peak_dbfs(np.array([0, -32768], np.int16)), "the most negative sample has no positive twin"
    assert -100.0 == level_dbfs(np.array([1] + [0] * 99999, np.int16))


def test_silence_is_below_speech_and_above_line_noise() -> None:
    """Idle noise taken for speech hides a dead microphone."""
    noise = np.random.default_rng(1).normal(0, 32768 * 10 ** (-65 / 20), 8000).astype(np.int16)

    assert is_silence(noise)
    assert is_silence(np.zeros(0, np.int16))
    assert not is_silence(tone(300, duration_ms=100, level_dbfs=-45))
    assert not is_silence(noise, below_dbfs=-80)


# --- What is it really? -------------------------------------------------------------------------------------------


def payloads(octets: bytes, size: int = 160) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


ENCODINGS: dict[str, Callable[[Pcm], bytes]] = {
    "PCMU": G711Encoder("PCMU").encode,
    "PCMA": G711Encoder("PCMA").encode,
    "PCM16 little": L16Encoder(8000, "little").encode,
    "PCM16 big": L16Encoder(8000, "big").encode,
}
NAMELESS: dict[str, Callable[[Pcm], bytes]] = {
    "unsigned 8-bit": lambda pcm: ((pcm >> 8) + 128).astype(np.uint8).tobytes(),
    "signed 8-bit": lambda pcm: (pcm >> 8).astype(np.int8).tobytes(),
    "float": lambda pcm: (pcm / 32768).astype("<f4").tobytes(),
    "compressed": lambda pcm: zlib.compress(pcm.tobytes(), 9),
}
LEVELS_DBFS = (-12.0, -25.0, -40.0)


def at_level(pcm: npt.NDArray[np.float64], level: float) -> Pcm:
    rms = np.sqrt(np.mean(np.square(pcm.astype(np.float64))))
    return saturate(pcm / rms * 32768 * 10 ** (level / 20))


def sounds(speech: Pcm) -> dict[str, npt.NDArray[np.float64]]:
    at = np.arange(8000) / 8000
    noise = np.random.default_rng(5)
    chord = [
        np.sin(2 * np.pi * frequency_hz * at) * np.exp(-3 * ((3 * at + beat) % 1))
        for beat, frequency_hz in enumerate((220.0, 277.2, 329.6, 440.0, 554.4, 659.3))
    ]
    return {
        "speech": speech[:8000].astype(np.float64),
        "speech in noise": speech[:8000] + noise.normal(0, 100, 8000),
        "speech, then a pause": np.concatenate((speech[:3000], noise.normal(0, 8, 5000))),
        "tone": np.sin(2 * np.pi * 443 * at),
        "ringback": np.sin(2 * np.pi * 440 * at) + np.sin(2 * np.pi * 480 * at),
        "DTMF": np.sin(2 * np.pi * 770 * at) + np.sin(2 * np.pi * 1336 * at),
        "music": np.sum(chord, axis=0) + noise.normal(0, 0.02, 8000),
    }


@pytest.mark.parametrize("level", LEVELS_DBFS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoding_is_told_by_its_sound(encoding: str, level: float, speech_8k: Pcm) -> None:
    """PCMA under the name of PCMU is loud static; this is how the doctor names the fault."""
    for name, sound in sounds(speech_8k).items():
        guess = guess_encoding(payloads(ENCODINGS[encoding](at_level(sound, level))))

        if encoding.startswith("PCM16") and name == "DTMF" and level > -20:
            assert guess.content in (encoding, "unknown"), name  # two steady tones leave too few byte values
        else:
            assert encoding == guess.content, name
            assert 0 < guess.confidence <= 1


@pytest.mark.parametrize("encoding", [*ENCODINGS, *NAMELESS])
def test_noise_is_not_guessed(encoding: str) -> None:
    """White noise is alike in every encoding: a name for it would be a lie."""
    noise = np.random.default_rng(6).normal(0, 1, 8000)
    for level in LEVELS_DBFS:
        octets = (ENCODINGS | NAMELESS)[encoding](at_level(noise, level))

        assert guess_encoding(payloads(octets)).content in (encoding, "unknown", "silence")


@pytest.mark.parametrize("frequency_hz", [60, 100, 220, 615, 800])
def test_a_buzzer_gets_no_wrong_name(frequency_hz: int) -> None:
    """It repeats itself in every reading, and some are smoother than the right one: a hold tone would be a wrong law."""
    at = np.arange(3200) / 8000
    saw = 2 * (at * frequency_hz % 1) - 1
    for level in (-3.0, -12.0, -15.0, -20.0, -25.0):
        for encoding in ("PCMU", "PCMA"):
            for wave in (np.sign(saw), saw, np.abs(saw) - 0.5):
                guess = guess_encoding(payloads(ENCODINGS[encoding](at_level(wave, level))))

                assert guess.content in (encoding, "unknown"), (level, guess)


def test_a_square_wave_that_was_alaw_gets_no_wrong_name() -> None:
    """Its 16-bit samples are so few and round that mu-law is the smoother reading."""
    alaw = ENCODINGS["PCMA"](saturate(np.sign(np.sin(np.arange(3200) * np.pi / 10 + 0.1)) * 10361))
    octets = ENCODINGS["PCM16 little"](G711Decoder("PCMA").decode(alaw))

    assert guess_encoding(payloads(octets, 320)).content in ("PCM16 little", "unknown")


@pytest.mark.parametrize("encoding", NAMELESS)
def test_what_has_no_name_gets_none(encoding: str, speech_8k: Pcm) -> None:
    """A wrong name sends somebody after the wrong fault."""
    for name, sound in sounds(speech_8k).items():
        for level in LEVELS_DBFS:
            guess = guess_encoding(payloads(NAMELESS[encoding](at_level(sound, level))))

            assert guess.content in ("unknown", "silence"), (name, level, guess)


@pytest.mark.parametrize("name", ["g722.hex", "opus.hex", "amr-wb-octet-aligned.hex"])
def test_other_codecs_are_unknown(name: str, golden_payloads: Callable[[str], list[bytes]]) -> None:
    """Their bytes look like noise in every reading."""
    assert Guess("unknown", 0.0) == replace(guess_encoding(golden_payloads(name)), evidence={})


def test_files_and_texts_sent_as_audio(golden: Path) -> None:
    """The commonest mistakes of a new handler: a whole file, or bytes encoded once too often."""
    g711 = payloads((golden / "pcmu.raw").read_bytes()[:4000])
    mp3 = (golden / "speech.mp3").read_bytes()

    assert "WAV header" == guess_encoding(payloads((golden / "speech-8k.wav").read_bytes())).content
    assert "MP3" == guess_encoding(payloads(mp3)).content
    assert "MP3" == guess_encoding(payloads(mp3[300:])).content, "from the middle"
    assert "hex text" == guess_encoding([payload.hex().encode() for payload in g711]).content
    assert "base64 text" == guess_encoding([base64.b64encode(payload) for payload in g711]).content
    assert "base64 text" == guess_encoding([base64.urlsafe_b64encode(payload) for payload in g711]).content


def test_a_periodic_tone_is_no_mp3() -> None:
    """1100 Hz in PCMA repeats what looks like a frame header, at just the right distance."""
    pcm = tone(1100, duration_ms=1000, level_dbfs=-30)

    assert "PCMA" == guess_encoding(payloads(G711Encoder("PCMA").encode(pcm))).content


@pytest.mark.parametrize("octet", [0xFF, 0xD5, 0x00, 0x80])
def test_silence_has_no_encoding(octet: int) -> None:
    """Nothing is to be heard in any reading, and to name that is an answer too."""
    guess = guess_encoding([bytes([octet]) * 160] * 50)

    assert ("silence", 1.0) == (guess.content, guess.confidence)


def test_too_little_is_unknown(speech_8k: Pcm) -> None:
    """A tenth of a second is one sound, which may fit anything."""
    assert "unknown" == guess_encoding([]).content
    assert "unknown" == guess_encoding(payloads(G711Encoder("PCMU").encode(speech_8k[3000:3800]))).content


def test_odd_payloads_are_no_16_bit_samples(speech_8k: Pcm) -> None:
    """Cut at odd places, the reading would swap its bytes from payload to payload."""
    octets = ENCODINGS["PCM16 little"](speech_8k)

    assert "PCM16 little" == guess_encoding(payloads(octets, 320)).content
    assert "unknown" == guess_encoding(payloads(octets, 321)).content


def test_evidence_can_be_printed(speech_8k: Pcm) -> None:
    """The report shows why: the gain of every reading."""
    guess = guess_encoding(payloads(G711Encoder("PCMU").encode(speech_8k)))

    assert guess.evidence["PCMU gain_db"] == max(guess.evidence.values())
    assert json.loads(json.dumps(guess.evidence)) == guess.evidence


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_any_bytes_get_an_answer(chunks: list[bytes]) -> None:
    """The doctor must not fall over the very bytes it is asked about."""
    assert 0.0 <= guess_encoding(chunks).confidence <= 1.0
