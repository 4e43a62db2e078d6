"""Sounds that can be recognised again: proof that audio arrived, not only that bytes moved."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from callpath.audio.pcm import FULL_SCALE, Pcm, samples_in, saturate


class Match(NamedTuple):
    """Where a sound was found again. `correlation` is 1.0 for a perfect copy at any loudness, near 0 for another."""

    delay_ms: float
    correlation: float


def tone(frequency_hz: float, *, duration_ms: float, sample_rate_hz: int = 8000, level_dbfs: float = -12.0) -> Pcm:
    """A sine. `level_dbfs` is its RMS, as `level.level_dbfs` measures it; above -3.0 it would clip, and does."""
    at = np.arange(samples_in(duration_ms, sample_rate_hz)) / sample_rate_hz
    return saturate(_amplitude(level_dbfs) * np.sin(2 * np.pi * frequency_hz * at))


def sweep(
    from_hz: float,
    to_hz: float,
    *,
    duration_ms: float,
    sample_rate_hz: int = 8000,
    level_dbfs: float = -12.0,
) -> Pcm:
    """A sine that glides evenly in time. Unlike a tone it resembles itself at one delay only, so it can be timed."""
    samples = samples_in(duration_ms, sample_rate_hz)
    at = np.arange(samples) / sample_rate_hz
    hz_per_second = (to_hz - from_hz) * sample_rate_hz / max(1, samples)
    return saturate(_amplitude(level_dbfs) * np.sin(2 * np.pi * (from_hz + hz_per_second / 2 * at) * at))


def dominant_frequency_hz(pcm: Pcm, sample_rate_hz: int) -> float:
    """The loudest frequency, to about a hertz for a tone of 100 ms; 0.0 for silence."""
    if pcm.size < 4:
        return 0.0
    audio = pcm - np.mean(pcm)
    # Four times finer than the window's own resolution, so that the parabola below has a smooth top to sit on.
    length = 4 * _power_of_two(pcm.size)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(pcm.size), length))
    top = int(np.argmax(spectrum))
    if spectrum[top] == 0.0:
        return 0.0
    offset = 0.0
    if 0 < top < spectrum.size - 1:
        before, here, after = np.log(spectrum[top - 1 : top + 2] + 1e-12)
        offset = 0.5 * (before - after) / (before - 2 * here + after)
    return float((top + offset) * sample_rate_hz / length)


def find_delay_ms(reference: Pcm, heard: Pcm, sample_rate_hz: int) -> Match:
    """Where `reference` best matches inside `heard`, whatever its loudness or polarity.

    Negative if `heard` begins in the middle of it. Each place is judged by the sound there alone, so louder noise
    elsewhere does not mislead; silence matches nothing. A steady tone matches at every period: use speech or a sweep.
    """
    if reference.size == 0 or heard.size == 0:
        return Match(0.0, 0.0)
    sought = reference.astype(np.float64)
    sound = heard.astype(np.float64)
    lags = reference.size + heard.size - 1
    length = _power_of_two(lags)
    product = np.fft.rfft(sound, length) * np.conj(np.fft.rfft(sought, length))
    # Negative lags stand at the end of the circular result: turn it so that it begins with the most negative one.
    overlap = np.roll(np.fft.irfft(product, length), reference.size - 1)[:lags]

    energy = np.concatenate((np.zeros(reference.size), np.cumsum(sound * sound)))
    ends = np.concatenate((energy[reference.size :], np.full(reference.size, energy[-1])))[1 : lags + 1]
    here = ends - energy[:lags]
    # A stretch at least 60 dB below the loudest one is silence: rounding alone would correlate there.
    floor = max(1.0, 1e-6 * float(np.max(here)))
    norm = np.sqrt(float(sought @ sought) * np.maximum(here, floor))
    likeness = np.abs(overlap) / np.maximum(norm, 1e-9)
    best = int(np.argmax(likeness))
    return Match((best - reference.size + 1) * 1000.0 / sample_rate_hz, min(1.0, float(likeness[best])))


def _amplitude(level_dbfs: float) -> float:
    return FULL_SCALE * 10 ** (level_dbfs / 20) * float(np.sqrt(2.0))


def _power_of_two(at_least: int) -> int:
    return 1 << max(0, at_least - 1).bit_length()
