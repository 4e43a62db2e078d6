from __future__ import annotations

import numpy as np
import pytest

from callpath.audio.ffmpeg import FfmpegDecoder, FfmpegEncoder
from callpath.errors import AudioError

pytest.importorskip("av", reason="the extra codecs is not installed")


def test_a_codec_that_this_build_lacks() -> None:
    """Distributions build PyAV without some libraries; the text says where it has them."""
    with pytest.raises(AudioError, match="OPUS needs libnothing, which this build of PyAV lacks"):
        FfmpegDecoder("OPUS", "libnothing", 48000)


def test_refused_bytes_do_not_end_the_decoder() -> None:
    """One broken packet is one gap, not the end of the call's audio."""
    decoder = FfmpegDecoder("OPUS", "libopus", 48000)
    packet = FfmpegEncoder("OPUS", "libopus", 48000, 960, {}).encode(np.zeros(960, np.int16))[0]
    with pytest.raises(AudioError, match=r"3 bytes is not OPUS: .*see start\.media_format"):
        decoder.decode(b"\xff\xff\xff")

    assert 960 == decoder.decode(packet).size


def test_a_part_of_a_frame_is_refused() -> None:
    """FFmpeg would keep it inside, and all that follows would be late by so much."""
    encoder = FfmpegEncoder("G722", "g722", 16000, 320, {})
    with pytest.raises(AudioError, match="G722 is made of frames of 320 samples; got 321"):
        encoder.encode(np.zeros(321, np.int16))

    assert [160, 160] == [len(packet) for packet in encoder.encode(np.zeros(640, np.int16))]
    assert [] == encoder.encode(np.zeros(0, np.int16))
