"""What a page needs of a recording: its outline for the waveform, and how loud each side was. Reads files: call it in a
thread."""

from __future__ import annotations

from pathlib import Path

from callpath.audio.level import level_dbfs
from callpath.audio.peaks import peaks
from callpath.audio.wav import read_wav_sides
from callpath.dashboard.documents import Outline, Side

PEAKS_MAX = 4000
"""Points of an outline: more than any screen has columns."""

LEVELS_PER_S = 10
LEVELS_MAX = 6000


def inside(folder: Path, path: str) -> Path | None:
    """The file of a recording, if it is one of ours: below `folder`, and still there."""
    file = Path(path).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None


def outline(path: Path) -> Outline:
    """Peaks and levels of each side. Raises AudioError, OSError."""
    sides, rate_hz = read_wav_sides(path)
    samples = max((side.size for side in sides), default=0)
    seconds = samples / rate_hz
    per_s = max(1, min(100, int(PEAKS_MAX / max(seconds, 1))))
    levels_per_s = max(1, min(LEVELS_PER_S, int(LEVELS_MAX / max(seconds, 1))))
    stretch = rate_hz // levels_per_s
    return Outline(
        duration_ms=1000 * seconds,
        peaks_per_s=per_s,
        levels_per_s=levels_per_s,
        sides=[
            Side(
                name=name,
                peaks=[bound for pair in peaks(side, rate_hz, per_s) for bound in pair],
                levels_dbfs=[round(level_dbfs(side[at : at + stretch]), 1) for at in range(0, side.size, stretch)],
            )
            for name, side in zip(("caller", "bot"), sides, strict=False)
        ],
    )
