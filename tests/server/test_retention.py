"""Calls that are forgotten by age, and what of them lies on disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from callpath.clock import ManualClock
from callpath.errors import StoreError
from callpath.server.retention import DAY_MS, LOOK_EVERY_MS, calls_of_number, forget_by_age, forget_call, forget_older
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallQuery, Refusal
from callpath.timeline import Noted, RecordingSaved
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
        await log.refuse(Refusal(at, "upgrade", "unknown_session", "", client="192.0.2.7"))
    forgotten = await forget_older(log, tmp_path, AT + 1)

    assert forgotten == (1, 4, 1)
    assert [refusal.at_unix_ms for refusal in (await log.refusals(9))[1]] == [AT + DAY_MS]
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
    await forget_older(log, data_dir, AT + 1)

    assert outside.exists()
    assert await log.overviews(CallQuery(limit=10)) == []


async def test_what_killed_processes_left_of_a_call_goes_with_it(tmp_path: Path) -> None:
    """Each that took the call up recorded into a file of its own, and none of them wrote an entry."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in (f"{OLD}.wav", f"{OLD}-17.wav", f"{OLD}-17.flac", f"{OLD}er.wav"):
        (folder / name).write_bytes(b"RIFF")
    deleted, left = await forget_call(MemoryCallLog(), tmp_path, OLD)

    assert (3, []) == (len(deleted), left)
    assert [f"{OLD}er.wav"] == [file.name for file in folder.iterdir()]


async def test_it_is_done_again_and_again(tmp_path: Path) -> None:
    """A server runs for months; and a log that says no once is asked again."""
    log = await filled(tmp_path)
    failing = _FailsOnce(log)
    clock = ManualClock(unix_ms=AT + DAY_MS + 1)
    work = asyncio.ensure_future(forget_by_age(failing, tmp_path, 1, clock))
    await clock.advance(1)
    calls_after_failure = len(await log.overviews(CallQuery(limit=10)))
    await clock.advance(LOOK_EVERY_MS)
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


class _FailsOnce(MemoryCallLog):
    def __init__(self, log: MemoryCallLog) -> None:
        self.__dict__ = log.__dict__
        self.failed = False

    async def silent_since(self, before_unix_ms: int, limit: int) -> list[SessionId]:
        if not self.failed:
            self.failed = True
            raise StoreError("locked")
        return await super().silent_since(before_unix_ms, limit)
