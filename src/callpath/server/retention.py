"""Forgetting calls: their timelines, and their recordings on this machine. By age (CALLPATH_KEEP_DAYS) or on request
(`callpath calls forget`). By age only, requests that were refused before they could be tied to a call.

Recordings that were uploaded (CALLPATH_RECORDINGS) are deleted there; otherwise only files below the data directory are:
where an application itself puts recordings, it is their owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from callpath.call.kept import Kept, kept_recordings
from callpath.call.overview import CallOverview
from callpath.clock import Clock
from callpath.errors import ArchiveError, StoreError
from callpath.store.archive import Archive
from callpath.store.port import CallLog, CallQuery
from callpath.wire.ids import SessionId

DAY_MS = 86_400_000
LOOK_EVERY_MS = 3_600_000.0
"""How often calls are looked for that have become old."""

PAGE = 200
COMPRESSED = (".flac", ".opus")
"""What `callpath recording convert` leaves beside a WAV."""

BESIDE = (*COMPRESSED, ".outline.json")
"""What else lies beside a WAV where recordings are kept: its copies, and what the dashboard draws of it."""

logger = structlog.get_logger("callpath")


async def forget_by_age(
    log: CallLog, data_dir: Path, keep_days: int, clock: Clock, archive: Archive | None = None
) -> None:
    """Runs beside the calls, for as long as the server does. A log that cannot be written is tried again an hour later."""
    while True:
        try:
            before_unix_ms = clock.now_unix_ms() - keep_days * DAY_MS
            calls, files, refusals = await forget_older(log, data_dir, before_unix_ms, archive)
        except (StoreError, ArchiveError, OSError) as error:
            logger.error("Old calls not forgotten", event_name="retention.failed", error=str(error))
        else:
            if calls or files or refusals:
                logger.info(
                    f"{calls} calls, {files} recordings and {refusals} refused requests forgotten",
                    event_name="retention.forgot",
                )
        await clock.sleep_ms(LOOK_EVERY_MS)


async def forget_older(
    log: CallLog, data_dir: Path, before_unix_ms: int, archive: Archive | None = None
) -> tuple[int, int, int]:
    """Forget calls with no entry since then, requests refused before, and all recordings last written before: those of
    killed processes, and of calls whose timeline another node has forgotten, stand in no timeline. Returns how many
    calls, files, and refusals.

    Raises StoreError, ArchiveError, OSError.
    """
    calls = files = 0
    while old := await log.silent_since(before_unix_ms, PAGE):
        for session in old:
            deleted, left = await forget_call(log, data_dir, session, archive, strays=False)
            for url in (one for one in left if "://" in one):
                logger.error("Recording not deleted: CALLPATH_RECORDINGS is another place now", event_name="recording.left",
                             url=url, call_session_id=session)  # fmt: skip
            files += len(deleted)
            calls += 1
    files += await asyncio.to_thread(_delete_older, data_dir / "recordings", before_unix_ms)
    return calls, files, await log.forget_refusals(before_unix_ms)


async def forget_call(
    log: CallLog, data_dir: Path, session: SessionId, archive: Archive | None = None, *, strays: bool = True
) -> tuple[list[str], list[str]]:
    """Forget one call: recordings first, so that what cannot be deleted keeps its entry. Returns the files deleted, and
    recordings that were not: elsewhere, on another node, or gone. `strays`: look through the whole folder for what killed
    processes left of a call that others took up.

    Raises StoreError, ArchiveError, OSError.
    """
    kept = kept_recordings(await log.read(session))
    deleted, left = await asyncio.to_thread(_delete_recordings, kept, data_dir, session, strays=strays)
    for url in (one.url for one in kept if one.url is not None):
        name = archive.name_of(url) if archive is not None else None
        if archive is None or name is None:
            left.append(url)
        else:
            await archive.delete(name, *(str(Path(name).with_suffix(form)) for form in BESIDE))
            deleted.append(url)
    await log.forget(session)
    return deleted, left


async def calls_of_number(log: CallLog, number: str) -> list[CallOverview]:
    """All calls from or to exactly this number. Raises StoreError."""
    found: list[CallOverview] = []
    before: tuple[int, str] | None = None
    while True:
        page = await log.overviews(CallQuery(limit=PAGE, before=before, text=number))
        found += [one for one in page if number in (one.from_, one.to)]
        if len(page) < PAGE:
            return found
        before = page[-1].first_unix_ms, page[-1].session


def _delete_recordings(
    kept: Iterable[Kept], data_dir: Path, session: SessionId, *, strays: bool
) -> tuple[list[str], list[str]]:
    inside = data_dir.resolve()
    named = {one.path: one.url for one in kept}
    folder = data_dir / "recordings"  # a killed process leaves these without an entry
    usual = [folder / f"{session}.wav"]
    if strays and folder.is_dir():
        usual += [file for file in folder.iterdir() if file.suffix == ".wav" and file.name.startswith(f"{session}-")]
    deleted: list[str] = []
    left: list[str] = []
    for path in sorted({*named, *map(str, usual)}):
        file = Path(path).resolve()
        ours = file.is_relative_to(inside)
        present = [one for one in (file, *map(file.with_suffix, COMPRESSED)) if ours and one.is_file()]
        for one in present:
            one.unlink()
        deleted += map(str, present)
        if not present and path in named and named[path] is None:
            left.append(path)
    return deleted, left


def _delete_older(folder: Path, before_unix_ms: int) -> int:
    old = [
        file
        for file in (folder.iterdir() if folder.is_dir() else ())
        if file.suffix in (".wav", *COMPRESSED) and file.is_file() and file.stat().st_mtime * 1000 < before_unix_ms
    ]
    for file in old:
        file.unlink()
    return len(old)
