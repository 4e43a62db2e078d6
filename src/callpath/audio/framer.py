"""Cuts PCM of any length into frames of one ptime."""

from __future__ import annotations

import numpy as np

from callpath.audio.pcm import PCM16_BYTES, Pcm

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


class Reframer:
    """Cuts what was received on one track into frames, and says how much of each stands in for lost audio.

    A pair is a frame and how many of its samples are concealed.
    """

    def __init__(self, frame_samples: int) -> None:
        self._framer = Framer(frame_samples)
        self._whole_bytes = PCM16_BYTES * frame_samples
        self._concealed = 0
        """How many of the samples that wait for the rest of their frame are concealed."""
        self.passing_bytes = self._whole_bytes
        """Length of PCM16 that is a frame as it is; -1 while something waits for the rest of its frame."""

    def push(self, pcm: Pcm, *, concealed: bool = False) -> list[tuple[Pcm, int]]:
        """The frames that are whole now, oldest first. The rest of `pcm` waits."""
        framer, size = self._framer, self._framer.frame_samples
        if pcm.size == size and not framer.pending_samples:
            return [(pcm, size if concealed else 0)]
        room = size - framer.pending_samples
        frames = framer.push(pcm)
        first = self._concealed + (min(pcm.size, room) if concealed else 0)
        later = size if concealed else 0
        if frames:
            self._concealed = framer.pending_samples if concealed else 0
        else:
            self._concealed = first
        self.passing_bytes = -1 if framer.pending_samples else self._whole_bytes
        return [(frame, later if number else first) for number, frame in enumerate(frames)]

    def flush(self) -> list[tuple[Pcm, int]]:
        """The rest as one frame, filled up with silence, if there is any: the track is over."""
        frame, concealed = self._framer.flush(), self._concealed
        self._concealed, self.passing_bytes = 0, self._whole_bytes
        return [] if frame is None else [(frame, concealed)]
