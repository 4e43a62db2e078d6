from __future__ import annotations

import numpy as np
import pytest

from callpath.audio.pcm import as_pcm, samples_in, saturate
from callpath.errors import AudioError


def test_too_loud_is_held_at_the_rail() -> None:
    """A wrapped sample is a full-scale click in the caller's ear, at the loudest moment of a word."""
    made = saturate(np.array([40000.0, -40000.0, 32767.4, -32768.4, 0.4, -0.6]))

    assert [32767, -32768, 32767, -32768, 0, -1] == made.tolist()
    assert np.int16 == made.dtype


def test_bytes_as_samples() -> None:
    """Speech engines hand out bytes; half a sample means that they are not what they are taken for."""
    assert [1, -2] == as_pcm(b"\x01\x00\xfe\xff").tolist()
    with pytest.raises(AudioError, match="3 bytes were given"):
        as_pcm(b"abc")


def test_samples_of_a_frame() -> None:
    """22.05 kHz has 441 samples in 20 ms, not 440."""
    assert [160, 320, 441, 960] == [samples_in(20, rate) for rate in (8000, 16000, 22050, 48000)]
