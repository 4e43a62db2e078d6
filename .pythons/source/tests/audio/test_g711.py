from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from callpath.audio.g711 import SILENCE_BYTE, G711Decoder, G711Encoder, Law, autocorrelation, peak
from callpath.audio.pcm import Pcm

EVERY_SAMPLE = np.arange(65536, dtype=np.uint16).view(np.int16)
EVERY_CODE = bytes(range(256))


def sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


@pytest.mark.parametrize(
    ("law", "decoded", "encoded"),
    [
        (
            "PCMU",
            "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
            "617fa4850d68d3906597e949f7625fb2fc46db479e29707f33159b3d131721cb",
        ),
        (
            "PCMA",
            "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
            "f77c76aa923ee25617453f87514828a12896227f82ff383bf3bb53d6ac7c2a0f",
        ),
    ],
)
def test_every_value(law: Law, decoded: str, encoded: str) -> None:
    """One wrong entry is a click whenever the voice passes it. The sums are those of CPython 3.11's audioop, 2026-11."""
    assert decoded == sha256(G711Decoder(law).decode(EVERY_CODE).astype("<i2").tobytes())
    assert encoded == sha256(G711Encoder(law).encode(EVERY_SAMPLE))


def test_known_values() -> None:
    """The corners by hand: the rails, silence of both signs, the first steps."""
    assert [-32124, 0, 32124, 0] == G711Decoder("PCMU").decode(b"\x00\x7f\x80\xff").tolist()
    assert [-5504, 8, -8, 32256] == G711Decoder("PCMA").decode(b"\x00\xd5\x55\xaa").tolist()
    samples = np.array([0, -1, 32767, -32768], np.int16)
    assert b"\xff\x7e\x80\x00" == G711Encoder("PCMU").encode(samples)
    assert b"\xd5\x55\xaa\x2a" == G711Encoder("PCMA").encode(samples)


@pytest.mark.parametrize(("law", "name"), [("PCMU", "pcmu.raw"), ("PCMA", "pcma.raw")])
def test_speech_encoded_by_ffmpeg(law: Law, name: str, golden: Path, speech_8k: Pcm) -> None:
    """Speech by another implementation comes back within G.711's own error, some 37 dB below it."""
    heard = G711Decoder(law).decode((golden / name).read_bytes())

    error = heard.astype(float) - speech_8k
    assert np.sqrt(np.mean(error**2)) < 0.014 * np.sqrt(np.mean(speech_8k.astype(float) ** 2))


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_encoding_what_was_decoded_changes_nothing(law: Law) -> None:
    """Audio may pass through several hops: it must not wear out."""
    pcm = G711Decoder(law).decode(EVERY_CODE)

    assert pcm.tolist() == G711Decoder(law).decode(G711Encoder(law).encode(pcm)).tolist()


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_silence_is_the_code_of_zero(law: Law) -> None:
    """A frame of zero bytes is no silence but a loud rail: a thump before every prompt."""
    encoder = G711Encoder(law)

    assert {"PCMU": 0xFF, "PCMA": 0xD5}[law] == SILENCE_BYTE[law]
    assert encoder.encode(np.zeros(160, np.int16)) == encoder.silence(20)


def test_a_slice_with_gaps_encodes_too() -> None:
    """One side of interleaved stereo is such a slice."""
    stereo = np.array([[0, 9], [32767, 9], [-32768, 9]], np.int16)

    assert b"\xff\x80\x00" == G711Encoder("PCMU").encode(stereo[:, 0])


def test_a_gap_continues_the_audio() -> None:
    """Concealment must know what was decoded before."""
    decoder = G711Decoder("PCMU")
    decoder.decode(b"\x90\x10" * 80)

    assert 160 == decoder.conceal(20).size
    assert decoder.conceal(20).any()


@pytest.mark.parametrize("samples", [[], [0], [5, -7, 3], [32767, 0], [-32768, 32767]])
def test_the_peak_is_that_of_the_louder_half_wave(samples: list[int]) -> None:
    """Sound that is cut off on one side only is cut off."""
    pcm = np.array(samples, dtype=np.int16)
    loudest = max(map(abs, samples), default=0)

    assert loudest == peak(pcm) == peak(pcm.tobytes())


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        pytest.param(8000 * np.sin(np.arange(3200) * 0.2), np.cos(0.2), id="a hum"),
        pytest.param(8000 * np.sin(np.arange(3200) * 2.9), np.cos(2.9), id="near the end of the band"),
        pytest.param(np.random.default_rng(1).normal(0, 5000, 3200), 0.0, id="noise"),
        pytest.param(np.zeros(3200), 0.0, id="silence"),
        pytest.param(np.array([900, 0, 0, 0]), 0.0, id="a click, then silence"),
        pytest.param(np.array([900]), 0.0, id="one sample"),
        pytest.param(np.array([]), 0.0, id="nothing"),
    ],
)
def test_sound_resembles_itself_one_sample_later(samples: Pcm, expected: float) -> None:
    """A tone does by the cosine of its angle from sample to sample."""
    assert expected == pytest.approx(autocorrelation(samples.astype("<i2").tobytes()), abs=0.02)
