from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from callpath.audio.g722 import G722Decoder, G722Encoder
from callpath.audio.pcm import Pcm
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone

pytest.importorskip("av", reason="the extra codecs is not installed")


def test_speech_from_rtp(golden_payloads: Callable[[str], list[bytes]], speech_16k: Pcm) -> None:
    """Payloads as another sender cut them: 160 bytes are 20 ms, and the seams are not heard."""
    decoder = G722Decoder()
    payloads = golden_payloads("g722.hex")
    heard = np.concatenate([decoder.decode(payload) for payload in payloads])
    match = find_delay_ms(speech_16k, heard, 16000)

    assert {160} == {len(payload) for payload in payloads}
    assert speech_16k.size == heard.size
    assert 1.375 == match.delay_ms  # the two filters of the codec: 22 samples
    assert match.correlation > 0.995


def test_payload_boundaries_do_not_matter(golden_payloads: Callable[[str], list[bytes]]) -> None:
    """A leg with another packet time sends other lengths."""
    stream = b"".join(golden_payloads("g722.hex"))
    whole = G722Decoder().decode(stream)
    decoder = G722Decoder()
    parts = [decoder.decode(stream[start : start + 237]) for start in range(0, len(stream), 237)]

    assert whole.tolist() == np.concatenate(parts).tolist()


def test_the_encoder_agrees_with_another(golden_payloads: Callable[[str], list[bytes]], speech_16k: Pcm) -> None:
    """What we send is what a stock sender would have sent."""
    assert b"".join(golden_payloads("g722.hex")) == G722Encoder().encode(speech_16k)


def test_it_is_wideband() -> None:
    """Decoded at its RTP clock of 8000, everyone would speak an octave low and half as fast."""
    encoded = G722Encoder().encode(tone(6000, duration_ms=200, sample_rate_hz=16000))

    assert 1600 == len(encoded)
    assert abs(dominant_frequency_hz(G722Decoder().decode(encoded), 16000) - 6000) < 2


def test_a_gap_is_concealed() -> None:
    """A lost frame keeps its time and continues the sound."""
    decoder = G722Decoder()
    decoder.decode(G722Encoder().encode(tone(200, duration_ms=100, sample_rate_hz=16000)))
    concealed = decoder.conceal(20)

    assert 320 == concealed.size
    assert abs(dominant_frequency_hz(concealed, 16000) - 200) < 15
