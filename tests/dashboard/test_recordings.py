"""What a page needs of a recording, and which files it may come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.dashboard.recordings import LEVELS_MAX, PEAKS_MAX, inside, outline
from callpath.errors import AudioError


def test_the_outline_of_two_sides(tmp_path: Path) -> None:
    """Lowest and highest by turns; a side that is silent is drawn as a line."""
    loud, silent = tone(440, duration_ms=1000, level_dbfs=-3.1), np.zeros(8000, np.int16)
    write_wav(tmp_path / "a.wav", (loud, silent), 8000)
    drawn = outline(tmp_path / "a.wav")
    caller, bot = drawn.sides

    assert (1000.0, 200, {0}) == (drawn.duration_ms, len(caller.peaks), set(bot.peaks))
    assert min(caller.peaks[::2]) < -30_000 and max(caller.peaks[1::2]) > 30_000
    assert [-3.1] * 10 == caller.levels_dbfs


def test_an_hour_is_drawn_with_no_more_points_than_a_screen_has(tmp_path: Path) -> None:
    """Else its page would take a megabyte and a second."""
    write_wav(tmp_path / "a.wav", np.zeros(8000 * 3600, np.int16), 8000)
    (side,) = outline(tmp_path / "a.wav").sides

    assert len(side.peaks) <= 2 * PEAKS_MAX
    assert len(side.levels_dbfs) <= LEVELS_MAX


def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    """Said, not crashed over."""
    (tmp_path / "a.wav").write_bytes(b"hello")

    with pytest.raises(AudioError):
        outline(tmp_path / "a.wav")


def test_only_files_in_the_data_directory(tmp_path: Path) -> None:
    """By a link or by dots neither."""
    folder = tmp_path / "data"
    folder.mkdir()
    ours, theirs = folder / "a.wav", tmp_path / "b.wav"
    ours.touch()
    theirs.touch()
    (folder / "link.wav").symlink_to(theirs)

    assert ours.resolve() == inside(folder, str(ours))
    assert [None] * 4 == [
        inside(folder, str(path))
        for path in (theirs, folder / ".." / "b.wav", folder / "link.wav", folder / "gone.wav")
    ]
