"""PCMU and PCMA: ITU-T G.711, one byte a sample, by table in both directions.

The tables follow CPython's `audioop` (after Sun's g711.c) bit for bit; `audioop` itself left Python with 3.13.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from callpath.audio.conceal import Concealer
from callpath.audio.pcm import Pcm, samples_in

Law = Literal["PCMU", "PCMA"]

ULAW_BIAS = 0x84
"""Added to the magnitude so that every segment starts at a power of two; 33 on the 14-bit scale of G.711."""
ULAW_CLIP = 8159
"""The largest 14-bit magnitude that mu-law can say."""


def _ulaw_to_pcm() -> Pcm:
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + ULAW_BIAS) << ((code & 0x70) >> 4)) - ULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_to_pcm() -> Pcm:
    code = np.arange(256) ^ 0x55  # every second bit is inverted on the wire
    segment = (code & 0x70) >> 4
    step = (code & 0x0F) << 4
    magnitude = np.where(segment == 0, step + 8, (step + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _pcm_to_ulaw() -> npt.NDArray[np.uint8]:
    """Indexed by the sample's 16 bits read as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(sample), ULAW_CLIP) + (ULAW_BIAS >> 2)
    segment = np.searchsorted([0x3F << i | (1 << i) - 1 for i in range(8)], magnitude)
    # Segment 8 does not exist: only the clipped maximum lands there, and it is the last code of segment 7.
    code = np.minimum((segment << 4) | ((magnitude >> (segment + 1)) & 0x0F), 0x7F)
    return np.asarray(code ^ np.where(sample < 0, 0x7F, 0xFF), np.uint8)


def _pcm_to_alaw() -> npt.NDArray[np.uint8]:
    """Indexed by the sample's 16 bits read as unsigned."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(sample < 0, -sample - 1, sample)
    segment = np.searchsorted([0x1F << i | (1 << i) - 1 for i in range(8)], magnitude)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return np.asarray(code ^ np.where(sample < 0, 0x55, 0xD5), np.uint8)


_TO_PCM = {"PCMU": _ulaw_to_pcm(), "PCMA": _alaw_to_pcm()}
_FROM_PCM = {"PCMU": _pcm_to_ulaw(), "PCMA": _pcm_to_alaw()}

SILENCE_BYTE = {law: int(table[0]) for law, table in _FROM_PCM.items()}
"""What a sample of zero is on the wire: 0xFF for PCMU, 0xD5 for PCMA."""


_BYTE = np.dtype(np.uint8)


class G711Decoder:
    """One direction of one stream. Any payload is valid; each byte is one sample at 8 kHz."""

    sample_rate_hz = 8000

    def __init__(self, law: Law) -> None:
        self._table = _TO_PCM[law]
        self._concealer: Concealer | None = None
        self._last: Pcm | None = None

    def decode(self, payload: bytes) -> Pcm:
        # `take` that need not check its indexes (a byte has a place in the table) costs half of what `table[...]` does.
        pcm = self._last = self._table.take(np.frombuffer(payload, _BYTE), mode="wrap")
        return pcm

    def conceal(self, duration_ms: float) -> Pcm:
        if self._concealer is None:
            self._concealer = Concealer(self.sample_rate_hz)
        if self._last is not None:
            self._concealer.heard(self._last)
            self._last = None  # told once: gaps in a row continue each other
        return self._concealer.conceal(duration_ms)


class G711Encoder:
    """Keeps nothing from frame to frame, so one may serve many streams."""

    sample_rate_hz = 8000

    def __init__(self, law: Law) -> None:
        self.encoding: str = law
        self._table = _FROM_PCM[law]

    def encode(self, pcm: Pcm) -> bytes:
        return self._table.take(pcm, mode="wrap").tobytes()  # -1 wraps to the last place, as its bits do

    def silence(self, duration_ms: float) -> bytes:
        return bytes([SILENCE_BYTE[self.encoding]]) * samples_in(duration_ms, self.sample_rate_hz)
