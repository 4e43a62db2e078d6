"""The outline of a recording."""

from __future__ import annotations

import numpy as np

from callpath.audio.peaks import peaks


def test_lowest_and_highest_of_each_stretch() -> None:
    """A click between two drawn points must still be seen."""
    pcm = np.zeros(400, np.int16)
    pcm[30], pcm[170], pcm[399] = 900, -800, 7

    assert peaks(pcm, 8000, per_s=50) == [(0, 900), (-800, 0), (0, 7)]


def test_nothing_has_no_outline() -> None:
    """An empty recording is drawn as nothing and not as an error."""
    assert peaks(np.zeros(0, np.int16), 8000) == []
