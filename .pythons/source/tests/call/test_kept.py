"""Which recordings a call has, by its timeline."""

from __future__ import annotations

from callpath.call.kept import StoredRecording, recordings_of
from callpath.timeline import Noted, RecordingNotStored, RecordingSaved, RecordingStored
from tests.dashboard.calls import entries

SAVED = RecordingSaved(path="/d/a.wav", duration_ms=2000.0)
STORED = RecordingStored(path="/d/a.wav", url="s3://b/a.wav", duration_ms=2000.0, size_bytes=44, written_unix_ms=7)


def test_a_recording_is_one_wherever_it_is() -> None:
    """Two rows for one recording would be drawn twice; and it began when it did, not when it was uploaded."""
    saved, _, stored = entries("call", [SAVED, Noted(text="x"), STORED], at=100)
    elsewhere = RecordingSaved(path="/d/b.wav", duration_ms=1.0)
    (other,) = entries("call", [elsewhere], at=500)

    assert [StoredRecording(0, "/d/a.wav", 2000.0, 100), StoredRecording(0, "/d/b.wav", 1.0, 500)] == recordings_of(
        [saved, other]
    )
    assert [StoredRecording(0, "/d/a.wav", 2000.0, 100, "s3://b/a.wav")] == recordings_of([saved, stored])
    assert [] == recordings_of([])


def test_what_a_killed_process_left() -> None:
    """It never said that it had recorded."""
    assert [StoredRecording(0, "/d/a.wav", 2000.0, 7, "s3://b/a.wav")] == recordings_of(entries("call", [STORED]))


def test_what_was_recorded_before_the_disk_was_full() -> None:
    """It can be listened to, and must be deleted with the call. One that waits for its upload is no second recording."""
    full = RecordingNotStored(path="/d/a.wav", code="REC007", slug="disk_full", detail="", recorded_ms=1500.0)
    nothing = RecordingNotStored(path="/d/b.wav", code="REC008", slug="not_writable", detail="", recorded_ms=0.0)
    later = RecordingNotStored(path="/d/c.wav", code="REC003", slug="unreachable", detail="")

    assert [StoredRecording(0, "/d/a.wav", 1500.0, 100)] == recordings_of(
        entries("call", [full, nothing, later], at=100)
    )
