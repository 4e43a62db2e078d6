"""Replacement audio for a missing frame, for codecs that have no concealment of their own."""

from __future__ import annotations

import numpy as np

from callpath.audio.pcm import Pcm, samples_in, saturate

FADE_MS = 60.0
"""From full level to silence. ITU-T G.711 Appendix I fades its repetition out over 60 ms: longer sounds robotic."""
PITCH_MS_MIN, PITCH_MS_MAX = 5.0, 15.0
"""One period of a voice, 66 to 200 Hz: the range of G.711 Appendix I."""
MATCH_MS = 5.0
"""The tail that is compared. With the longest period it needs 20 ms: one frame, or two of a phone that sends 10 ms."""


class Concealer:
    """Continues the last frame by its own pitch, fading to silence.

    Call `heard` with each frame that did arrive and `conceal` for each that did not.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._needed = samples_in(PITCH_MS_MAX + MATCH_MS, sample_rate_hz)
        self._last: Pcm = np.zeros(0, np.int16)
        self._concealed = 0

    def heard(self, pcm: Pcm) -> None:
        """Remember the newest real audio. Keeps the array, so do not write into it afterwards."""
        if pcm.size < self._needed and not self._concealed:
            pcm = np.concatenate((self._last, pcm))[-self._needed :]
        self._last = pcm
        self._concealed = 0

    def conceal(self, duration_ms: float) -> Pcm:
        """The next `duration_ms` of a gap. Calls in a row continue each other."""
        samples = samples_in(duration_ms, self._rate_hz)
        period = self._period()
        start, self._concealed = self._concealed, self._concealed + samples
        if period == 0:
            return np.zeros(samples, np.int16)
        position = np.arange(start, start + samples)
        gain = np.maximum(0.0, 1.0 - position / samples_in(FADE_MS, self._rate_hz))
        return saturate(gain * self._last[-period:][position % period])

    def _period(self) -> int:
        """The pitch period at the end of the real audio, in samples; 0 if there is nothing to repeat."""
        shortest, longest, match = (samples_in(ms, self._rate_hz) for ms in (PITCH_MS_MIN, PITCH_MS_MAX, MATCH_MS))
        last = self._last
        if last.size < match + longest:
            return int(last.size)
        past = last[-match - longest :].astype(np.float64)
        tail = past[-match:]
        # Row i is the stretch that lies `longest - i` samples before the tail.
        candidates = np.lib.stride_tricks.sliding_window_view(past, match)[: longest - shortest + 1]
        energy = np.einsum("ij,ij->i", candidates, candidates)
        correlation = candidates @ tail / np.sqrt(energy + 1.0)
        return longest - int(np.argmax(correlation))
