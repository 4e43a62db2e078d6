from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.g711 import G711Decoder, G711Encoder
from callpath.audio.l16 import ByteOrder, L16Decoder, L16Encoder, detect_byte_order
from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.errors import AudioError

OTHER: dict[ByteOrder, ByteOrder] = {"little": "big", "big": "little"}


def payloads(pcm: Pcm, order: ByteOrder) -> list[bytes]:
    encoder = L16Encoder(8000, order)
    return [encoder.encode(pcm[start : start + 160]) for start in range(0, pcm.size, 160)]


def through_alaw(pcm: Pcm) -> Pcm:
    """As a phone with PCMA gives it, where Telnyx makes L16 of it."""
    return G711Decoder("PCMA").decode(G711Encoder("PCMA").encode(pcm))


def test_bytes_on_the_wire() -> None:
    """The order is the whole codec."""
    pcm = np.array([1, -2, 0x1234], np.int16)

    assert bytes.fromhex("0100 feff 3412") == L16Encoder(8000, "little").encode(pcm)
    assert bytes.fromhex("0001 fffe 1234") == L16Encoder(8000, "big").encode(pcm)


def test_speech_as_another_sender_has_it(golden_payloads: Callable[[str], list[bytes]], speech_16k: Pcm) -> None:
    """Sample for sample, both ways: what is big and what is little is not for us to say."""
    payloads = golden_payloads("l16-big-endian.hex")
    spoken = speech_16k[3200:6400]
    decoder, encoder = L16Decoder(16000, "big"), L16Encoder(16000, "big")

    assert {640} == {len(payload) for payload in payloads}
    assert spoken.tolist() == np.concatenate([decoder.decode(payload) for payload in payloads]).tolist()
    assert b"".join(payloads) == encoder.encode(spoken)
    assert "big" == detect_byte_order(payloads)


@given(samples=st.lists(st.integers(-32768, 32767)), order=st.sampled_from(["little", "big"]))
def test_round_trip_is_exact(samples: list[int], order: ByteOrder) -> None:
    """L16 is chosen because nothing is lost."""
    pcm = np.array(samples, np.int16)
    heard = L16Decoder(16000, order).decode(L16Encoder(16000, order).encode(pcm))

    assert samples == heard.tolist()
    assert np.dtype(np.int16) == heard.dtype


def test_half_a_sample_is_refused() -> None:
    """An odd payload is another codec; decoding on would shift every later byte."""
    with pytest.raises(AudioError, match=r"161 bytes .* start\.media_format"):
        L16Decoder(8000, "little").decode(bytes(161))


def test_silence_and_gap_have_their_length() -> None:
    """A pause of another length shifts the talk."""
    assert bytes(640) == L16Encoder(16000, "big").silence(20)
    assert 320 == L16Decoder(16000, "big").conceal(20).size


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("level_db", [0, -20, -40])
def test_order_of_speech_is_told(order: ByteOrder, level_db: int, speech_8k: Pcm) -> None:
    """Wrong order is full-scale noise in the caller's ear, and nothing on the wire says which one is right."""
    pcm = np.round(speech_8k[:8000] * 10 ** (level_db / 20)).astype(np.int16)

    assert order == detect_byte_order(payloads(pcm, order))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("level_dbfs", [-9.0, -30.0, -60.0])
def test_order_of_a_tone_and_of_noise_is_told(order: ByteOrder, level_dbfs: float) -> None:
    """Ringing tones and room noise come before the first word does."""
    noise = np.random.default_rng(1).normal(0.0, 32768 * 10 ** (min(-40.0, level_dbfs) / 20), 8000)

    assert order == detect_byte_order(payloads(tone(440, duration_ms=1000, level_dbfs=level_dbfs), order))
    assert order == detect_byte_order(payloads(noise.clip(-32768, 32767).astype(np.int16), order))


CLICKS = np.zeros(8000, np.int16)
CLICKS[::800] = 32767


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(
    "pcm",
    [
        pytest.param(tone(3000, duration_ms=1000, level_dbfs=-6), id="loud and high"),
        pytest.param(through_alaw(tone(1000, duration_ms=1000, level_dbfs=-6)), id="few values, the low byte 0"),
        pytest.param(through_alaw(tone(3700, duration_ms=1000, level_dbfs=-6)), id="many values, the low byte 0"),
        pytest.param(CLICKS, id="clicks"),
    ],
)
def test_a_loud_tone_is_not_taken_for_swapped_bytes(pcm: Pcm, order: ByteOrder) -> None:
    """A stream that was right would be swapped for the rest of the call, by a hold tone of the first second."""
    assert detect_byte_order(payloads(pcm, order)) in (order, None)


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize("level_db", [0, -10, -20, -40])
def test_samples_that_begin_a_byte_late_are_not_taken_for_swapped_ones(
    order: ByteOrder, level_db: int, speech_8k: Pcm
) -> None:
    """Swapped, they are nearly as smooth: the doctor would name the byte order, and a stream that follows the sound would
    send in the wrong one for the rest of the call."""
    pcm = np.round(speech_8k * 10 ** (level_db / 20)).astype(np.int16)
    audio = b"\0" + b"".join(payloads(pcm, order))

    assert [None] * 4 == [detect_byte_order([audio[at : at + 6400]]) for at in range(0, 25600, 6400)]


def test_what_cannot_be_told_is_not_guessed(speech_8k: Pcm) -> None:
    """A wrong answer would spoil a stream that was right."""
    random = np.random.default_rng(2).bytes(16000)

    assert detect_byte_order([]) is None
    assert detect_byte_order(payloads(np.zeros(8000, np.int16), "little")) is None
    assert detect_byte_order(payloads(np.full(8000, 300, np.int16), "little")) is None
    assert detect_byte_order([random]) is None
    assert detect_byte_order(payloads(speech_8k[2000:3000], "little")) is None, "too short to tell"


@given(chunks=st.lists(st.binary(max_size=2000), max_size=6))
def test_any_bytes_get_an_answer(chunks: list[bytes]) -> None:
    """The stream may carry anything at all."""
    assert detect_byte_order(chunks) in ("little", "big", None)
