"""L16: linear PCM as it is, two bytes a sample.

RTP's own L16 is big-endian (RFC 3551), but real phones on Telnyx were heard little-endian, so that is the default and
`detect_byte_order` is there to check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from callpath.audio.conceal import Concealer
from callpath.audio.level import prediction_gain_db
from callpath.audio.pcm import FULL_SCALE, DecodesToArray, EncodesArray, Pcm, samples_in
from callpath.errors import AudioError

ByteOrder = Literal["little", "big"]

_DTYPE: dict[ByteOrder, np.dtype[np.int16]] = {"little": np.dtype("<i2"), "big": np.dtype(">i2")}

SAMPLES_MIN = 2000
"""A quarter of a second at 8 kHz. With less, one vowel or click would decide."""
MARGIN_DB = 6.0
"""How much rougher the wrong order must be. Measured: speech up to -6 dBFS, tones up to -9 and white noise up to
-12 are beyond it; a louder sound may give None, and random bytes always do."""
VALUES_MIN = 32
"""A tone, a buzzer or clicks may be made of so few values that the same few are as smooth with their bytes swapped."""
GAIN_DB = 0.5
"""By so much better predictable: noise is not at all, in either order, and its loudness alone tells."""
ALIGNMENT_MIN = 0.51
"""So many samples must bend less than those that are half of one and half of the next, in the other order. Measured in
1,800 pieces of speech and music: up to -4 dBFS (peak) none that was shifted by a byte is told, and all but one in thirty of
the others. White noise above -40 dBFS is alike in both, and not told; loud tones may still be taken for swapped."""
BLOCK_SAMPLES = 256
STEP_ENERGY_MIN = 1e-5
"""Mean square of the sample steps below which there is nothing to judge, about -50 dBFS (of the rougher reading)."""


class L16Decoder(DecodesToArray):
    """One direction of one stream."""

    def __init__(self, sample_rate_hz: int, byte_order: ByteOrder) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._dtype = _DTYPE[byte_order]
        self._concealer = Concealer(sample_rate_hz)

    def decode(self, payload: bytes) -> Pcm:
        if len(payload) % 2:
            raise AudioError(
                f"an L16 payload of {len(payload)} bytes is not a whole number of 16-bit samples. "
                "The stream probably carries another encoding; see start.media_format"
            )
        pcm = np.frombuffer(payload, self._dtype).astype(np.int16)
        self._concealer.heard(pcm)
        return pcm

    def conceal(self, duration_ms: float) -> Pcm:
        return self._concealer.conceal(duration_ms)


class L16Encoder(EncodesArray):
    """Keeps nothing from frame to frame, so one may serve many streams."""

    encoding = "L16"

    def __init__(self, sample_rate_hz: int, byte_order: ByteOrder) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._dtype = _DTYPE[byte_order]

    def encode(self, pcm: Pcm) -> bytes:
        return pcm.astype(self._dtype, copy=False).tobytes()

    def silence(self, duration_ms: float) -> bytes:
        return bytes(2 * samples_in(duration_ms, self.sample_rate_hz))


def swap_bytes(payload: bytes) -> bytes:
    """The same samples in the other byte order."""
    return np.frombuffer(payload, _DTYPE["little"]).byteswap().tobytes()


def detect_byte_order(payloads: Sequence[bytes]) -> ByteOrder | None:
    """Tell the byte order of L16 from about a second of it; None when the sound does not tell (silence, noise).

    In the wrong order the fast-changing low byte becomes the high one, so the audio turns into nearly full-scale noise:
    the steps from sample to sample grow enormous. The order with the clearly smaller steps is the right one, unless each
    sample follows better from those before in the other: a loud high tone has larger steps than what it is swapped into,
    and of loud samples that were A-law once the low byte is always 0.
    """
    audio = b"".join(payload for payload in payloads if len(payload) % 2 == 0)
    if len(audio) < 2 * SAMPLES_MIN:
        return None
    readings: dict[ByteOrder, Pcm] = {order: np.frombuffer(audio, _DTYPE[order]).astype(np.int16) for order in _DTYPE}
    little, big = (_step_energy(pcm) for pcm in readings.values())
    if max(little, big) < STEP_ENERGY_MIN:
        return None
    margin_db = 10.0 * np.log10((big + 1e-12) / (little + 1e-12))
    if abs(margin_db) < MARGIN_DB or np.unique(readings["little"][:SAMPLES_MIN]).size < VALUES_MIN:
        return None
    smoother, rougher = sorted(readings, key=lambda order: (order == "little") != (margin_db > 0))
    if _gain_db(readings[rougher]) > _gain_db(readings[smoother]) + GAIN_DB:
        return None
    return smoother if _alignment_score(audio, smoother) >= ALIGNMENT_MIN else None


def _alignment_score(audio: bytes, order: ByteOrder) -> float:
    """How often the samples bend less where they are, and not a byte further on in the other order.

    One byte too many or too few before them, and each is read as the high byte of one and the low byte of the next: nearly
    as smooth as if that were the order.
    """
    here, further = (
        np.abs(np.diff(np.frombuffer(octets, dtype).astype(np.int32), 2))
        for octets, dtype in (
            (audio[:-2], _DTYPE[order]),
            (audio[1:-1], _DTYPE["big" if order == "little" else "little"]),
        )
    )
    return float(np.sum(here < further) / max(1, np.sum(here != further)))


def _gain_db(pcm: Pcm) -> float:
    return prediction_gain_db(pcm[: pcm.size // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES).astype(float))


def _step_energy(pcm: Pcm) -> float:
    """Mean square of the steps from sample to sample; 2 * power for noise, far less for sound."""
    steps = np.diff(pcm.astype(np.float64) / FULL_SCALE)
    return float(np.mean(steps * steps))
