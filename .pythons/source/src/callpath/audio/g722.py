"""G722: 16 kHz audio in 64 kbit/s (ITU-T G.722 mode 1), two samples a byte, by FFmpeg.

RTP calls its clock 8000 by an old mistake (RFC 3551, 4.5.2), so `media_format` may say 8000 while the PCM is 16 kHz.
Decoder and encoder adapt from sample to sample: one for each direction of each stream, fed in order.
"""

from __future__ import annotations

import numpy as np

from callpath.audio.conceal import Concealer
from callpath.audio.ffmpeg import FfmpegDecoder, FfmpegEncoder
from callpath.audio.pcm import DecodesToArray, EncodesArray, Pcm, samples_in

RATE_HZ = 16000
FRAME_SAMPLES = 320
"""20 ms: the frame of FFmpeg's encoder, whose decoder takes any length."""


class G722Decoder(DecodesToArray):
    """160 bytes give 320 samples. Any payload is valid: there is no framing to break."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._decoder = FfmpegDecoder("G722", "g722", RATE_HZ)
        self._concealer = Concealer(RATE_HZ)

    def decode(self, payload: bytes) -> Pcm:
        pcm = self._decoder.decode(payload)
        self._concealer.heard(pcm)
        return pcm

    def conceal(self, duration_ms: float) -> Pcm:
        return self._concealer.conceal(duration_ms)


class G722Encoder(EncodesArray):
    """Takes whole frames of 20 ms and gives 160 bytes for each."""

    encoding = "G722"
    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._encoder = FfmpegEncoder("G722", "g722", RATE_HZ, FRAME_SAMPLES, {})

    def encode(self, pcm: Pcm) -> bytes:
        return b"".join(self._encoder.encode(pcm))

    def silence(self, duration_ms: float) -> bytes:
        # Encoded, not a constant: the far decoder must go quiet from where its state is now.
        return self.encode(np.zeros(samples_in(duration_ms, RATE_HZ), np.int16))
