"""PCM inside callpath: mono int16, and the few things every module does with it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from callpath.errors import AudioError

Pcm: TypeAlias = npt.NDArray[np.int16]

PCM16_BYTES = 2
"""Of a sample."""

_PCM16 = np.dtype("<i2")

FULL_SCALE = 32768.0
"""0 dBFS: the magnitude of the most negative int16."""


def saturate(samples: npt.NDArray[np.floating[Any]]) -> Pcm:
    """Round to the nearest int16 and hold what is too loud at the rail. Overwrites `samples`.

    A plain cast would wrap: one sample over full scale becomes a full-scale click of the other sign.
    """
    np.rint(samples, out=samples)
    np.maximum(samples, -32768.0, out=samples)
    np.minimum(samples, 32767.0, out=samples)
    return samples.astype(np.int16)


def as_pcm(audio: bytes) -> Pcm:
    """Little-endian PCM16 bytes as samples, without a copy. Raises AudioError for an odd number of bytes."""
    if len(audio) % 2:
        raise AudioError(f"PCM16 has two bytes a sample, but {len(audio)} bytes were given: is it another encoding?")
    return np.frombuffer(audio, _PCM16)


class DecodesToArray:
    """A decoder whose library gives arrays."""

    def decode(self, payload: bytes) -> Pcm:
        """As `audio.codec.Decoder` has it."""
        raise NotImplementedError

    def decode_bytes(self, payload: bytes) -> bytes:
        """As `audio.codec.Decoder` has it."""
        return self.decode(payload).tobytes()


class EncodesArray:
    """An encoder whose library takes arrays."""

    def encode(self, pcm: Pcm) -> bytes:
        """As `audio.codec.Encoder` has it."""
        raise NotImplementedError

    def encode_bytes(self, audio: bytes) -> bytes:
        """As `audio.codec.Encoder` has it."""
        return self.encode(as_pcm(audio))


def samples_in(duration_ms: float, sample_rate_hz: int) -> int:
    """How many samples `duration_ms` takes, to the nearest."""
    return round(duration_ms * sample_rate_hz / 1000)
