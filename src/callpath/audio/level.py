"""How loud audio is, and what it really is when its name is in doubt."""

from __future__ import annotations

import numpy as np

from callpath.audio.pcm import FULL_SCALE, Pcm

FLOOR_DBFS = -100.0
"""What zeros measure: below the last bit of 16 (-96), yet a number that sorts, prints and fits into JSON."""
SILENCE_DBFS = -60.0
"""Below this nobody speaks. Idle noise of a telephone line lies near -65, soft speech above -45."""


def level_dbfs(pcm: Pcm) -> float:
    """RMS against full scale: a sine that just fills the range measures -3.0, no audio or zeros -100.0."""
    if pcm.size == 0:
        return FLOOR_DBFS
    audio = pcm.astype(np.float64)
    return _dbfs(float(np.sqrt(audio @ audio / pcm.size)))


def peak_dbfs(pcm: Pcm) -> float:
    """The loudest sample against full scale; 0.0 means it clipped, or nearly."""
    if pcm.size == 0:
        return FLOOR_DBFS
    return _dbfs(float(max(int(pcm.max()), -int(pcm.min()))))


def is_silence(pcm: Pcm, below_dbfs: float = SILENCE_DBFS) -> bool:
    """True if nothing is to be heard, or there is no audio."""
    return level_dbfs(pcm) < below_dbfs


def _dbfs(magnitude: float) -> float:
    return max(FLOOR_DBFS, 20.0 * float(np.log10(magnitude / FULL_SCALE))) if magnitude > 0 else FLOOR_DBFS
