"""Calls that are deleted by age, and what of them lies on disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from callpath.clock import ManualClock
from callpath.errors import ArchiveError, StoreError
from callpath.server import retention
from callpath.server.retention import (
    DAY_MS,
    DELETE_EVERY_MS,
    STORE_ERRORS_MAX,
    Deleted,
    calls_of_number,
    delete_by_age,
    delete_call,
    delete_older_calls,
)
from callpath.store.archive import Archive
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallQuery, RejectedRequest
from callpath.timeline import Noted, RecordingSaved, RecordingStored
from callpath.wire.ids import SessionId
from tests.call.test_session import INITIATED
from tests.store.entries import AT, entry

OLD, NEW = SessionId("old"), SessionId("new")


async def filled(data_dir: Path) -> MemoryCallLog:
    """An old call and a new one, each with a recording; and one that a killed process left long ago."""
    log = MemoryCallLog()
    folder = data_dir / "recordings"
    folder.mkdir()
    for session, at in ((OLD, AT), (NEW, AT + DAY_MS)):
        for name in (f"{session}.wav", f"{session}-2.wav", f"{session}-2.opus", "orphan.wav", "notes.txt"):
            (folder / name).write_bytes(b"RIFF")
            os.utime(folder / name, (AT / 1000, AT / 1000))
        for what in (Noted(text="x"), RecordingSaved(path=str(folder / f"{session}-2.wav"), duration_ms=1.0)):
            await log.append(entry(what, session, at=at))
    for name in (f"{NEW}.wav", f"{NEW}-2.wav", f"{NEW}-2.opus"):
        os.utime(folder / name, ((AT + DAY_MS) / 1000,) * 2)
    return log


async def test_what_is_old_goes_and_what_is_new_stays(tmp_path: Path) -> None:
    """A promise about days must hold for what no timeline names, too, and must not touch other files."""
    log = await filled(tmp_path)
    for at in (AT, AT + DAY_MS):
        await log.note_rejected(RejectedRequest(at, "upgrade", "unknown_session", "", client="192.0.2.7"))
    deleted = await delete_older_calls(log, tmp_path, AT + 1)

    assert deleted == Deleted(calls=1, files=4, refusals=1)
    assert [refusal.at_unix_ms for refusal in (await log.rejected(9))[1]] == [AT + DAY_MS]
    assert [call.session for call in await log.overviews(CallQuery(limit=10))] == [NEW]
    assert sorted(file.name for file in (tmp_path / "recordings").iterdir()) == sorted(
        [f"{NEW}.wav", f"{NEW}-2.wav", f"{NEW}-2.opus", "notes.txt"]
    )


async def test_a_session_id_leads_to_no_other_folder(tmp_path: Path) -> None:
    """Ids come from outside: `../secret` must not delete ../secret.wav."""
    data_dir = tmp_path / "data"
    (data_dir / "recordings").mkdir(parents=True)
    outside = tmp_path / "secret.wav"
    outside.write_bytes(b"RIFF")
    log = MemoryCallLog()
    for session in ("../../secret", str(outside.with_suffix(""))):
        await log.append(entry(RecordingSaved(path=str(outside), duration_ms=1.0), SessionId(session)))
    await delete_older_calls(log, data_dir, AT + 1)

    assert outside.exists()
    assert await log.overviews(CallQuery(limit=10)) == []


async def test_what_killed_processes_left_of_a_call_goes_with_it(tmp_path: Path) -> None:
    """Each that took the call up recorded into a file of its own, and none of them wrote an entry."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in (f"{OLD}.wav", f"{OLD}-17.wav", f"{OLD}-17.flac", f"{OLD}er.wav"):
        (folder / name).write_bytes(b"RIFF")
    deleted, left = await delete_call(MemoryCallLog(), tmp_path, OLD)

    assert (3, []) == (len(deleted), left)
    assert [f"{OLD}er.wav"] == [file.name for file in folder.iterdir()]


async def test_it_is_done_again_and_again(tmp_path: Path) -> None:
    """A server runs for months; and a log that says no once is asked again."""
    log = await filled(tmp_path)
    failing = _FailsOnce(log)
    clock = ManualClock(unix_ms=AT + DAY_MS + 1)
    work = asyncio.ensure_future(delete_by_age(failing, tmp_path, 1, clock))
    await clock.advance(1)
    calls_after_failure = len(await log.overviews(CallQuery(limit=10)))
    await clock.advance(DELETE_EVERY_MS)
    while len(await log.overviews(CallQuery(limit=10))) == 2:
        await asyncio.sleep(0)
    work.cancel()

    assert calls_after_failure == 2
    assert [call.session for call in await log.overviews(CallQuery(limit=10))] == [NEW]


async def test_a_number_means_exactly_that_number() -> None:
    """+1555 must not take +15555550123 with it."""
    log = MemoryCallLog()
    await log.append(entry(INITIATED))
    (call,) = await log.overviews(CallQuery())
    assert call.from_ is not None
    assert call.to is not None

    assert [one.session for one in await calls_of_number(log, call.from_)] == [call.session]
    assert [one.session for one in await calls_of_number(log, call.to)] == [call.session]
    assert await calls_of_number(log, call.from_[:-1]) == []


# --- what cannot be deleted --------------------------------------------------------------------------------------------


class Locked(Archive):
    """A bucket in which some objects cannot be deleted: an object lock, a legal hold."""

    def __init__(self, *locked: str, code: str = "REC001") -> None:
        from obstore.store import MemoryStore

        super().__init__("s3://calls", MemoryStore())
        self.locked, self.code = locked, code
        self.asked: list[str] = []

    async def delete(self, *names: str) -> None:
        self.asked.append(names[0])
        if names[0] in self.locked:
            raise ArchiveError(f"{names[0]} cannot be deleted: AccessDenied", code=self.code)


async def with_urls(count: int) -> MemoryCallLog:
    """Old calls whose recordings are in the bucket, the oldest first."""
    log = MemoryCallLog()
    for number in range(count):
        stored = RecordingStored(
            path=f"/data/{number}.wav",
            url=f"s3://calls/{number}.wav",
            duration_ms=1.0,
            size_bytes=1,
            written_unix_ms=AT,
        )
        await log.append(entry(stored, SessionId(f"call-{number}"), at=AT + number))
    return log


@pytest.mark.parametrize("locked", [[0], [1], [0, 1, 2], [3]])
async def test_a_recording_that_cannot_be_deleted_keeps_no_other(
    tmp_path: Path, locked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run began with the oldest call, and ended there: nothing was deleted any more, for months."""
    monkeypatch.setattr(retention, "PAGE", 2)
    log = await with_urls(4)
    archive = Locked(*(f"{number}.wav" for number in locked))
    deleted = await delete_older_calls(log, tmp_path, AT + 1000, archive)
    left = sorted(call.session for call in await log.overviews(CallQuery(limit=10)))
    archive.locked = ()
    later = await delete_older_calls(log, tmp_path, AT + 1000, archive)

    assert (
        Deleted(4 - len(locked), 4 - len(locked), 0, len(locked), f"{locked[0]}.wav cannot be deleted: AccessDenied")
        == deleted
    )
    assert [f"call-{number}" for number in locked] == left
    assert Deleted(len(locked), len(locked)) == later


async def test_a_bucket_that_is_away_is_asked_once(tmp_path: Path) -> None:
    """Each try takes its timeout; ten thousand calls would take days. Calls without a recording there go."""
    log = await with_urls(3)
    await log.append(entry(Noted(text="x"), SessionId("without"), at=AT + 500))
    archive = Locked("0.wav", "1.wav", "2.wav", code="REC003")
    deleted = await delete_older_calls(log, tmp_path, AT + 1000, archive)

    assert ["0.wav"] == archive.asked
    assert (1, 3) == (deleted.calls, deleted.failed)


async def test_a_file_that_cannot_be_deleted_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only mount, a file of root's; of the same call, of another, of none."""
    log = await filled(tmp_path)
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self.name in (f"{OLD}.wav", "orphan.wav"):
            raise PermissionError(13, "Permission denied", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    deleted = await delete_older_calls(log, tmp_path, AT + 1)
    monkeypatch.setattr(Path, "unlink", unlink)
    there = sorted(file.name for file in (tmp_path / "recordings").iterdir())
    later = await delete_older_calls(log, tmp_path, AT + 1)

    assert (0, 3) == (deleted.calls, deleted.failed)  # the call, and by their age both files
    assert "Permission denied" in deleted.error
    assert [f"{NEW}-2.opus", f"{NEW}-2.wav", f"{NEW}.wav", "notes.txt", f"{OLD}.wav", "orphan.wav"] == there
    assert (1, 2, 0) == (later.calls, later.files, later.failed)


async def test_a_timeline_that_cannot_be_deleted_keeps_no_other(tmp_path: Path) -> None:
    """But a log that fails for each is asked no further."""
    log = _FailsFor({SessionId("call-0"), SessionId("call-2")}, await with_urls(4))
    deleted = await delete_older_calls(log, tmp_path, AT + 1000, Locked())
    broken = _FailsFor({SessionId(f"call-{number}") for number in range(9)}, await with_urls(9))
    with pytest.raises(StoreError):
        await delete_older_calls(broken, tmp_path, AT + 1000, Locked())

    assert (2, 2, "locked") == (deleted.calls, deleted.failed, deleted.error)
    assert STORE_ERRORS_MAX == broken.failed


async def test_what_cannot_be_deleted_is_logged_once_a_run_and_tried_again(tmp_path: Path) -> None:
    """A line for each would be a thousand an hour."""
    log = await with_urls(4)
    archive = Locked("0.wav", "2.wav", "3.wav")
    clock = ManualClock(unix_ms=AT + DAY_MS + 1000)
    with capture_logs() as said:
        work = asyncio.ensure_future(delete_by_age(log, tmp_path, 1, clock, archive))
        while len(said) < 2:
            await clock.advance(1)
            await asyncio.sleep(0.001)
        archive.locked = ()
        await clock.advance(DELETE_EVERY_MS)
        while len(said) < 3:
            await asyncio.sleep(0.001)
        work.cancel()
    failed = [line for line in said if line["event_name"] == "retention.failed"]

    assert [3] == [line["failed"] for line in failed]
    assert "0.wav cannot be deleted" in failed[0]["error"]
    assert [] == await log.overviews(CallQuery(limit=10))


class _FailsFor(MemoryCallLog):
    def __init__(self, sessions: set[SessionId], log: MemoryCallLog) -> None:
        self.__dict__ = log.__dict__
        self.sessions = sessions
        self.failed = 0

    async def forget(self, session: SessionId) -> bool:
        if session in self.sessions:
            self.failed += 1
            raise StoreError("locked")
        return await super().forget(session)


class _FailsOnce(MemoryCallLog):
    def __init__(self, log: MemoryCallLog) -> None:
        self.__dict__ = log.__dict__
        self.failed = False

    async def silent_since(self, before_unix_ms: int, limit: int) -> list[SessionId]:
        if not self.failed:
            self.failed = True
            raise StoreError("locked")
        return await super().silent_since(before_unix_ms, limit)
