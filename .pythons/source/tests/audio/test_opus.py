from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from callpath.audio.level import level_dbfs
from callpath.audio.opus import OpusDecoder, OpusEncoder
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import find_delay_ms, tone
from callpath.errors import AudioError

pytest.importorskip("av", reason="the extra codecs is not installed")


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_speech_from_rtp(rate: int, golden_payloads: Callable[[str], list[bytes]], speech_16k: Pcm) -> None:
    """Packets by another sender, at whatever rate the wire names: the same speech, at our rate."""
    decoder = OpusDecoder(rate)
    payloads = golden_payloads("opus.hex")
    heard = np.concatenate([decoder.decode(payload) for payload in payloads])
    match = find_delay_ms(resample_file_audio(speech_16k, 16000, rate), heard, rate)

    assert len(payloads) * rate // 50 == heard.size
    assert 0 < match.delay_ms < 10  # 6.5 ms within the codec, then our filter
    assert match.correlation > 0.9


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_one_frame_is_one_packet_at_once(rate: int) -> None:
    """Held inside, the first word would be late by a frame for the whole call."""
    encoder = OpusEncoder(rate)
    sizes = [len(encoder.encode(tone(300, duration_ms=20, sample_rate_hz=rate))) for _ in range(20)]

    assert min(sizes) > 0
    assert max(sizes) < 200  # 32 kbit/s are 80 bytes a frame


def test_another_length_is_refused() -> None:
    """Two packets in one payload cannot be told apart at the other end."""
    with pytest.raises(AudioError, match="one frame of 20 ms, 320 samples; got 640"):
        OpusEncoder(16000).encode(np.zeros(640, np.int16))


def test_a_broken_packet_is_an_audio_error() -> None:
    """The stream turns it into an event; anything else would end the call."""
    decoder = OpusDecoder(16000)
    with pytest.raises(AudioError, match="is not OPUS"):
        decoder.decode(b"\xff\xff\xff")


def test_a_gap_fades(golden_payloads: Callable[[str], list[bytes]]) -> None:
    """A lost packet keeps its time; a long gap becomes silence."""
    decoder = OpusDecoder(16000)
    for payload in golden_payloads("opus.hex")[:20]:
        decoder.decode(payload)
    gap = [decoder.conceal(20) for _ in range(5)]

    assert {320} == {frame.size for frame in gap}
    assert level_dbfs(gap[0]) > -60
    assert -100.0 == level_dbfs(gap[4])
