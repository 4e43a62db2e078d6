"""Cuts PCM of any length into frames of one ptime."""

from __future__ import annotations

import numpy as np

from callpath.audio.pcm import Pcm

_NOTHING: Pcm = np.zeros(0, np.int16)


class Framer:
    """Holds back what does not fill a frame yet, never more than one frame less a sample.

    The frames are copies of what was pushed: the caller may reuse its buffer at once.
    """

    def __init__(self, frame_samples: int) -> None:
        assert frame_samples > 0, "a frame needs at least one sample"
        self.frame_samples = frame_samples
        self.pending_samples = 0
        """How much waits for the rest of its frame."""
        self._tail: Pcm = _NOTHING

    def push(self, pcm: Pcm) -> list[Pcm]:
        """The frames that are whole now, oldest first."""
        audio = np.concatenate((self._tail, pcm))
        whole = audio.size - audio.size % self.frame_samples
        # Copied, so that a few samples do not keep a minute of speech alive.
        self._tail = audio[whole:].copy()
        self.pending_samples = int(self._tail.size)
        return [audio[start : start + self.frame_samples] for start in range(0, whole, self.frame_samples)]

    def flush(self) -> Pcm | None:
        """The rest as one frame, filled up with silence; None if there is none. Call it at the end of an utterance."""
        if not self.pending_samples:
            return None
        frame = np.zeros(self.frame_samples, np.int16)
        frame[: self._tail.size] = self._tail
        self.clear()
        return frame

    def clear(self) -> None:
        """Forget the rest: barge-in."""
        self._tail = _NOTHING
        self.pending_samples = 0
