"""Which recordings a call has, by its timeline."""

from __future__ import annotations

from callpath.call.kept import Kept, kept_recordings
from callpath.timeline import Noted, RecordingSaved, RecordingStored
from tests.dashboard.calls import entries

SAVED = RecordingSaved(path="/d/a.wav", duration_ms=2000.0)
STORED = RecordingStored(path="/d/a.wav", url="s3://b/a.wav", duration_ms=2000.0, size_bytes=44, written_unix_ms=7)


def test_a_recording_is_one_wherever_it_is() -> None:
    """Two rows for one recording would be drawn twice; and it began when it did, not when it was uploaded."""
    saved, _, stored = entries("call", [SAVED, Noted(text="x"), STORED], at=100)
    elsewhere = RecordingSaved(path="/d/b.wav", duration_ms=1.0)
    (other,) = entries("call", [elsewhere], at=500)

    assert [Kept(0, "/d/a.wav", 2000.0, 100), Kept(0, "/d/b.wav", 1.0, 500)] == kept_recordings([saved, other])
    assert [Kept(0, "/d/a.wav", 2000.0, 100, "s3://b/a.wav")] == kept_recordings([saved, stored])
    assert [] == kept_recordings([])


def test_what_a_killed_process_left() -> None:
    """It never said that it had recorded."""
    assert [Kept(0, "/d/a.wav", 2000.0, 7, "s3://b/a.wav")] == kept_recordings(entries("call", [STORED]))
