"""Which recordings a call has, and where each is, by its timeline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from callpath.timeline import Entry, RecordingNotStored, RecordingSaved, RecordingStored


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording. `number` is that of the first entry about it; `url` None: it never left `path`."""

    number: int
    path: str
    duration_ms: float
    ended_unix_ms: int
    url: str | None = None


def recordings_of(entries: Iterable[Entry]) -> list[StoredRecording]:
    """In the order in which the timeline names them."""
    found: dict[str, StoredRecording] = {}
    for entry in entries:
        match entry.what:
            case RecordingSaved(path=path, duration_ms=duration_ms):
                found.setdefault(path, StoredRecording(entry.number, path, duration_ms, entry.at_unix_ms))
            case RecordingNotStored(path=path, recorded_ms=float(recorded_ms)) if recorded_ms:
                found.setdefault(path, StoredRecording(entry.number, path, recorded_ms, entry.at_unix_ms))
            case RecordingStored() as what:
                of_killed = StoredRecording(entry.number, what.path, what.duration_ms, what.written_unix_ms)
                found[what.path] = replace(found.get(what.path, of_killed), url=what.url)
            case _:
                pass
    return list(found.values())
