"""Changing the sample rate of a live stream, 2.5 ms late at most and without a seam between frames.

A polyphase FIR: a Kaiser-windowed sinc, evaluated once for every output position of a cycle and then applied to whole
frames as small matrix products. A library that resamples files well (soxr) holds a live stream back by 160 ms or more.
Rates with hardly anything in common have a cycle of up to a second: their filter is evaluated at a few positions only,
and blended for those between.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from callpath.audio.pcm import Pcm, samples_in, saturate
from callpath.errors import AudioError

RATE_HZ_MIN, RATE_HZ_MAX = 4000, 192_000
"""Any rate between is taken; beyond, a field was misread. Sound cards end at 192 kHz."""

HALF_WIDTH = 20
"""Samples of the lower rate on each side of the filter, which is also its delay: 2.5 ms at 8 kHz, so there and back
again costs 5 ms. Less would let images through or eat into the voice above 3 kHz."""
CUTOFF = 0.4875
"""Middle of the filter's slope, in parts of the lower rate: 3.9 kHz at 8 kHz, so that speech passes whole up to 3.4 kHz
(the telephone band) and nothing above 4.4 kHz folds back into it."""
KAISER_BETA = 7.857
"""80 dB stop band by Kaiser's formula 0.1102 * (A - 8.7): what G.711 itself cannot say (some 38 dB) stays far above."""
COEFFICIENT_STEP = 2.0**-24
"""Coefficients are multiples of this, so that every sum of products is exact in a double and the result does not depend
on how a stream was cut into frames."""
GROUP_OUTPUTS = 16
"""Outputs made by one matrix product, about. Fewer: too many small products. More: matrices full of zeros. Measured."""
CYCLE_WEIGHTS_MAX = 60_000
"""With more coefficients in a cycle they are blended: each takes up to a microsecond, in which the event loop stands still.
All pairs of 8, 11.025, 16, 22.05, 24, 32, 44.1, 48 and 96 kHz have fewer; 191,999 to 8000 Hz would have 8 millions."""
BLENDED_POSITIONS = 256
"""To a sample of the lower rate. A line through two neighbours is off by at most (pi / 256)**2 / 8, 94 dB below the
tone; 100 dB are measured."""
BLENDED_WEIGHTS_AT_ONCE = 65_536
"""Half a megabyte, where a second of audio at once would gather a hundred."""


class Resampler:
    """One direction of one stream. With equal rates it hands the audio through."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        if not all(RATE_HZ_MIN <= rate <= RATE_HZ_MAX for rate in (from_hz, to_hz)):
            raise AudioError(
                f"cannot resample {from_hz} Hz to {to_hz} Hz; rates go from {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz"
            )
        self.from_hz = from_hz
        self.to_hz = to_hz
        self.delay_ms = 0.0 if from_hz == to_hz else 1000.0 * HALF_WIDTH / min(from_hz, to_hz)
        blended = from_hz != to_hz and _cycle_weights(from_hz, to_hz) > CYCLE_WEIGHTS_MAX
        self._kernel = None if from_hz == to_hz or blended else _kernel(from_hz, to_hz)
        self._blended = _blended_kernel(from_hz, to_hz) if blended else None
        self._past: npt.NDArray[np.float64]
        self.reset()

    def reset(self) -> None:
        """Forget the past, as before the first push: a new utterance, or a gap that was not concealed."""
        kernel = self._kernel or self._blended
        self._past = np.zeros(kernel.reach if kernel else 0)
        self._phase = 0

    def push(self, pcm: Pcm) -> Pcm:
        """The audio so far, at the other rate, less what was handed out before; `delay_ms` late.

        After n samples in all, ceil(n * to_hz / from_hz) have come out, so 20 ms give 20 ms every time.
        """
        kernel = self._kernel
        if kernel is None:
            return pcm if self._blended is None else self._push_blended(self._blended, pcm)
        # The matrices work on whole cycles: begin where the current one began, end where the next one would.
        begun = self._phase
        ended = begun + pcm.size
        cycles = -(-ended // kernel.cycle_in)
        audio = np.zeros(kernel.reach + cycles * kernel.cycle_in)
        past = self._past.size
        audio[:past] = self._past
        audio[past : past + pcm.size] = pcm

        self._phase = ended % kernel.cycle_in
        self._past = audio[ended - self._phase : ended + kernel.reach].copy()
        made = kernel.apply(audio, cycles)
        return saturate(made[kernel.outputs_after(begun) : kernel.outputs_after(ended)])

    def _push_blended(self, kernel: _BlendedKernel, pcm: Pcm) -> Pcm:
        if not pcm.size:
            return pcm
        begun = self._phase
        ended = begun + pcm.size
        audio = np.concatenate((self._past, pcm.astype(np.float64)))
        self._phase = ended % kernel.down
        self._past = audio[pcm.size :].copy()
        return saturate(kernel.apply(audio, begun, ended))


class _Kernel:
    """The filter of one pair of rates, cut into matrices. Shared by all streams of that pair."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self.up, self.down = to_hz // common, from_hz // common
        # Small cycles (8 to 16 kHz: one in, two out) are repeated to fill a matrix; long ones are cut into groups.
        repeats = 1
        while 2 * repeats * self.up <= GROUP_OUTPUTS:
            repeats *= 2
        self.cycle_in, self.cycle_out = self.down * repeats, self.up * repeats
        group = max(n for n in range(1, 2 * GROUP_OUTPUTS) if self.cycle_out % n == 0)

        low_per_input = min(from_hz, to_hz) / from_hz
        delay = HALF_WIDTH / low_per_input
        self.reach = math.ceil(2 * delay)
        """How many past inputs an output still hears."""

        # Output `o` falls on the input's time axis at o * down / up and hears `delay` on both sides of that, late by
        # `delay`. Inputs count from -reach, so that column 0 is the oldest one the cycle's first output hears.
        at = np.arange(self.cycle_out) * self.down / self.up
        first = np.floor(at[::group]).astype(np.intp)
        width = self.reach + 1 + int(np.floor(at[group - 1 :: group] - first).max())
        columns = first[:, None] + np.arange(width) - self.reach
        distance = at.reshape(-1, group)[:, None, :] - delay - columns[:, :, None]
        weights = _windowed_sinc(distance, low_per_input, delay)
        weights /= weights.sum(axis=1, keepdims=True)  # every phase passes 0 Hz alike, or a tone would hum
        self._weights = np.round(weights / COEFFICIENT_STEP) * COEFFICIENT_STEP
        # Where the last columns lie beyond the cycle's input their weight is 0, so any sample in reach will do.
        self._columns = np.minimum(columns, self.cycle_in - 1) + self.reach
        self._gather = np.zeros((0, 0, 0), np.intp)

    def outputs_after(self, inputs: int) -> int:
        """How many outputs of a cycle are complete after so many of its inputs."""
        return -(-inputs * self.up // self.down)

    def apply(self, audio: npt.NDArray[np.float64], cycles: int) -> npt.NDArray[np.float64]:
        """`cycles` whole cycles of output; `audio` is their input with `reach` samples of the past before it."""
        gather = self._gather
        if gather.shape[1] != cycles:  # frames are all of one length, so this is a live stream's first one
            starts = np.arange(cycles) * self.cycle_in
            self._gather = gather = self._columns[:, None, :] + starts[:, None]
        return (audio.take(gather) @ self._weights).transpose(1, 0, 2).reshape(-1)


class _BlendedKernel:
    """The filter of a pair of rates with a long cycle, at a few positions between two inputs. Shared like `_Kernel`.

    Outputs lie where they should to the last digit, so nothing drifts; what is off is the filter, inaudibly.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self.up, self.down = to_hz // common, from_hz // common
        low_per_input = min(from_hz, to_hz) / from_hz
        delay = HALF_WIDTH / low_per_input
        self.reach = math.ceil(2 * delay)
        """How many past inputs an output still hears."""

        # An output lies at an input or after it, by parts of the way to the next: it hears that input and `reach` before.
        self._parts = math.ceil(BLENDED_POSITIONS * low_per_input)
        part = np.arange(self._parts + 1)[:, None] / self._parts
        distance = part - delay + np.arange(self.reach, -1, -1)
        weights = _windowed_sinc(distance, low_per_input, delay)
        weights /= weights.sum(axis=1, keepdims=True)
        self._weights = np.round(weights / COEFFICIENT_STEP) * COEFFICIENT_STEP

    def apply(self, audio: npt.NDArray[np.float64], begun: int, ended: int) -> npt.NDArray[np.float64]:
        """The outputs that inputs `begun` to `ended` of a cycle complete; `audio` is those, with `reach` before them."""
        outputs = np.arange(-(-begun * self.up // self.down), -(-ended * self.up // self.down), dtype=np.int64)
        made = np.empty(outputs.size)
        heard = np.lib.stride_tricks.sliding_window_view(audio, self.reach + 1)
        step = max(1, BLENDED_WEIGHTS_AT_ONCE // (self.reach + 1))
        for start in range(0, outputs.size, step):
            first, rest = np.divmod(outputs[start : start + step] * self.down, self.up)
            part, between = np.divmod(rest * self._parts, self.up)
            inputs = heard[first - begun]
            left = np.einsum("ij,ij->i", inputs, self._weights[part])
            right = np.einsum("ij,ij->i", inputs, self._weights[part + 1])
            made[start : start + step] = left + (right - left) * (between / self.up)
        return made


def _windowed_sinc(distance: npt.NDArray[np.float64], low_per_input: float, delay: float) -> npt.NDArray[np.float64]:
    inside = np.abs(distance) <= delay
    slope = np.sinc(2 * CUTOFF * low_per_input * distance)
    window = np.i0(KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (distance / delay) ** 2)))
    return np.where(inside, slope * window, 0.0)


def resample_file_audio(pcm: Pcm, from_hz: int, to_hz: int) -> Pcm:
    """A whole recording at the other rate: as long as before, and not late."""
    if from_hz == to_hz:
        return pcm
    resampler = Resampler(from_hz, to_hz)
    late = samples_in(resampler.delay_ms, to_hz)
    padded = np.concatenate((pcm, np.zeros(samples_in(resampler.delay_ms, from_hz) + 1, np.int16)))
    # By the second: a product over an hour at once would gather gigabytes.
    made = [resampler.push(padded[start : start + from_hz]) for start in range(0, padded.size, from_hz)]
    return np.concatenate(made)[late : late + -(-pcm.size * to_hz // from_hz)]


@lru_cache(maxsize=32)  # every pair of the five rates that streams and speech engines use, and some files
def _kernel(from_hz: int, to_hz: int) -> _Kernel:
    return _Kernel(from_hz, to_hz)


@lru_cache(maxsize=8)
def _blended_kernel(from_hz: int, to_hz: int) -> _BlendedKernel:
    return _BlendedKernel(from_hz, to_hz)


def _cycle_weights(from_hz: int, to_hz: int) -> int:
    """How many coefficients the filter of a whole cycle has."""
    return to_hz // math.gcd(from_hz, to_hz) * math.ceil(2 * HALF_WIDTH * from_hz / min(from_hz, to_hz))
