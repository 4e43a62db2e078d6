"""Whether the caller's audio holds ours: an acoustic echo, or a loop somewhere on the way. Pure.

    check = EchoCheck(now_ms)            gathers WINDOW_MS of both directions
    check.heard(payload, now_ms)         the caller's
    check.sent(payload, at_ms)           ours; the ear hears it at `at_ms`
    check.echo(decode_heard, decode_sent)

Told by the waveform: a copy of ours, a while later. In doubt it says nothing. Where ours is as much a later copy of the
caller's (a handler that plays what it hears), or the sound repeats itself anyway (tones, music, rings), it proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from callpath.audio.pcm import FULL_SCALE, Pcm, samples_in

RATE_HZ = 8000
COMPARED_MS = 1_000.0
DELAY_MS_MAX = 1_000.0
"""Of the phone network, there and back, and a loudspeaker phone's own."""
WINDOW_MS = COMPARED_MS + DELAY_MS_MAX

LIKENESS_MIN = 0.6
"""Correlation of the caller's audio with ours. A canceller that works leaves next to nothing; speech over the echo, or
another codec on the way, leaves less than this, and then nothing is said."""
LIKENESS_AHEAD = 0.5
"""The other way round it may be at most so much of that. Speech resembles itself a second later by 0.2 to 0.3."""
LEVEL_MIN = 10 ** (-50 / 20)
"""-50 dBFS, both. Below, rounding to 8 bits makes patterns of its own."""

Sound = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Echo:
    """How much of the caller's audio is ours (1: all), and how much later."""

    likeness: float
    delay_ms: float


class EchoCheck:
    """Two seconds of one stream: some 40 kB while it lasts, so not all streams at once."""

    def __init__(self, began_ms: float) -> None:
        self._began_ms = began_ms
        self._heard: list[tuple[bytes, float]] = []
        self._sent: list[tuple[bytes, float]] = []

    def heard(self, payload: bytes, now_ms: float) -> None:
        """A frame of the caller's came in full."""
        if now_ms <= self._began_ms + WINDOW_MS:
            self._heard.append((payload, now_ms))

    def sent(self, payload: bytes, at_ms: float) -> None:
        """A frame of ours; the ear hears its beginning at `at_ms`."""
        if at_ms <= self._began_ms + WINDOW_MS:
            self._sent.append((payload, at_ms))

    def complete(self, now_ms: float) -> bool:
        """Whether both directions are gathered."""
        return now_ms > self._began_ms + WINDOW_MS

    def echo(self, decode_heard: Callable[[bytes], Pcm], decode_sent: Callable[[bytes], Pcm]) -> Echo | None:
        """The answer, in some milliseconds; the decoders give PCM at RATE_HZ. None: there is none, or one cannot tell."""
        heard, sent = (
            self._sound(self._heard, decode_heard, ends=True),
            self._sound(self._sent, decode_sent, ends=False),
        )
        likeness, delay = _likeness(heard, sent)
        if likeness < LIKENESS_MIN:
            return None
        backwards, _ = _likeness(sent, heard)
        if backwards > LIKENESS_AHEAD * likeness:
            return None
        return Echo(likeness=round(likeness, 2), delay_ms=round(1000.0 * delay / RATE_HZ))

    def _sound(self, frames: list[tuple[bytes, float]], decode: Callable[[bytes], Pcm], *, ends: bool) -> Sound:
        """The frames on one time axis: at their times where they begin, and joined as long as they follow each other."""
        sound = np.zeros(samples_in(WINDOW_MS, RATE_HZ))
        end = 0
        for payload, at_ms in frames:
            pcm = decode(payload)
            start = samples_in(at_ms - self._began_ms, RATE_HZ) - (pcm.size if ends else 0)
            if end and abs(start - end) < 2 * pcm.size:
                start = end  # arrivals waver; the audio does not
            end = start + pcm.size
            first = max(0, -start)
            piece = pcm[first : max(first, sound.size - start)]
            sound[start + first : start + first + piece.size] = piece
        return sound / FULL_SCALE


def _likeness(later: Sound, earlier: Sound) -> tuple[float, int]:
    """The best correlation of the last COMPARED_MS of `later` with any stretch of `earlier` up to DELAY_MS_MAX before,
    and that delay in samples."""
    width = samples_in(COMPARED_MS, RATE_HZ)
    piece = later[-width:]
    energy = float(np.sum(piece * piece))
    if energy < width * LEVEL_MIN**2:
        return 0.0, 0
    size = 1 << (earlier.size + width).bit_length()
    product = np.fft.irfft(np.fft.rfft(earlier, size) * np.conj(np.fft.rfft(piece, size)), size)
    before = np.concatenate(([0.0], np.cumsum(earlier * earlier)))
    energies = before[width:] - before[:-width]  # of each stretch of `earlier`
    likeness = np.abs(product[: energies.size]) / np.sqrt(energy * np.maximum(energies, width * LEVEL_MIN**2))
    best = int(np.argmax(likeness))
    return float(likeness[best]), energies.size - 1 - best
