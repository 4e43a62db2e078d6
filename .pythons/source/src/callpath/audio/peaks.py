"""The outline of a recording, as a waveform on a page needs it: per stretch of time the lowest and the highest sample."""

from __future__ import annotations

import numpy as np

from callpath.audio.pcm import Pcm

PEAKS_PER_S = 50


def peaks(pcm: Pcm, sample_rate_hz: int, per_s: int = PEAKS_PER_S) -> list[tuple[int, int]]:
    """(lowest, highest) for each 1/`per_s` of a second; the last stretch may be shorter."""
    stretch = max(1, sample_rate_hz // per_s)
    whole = pcm[: pcm.size // stretch * stretch].reshape(-1, stretch)
    outline = list(zip(whole.min(axis=1).tolist(), whole.max(axis=1).tolist(), strict=True)) if whole.size else []
    rest = pcm[whole.size :]
    if rest.size:
        outline.append((int(np.min(rest)), int(np.max(rest))))
    return outline
