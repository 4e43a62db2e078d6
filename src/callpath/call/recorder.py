"""Both sides of a call on one wall clock: the caller left, as received; we right, as the caller heard it. Pure.

recorder = Recorder(8000, now_ms)
recorder.receive(pcm, rate_hz, now_ms)       the caller's audio, and when it came
recorder.play(pcm, rate_hz, at_ms)           our audio, and when the caller hears it
recorder.clear(now_ms)                       a clear: what was to be played later is not heard
recorder.pause(now_ms), resume(now_ms)       nothing of what is said or heard in between is kept: silence stands there
left, right = recorder.take(now_ms)          what cannot change any more: to be written
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from callpath.audio.pcm import Pcm, samples_in
from callpath.audio.resample import Resampler

Track = Literal["both", "inbound", "outbound"]
"""What is recorded: both sides, the caller only, or only what the caller hears."""

WRITE_DELAY_MS = 300.0
"""Audio older than this is written. The caller's may be late by the jitter buffer's wait; ours is cleared before."""

DRIFT_MS_MAX = 100.0
"""The caller's frames come a little early or late and are joined without a seam; further apart, there was a pause. When
ours are heard is known exactly."""

LATE_MS_MAX = 300.0
"""How late the caller's audio may be: network and jitter buffer. What comes within this time after a pause may have been
said in the pause, and is not kept."""


@dataclass(slots=True)
class _Side:
    """One channel: pieces that are not written yet, by the sample at which they begin."""

    kept: bool = True
    """False for a side that is not to be recorded."""

    pieces: list[tuple[int, Pcm]] = field(default_factory=list)
    end: int = 0
    """The sample after the last piece."""
    resampler: Resampler | None = None
    drift_ms_max: float = 1.0


class Recorder:
    """One recording at one rate. Times are those of `now_ms`; the recording begins at `start_ms`. Of a side that is not
    recorded there is silence."""

    def __init__(self, sample_rate_hz: int, start_ms: float, track: Track = "both") -> None:
        self.sample_rate_hz = sample_rate_hz
        self.written = 0
        """Samples handed out so far, of each side."""
        self._start_ms = start_ms
        self._left = _Side(kept=track != "outbound", drift_ms_max=DRIFT_MS_MAX)
        self._right = _Side(kept=track != "inbound")
        self._paused_ms: float | None = None
        """Since when it is paused."""
        self._pauses: list[tuple[float, float]] = []
        """Pauses that are over, as far as they are not written yet."""

    def receive(self, pcm: Pcm, rate_hz: int, now_ms: float) -> None:
        """The caller's audio; the last of it came at `now_ms`."""
        self._place(self._left, pcm, rate_hz, now_ms - 1000.0 * pcm.size / rate_hz)

    def play(self, pcm: Pcm, rate_hz: int, at_ms: float) -> None:
        """Our audio; the caller hears its first sample at `at_ms`."""
        self._place(self._right, pcm, rate_hz, at_ms)

    def pause(self, now_ms: float) -> None:
        """Keep nothing from now on, until `resume`. The time goes on."""
        if self._paused_ms is None:
            self._paused_ms = now_ms

    def resume(self, now_ms: float) -> None:
        """Keep what comes from now on."""
        if self._paused_ms is not None:
            self._pauses.append((self._paused_ms, now_ms))
            self._paused_ms = None

    def clear(self, now_ms: float) -> None:
        """Our audio that was to be played after `now_ms` is not heard."""
        here = max(self._sample_at(now_ms), self.written)
        side = self._right
        side.pieces = [(start, piece[: here - start]) for start, piece in side.pieces if start < here]
        side.end = min(side.end, here)

    def take(self, now_ms: float) -> tuple[Pcm, Pcm]:
        """Both sides up to WRITE_DELAY_MS ago; equally long, and empty if they were taken before."""
        until = max(self.written, self._sample_at(now_ms - WRITE_DELAY_MS))
        return self._take_until(until)

    def finish(self, now_ms: float) -> tuple[Pcm, Pcm]:
        """The rest."""
        self.clear(now_ms)
        paused = self._sample_at(now_ms) if self._paused_ms is not None else 0
        return self._take_until(max(self.written, self._left.end, self._right.end, paused))

    def _sample_at(self, at_ms: float) -> int:
        return samples_in(at_ms - self._start_ms, self.sample_rate_hz)

    def _place(self, side: _Side, pcm: Pcm, rate_hz: int, at_ms: float) -> None:
        if self._paused_ms is not None or not side.kept:
            return  # also what is heard only after the pause: it was said, or sent, within it
        if rate_hz != self.sample_rate_hz:
            if side.resampler is None or side.resampler.from_hz != rate_hz:
                side.resampler = Resampler(rate_hz, self.sample_rate_hz)
            pcm = side.resampler.push(pcm)
        start = self._sample_at(at_ms)
        drift = samples_in(side.drift_ms_max, self.sample_rate_hz)
        if side.end and start < side.end - drift:
            self._move_back(side, side.end - start)
        if side.end and abs(start - side.end) <= drift:
            start = side.end
        late = max(0, self.written - start)  # what is written cannot be changed
        if late < pcm.size:
            side.pieces.append((start + late, pcm[late:]))
        side.end = max(side.end, start + pcm.size)

    def _move_back(self, side: _Side, samples: int) -> None:
        """More came than time went by: all of it was held up, and belongs into the pause before, as far as that is still
        open. What came first and does not fit is lost, since its time is written."""
        first = len(side.pieces)
        start = side.end
        while first and side.pieces[first - 1][0] + side.pieces[first - 1][1].size == start:
            first -= 1
            start = side.pieces[first][0]
        open_from = max(self.written, *(at + piece.size for at, piece in side.pieces[:first][-1:]), 0)
        moved: list[tuple[int, Pcm]] = []
        for at, piece in side.pieces[first:]:
            late = max(0, open_from - (at - samples))
            if late < piece.size:
                moved.append((at - samples + late, piece[late:]))
        side.pieces[first:] = moved
        side.end -= samples

    def _take_until(self, until: int) -> tuple[Pcm, Pcm]:
        left, right = self._cut_out(self._left, until), self._cut_out(self._right, until)
        for begin_ms, end_ms in [
            *self._pauses,
            *([(self._paused_ms, math.inf)] if self._paused_ms is not None else []),
        ]:
            begin = max(0, self._sample_at(begin_ms) - self.written)
            for side, late_ms in ((left, LATE_MS_MAX), (right, 0.0)):
                end = side.size if math.isinf(end_ms) else self._sample_at(end_ms + late_ms) - self.written
                side[begin : max(begin, end)] = 0
        self._pauses = [pause for pause in self._pauses if self._sample_at(pause[1] + LATE_MS_MAX) > until]
        self.written = until
        return left, right

    def _cut_out(self, side: _Side, until: int) -> Pcm:
        audio = np.zeros(until - self.written, np.int16)
        rest: list[tuple[int, Pcm]] = []
        for start, piece in side.pieces:
            here = piece[: max(0, until - start)]
            at = start - self.written
            audio[at : at + here.size] = here
            if here.size < piece.size:
                rest.append((start + here.size, piece[here.size :]))
        side.pieces = rest
        return audio
