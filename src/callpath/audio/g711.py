"""PCMU and PCMA: ITU-T G.711, one byte a sample, by the C code that was CPython's for thirty years.

Python 3.13 left `audioop` out; `audioop-lts` keeps it. numpy's tables took three times as long (docs/decisions/0093).
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

from callpath.audio.conceal import Concealer
from callpath.audio.pcm import PCM16_BYTES, Pcm, as_pcm, samples_in

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.11 and 3.12 announce that it will go
    import audioop

Law = Literal["PCMU", "PCMA"]

_TO_PCM = {"PCMU": audioop.ulaw2lin, "PCMA": audioop.alaw2lin}
_FROM_PCM = {"PCMU": audioop.lin2ulaw, "PCMA": audioop.lin2alaw}

SILENCE_BYTE = {law: encode(bytes(PCM16_BYTES), PCM16_BYTES)[0] for law, encode in _FROM_PCM.items()}
"""What a sample of zero is on the wire: 0xFF for PCMU, 0xD5 for PCMA."""


def peak(audio: bytes | Pcm) -> int:
    """The magnitude of the loudest sample of PCM16; 0 without any. (For a frame numpy takes several times as long.)"""
    return audioop.max(audio if isinstance(audio, bytes) else audio.data, PCM16_BYTES)


def autocorrelation(audio: bytes) -> float:
    """Lag-1 autocorrelation of PCM16: 1 for a hum, near 0 for noise, 0 for silence."""
    found = audioop.findfactor(audio[:-PCM16_BYTES], audio[PCM16_BYTES:])
    return 0.0 if math.isnan(found) else found  # where there is nothing but zeros


class G711Decoder:
    """One direction of one stream. Any payload is valid; each byte is one sample at 8 kHz."""

    sample_rate_hz = 8000

    def __init__(self, law: Law) -> None:
        self._to_pcm = _TO_PCM[law]
        self._concealer: Concealer | None = None
        self._last: bytes | None = None
        self._before: bytes | None = None
        """The two newest payloads, decoded, since the last gap: one of 10 ms does not show the pitch."""

    def decode_bytes(self, payload: bytes) -> bytes:
        self._before = self._last
        audio = self._last = self._to_pcm(payload, PCM16_BYTES)
        return audio

    def decode(self, payload: bytes) -> Pcm:
        return as_pcm(self.decode_bytes(payload))

    def conceal(self, duration_ms: float) -> Pcm:
        if self._concealer is None:
            self._concealer = Concealer(self.sample_rate_hz)
        for audio in (self._before, self._last):
            if audio is not None:
                self._concealer.heard(as_pcm(audio))
        self._before = self._last = None  # given once: gaps in a row continue each other
        return self._concealer.conceal(duration_ms)


class G711Encoder:
    """Keeps nothing from frame to frame, so one may serve many streams."""

    sample_rate_hz = 8000

    def __init__(self, law: Law) -> None:
        self.encoding: str = law
        self._from_pcm = _FROM_PCM[law]

    def encode_bytes(self, audio: bytes) -> bytes:
        return self._from_pcm(audio, PCM16_BYTES)

    def encode(self, pcm: Pcm) -> bytes:
        return self._from_pcm(pcm.tobytes(), PCM16_BYTES)

    def silence(self, duration_ms: float) -> bytes:
        return bytes([SILENCE_BYTE[self.encoding]]) * samples_in(duration_ms, self.sample_rate_hz)


PCMU_ENCODER, PCMA_ENCODER = G711Encoder("PCMU"), G711Encoder("PCMA")
"""For all streams: a thousand calls touch one object, and not a thousand."""
