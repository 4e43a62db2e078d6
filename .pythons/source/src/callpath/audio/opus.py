"""OPUS: packets of 20 ms of any size (RFC 6716), by libopus through FFmpeg.

The bitstream does not depend on the rate it is opened with; the wire's rate only says which PCM we want at our end.
"""

from __future__ import annotations

import numpy as np

from callpath.audio.conceal import Concealer
from callpath.audio.ffmpeg import FfmpegDecoder, FfmpegEncoder
from callpath.audio.pcm import DecodesToArray, EncodesArray, Pcm, samples_in
from callpath.audio.resample import Resampler
from callpath.errors import AudioError

LIBRARY_RATE_HZ = 48000
"""FFmpeg runs libopus's decoder at this rate only."""
FRAME_MS = 20
BITS_PER_SECOND = 32000
"""Above the 28 kbit/s from which RFC 7587 (3.1.1) speaks of fullband speech; the phone leg is the bottleneck anyway."""


class OpusDecoder(DecodesToArray):
    """One payload is one Opus packet, however long."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._decoder = FfmpegDecoder("OPUS", "libopus", LIBRARY_RATE_HZ)
        self._resampler = Resampler(LIBRARY_RATE_HZ, sample_rate_hz)
        self._concealer = Concealer(LIBRARY_RATE_HZ)

    def decode(self, payload: bytes) -> Pcm:
        pcm = self._decoder.decode(payload)
        self._concealer.heard(pcm)
        return self._resampler.push(pcm)

    def conceal(self, duration_ms: float) -> Pcm:
        return self._resampler.push(self._concealer.conceal(duration_ms))


class OpusEncoder(EncodesArray):
    """One frame of 20 ms is one packet: the wire's payload carries no lengths that could tell two apart."""

    encoding = "OPUS"

    def __init__(self, sample_rate_hz: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        options = {"application": "voip", "frame_duration": str(FRAME_MS), "b": str(BITS_PER_SECOND)}
        self._frame_samples = samples_in(FRAME_MS, sample_rate_hz)
        self._encoder = FfmpegEncoder("OPUS", "libopus", sample_rate_hz, self._frame_samples, options)

    def encode(self, pcm: Pcm) -> bytes:
        if pcm.size != self._frame_samples:
            raise AudioError(
                f"an OPUS payload is one frame of {FRAME_MS} ms, {self._frame_samples} samples; got {pcm.size}. "
                "Cut the audio with a Framer"
            )
        (packet,) = self._encoder.encode(pcm)
        return packet

    def silence(self, duration_ms: float) -> bytes:
        return self.encode(np.zeros(samples_in(duration_ms, self.sample_rate_hz), np.int16))
