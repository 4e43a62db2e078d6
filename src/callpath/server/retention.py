"""Delete calls: their timelines, and their recordings on this machine. By age (CALLPATH_KEEP_DAYS) or on request
(`callpath calls forget`). By age only, requests that were refused before they could be tied to a call.

Recordings that were uploaded (CALLPATH_RECORDINGS) are deleted there; otherwise only files below the data directory are:
where an application itself puts recordings, it is their owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from callpath.call.dials import dial_session
from callpath.call.kept import StoredRecording, recordings_of
from callpath.call.overview import CallOverview
from callpath.clock import Clock
from callpath.errors import ArchiveError, StoreError
from callpath.store.archive import Archive
from callpath.store.port import CallLog, CallQuery
from callpath.timeline import CommandSent
from callpath.wire.command import Dial
from callpath.wire.ids import SessionId

DAY_MS = 86_400_000
DELETE_EVERY_MS = 3_600_000.0
"""How often calls that have become old are deleted, and those tried again that could not be."""

PAGE = 200
FAILED_MAX = 10_000
"""Maximum calls that one run leaves behind, because they cannot be deleted; with more, it ends."""

STORE_ERRORS_MAX = 3
"""Maximum calls in a row that the log fails on; with more, it is the log that cannot be used, and the run ends."""

COMPRESSED = (".flac", ".opus")
"""What `callpath recording convert` leaves beside a WAV."""

BESIDE = (*COMPRESSED, ".outline.json")
"""What else lies beside a WAV where recordings are kept: its copies, and what the dashboard draws of it."""

logger = structlog.get_logger("callpath")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What one run did: calls, files and refused requests deleted; calls and files that could not be, with the first
    reason."""

    calls: int = 0
    files: int = 0
    refusals: int = 0
    failed: int = 0
    error: str = ""


async def delete_by_age(
    log: CallLog, data_dir: Path, keep_days: int, clock: Clock, archive: Archive | None = None
) -> None:
    """Runs beside the calls, for as long as the server does. What cannot be deleted is tried again an hour later."""
    while True:
        before_unix_ms = clock.now_unix_ms() - keep_days * DAY_MS
        try:
            deleted = await delete_older_calls(log, data_dir, before_unix_ms, archive)
        except (StoreError, ArchiveError, OSError) as error:
            logger.error("Old calls not deleted", event_name="retention.failed", error=str(error))
        else:
            if deleted.failed:
                logger.error(
                    f"{deleted.failed} old calls or recordings cannot be deleted: tried again in an hour",
                    event_name="retention.failed",
                    failed=deleted.failed,
                    error=deleted.error,
                )
            if deleted.calls or deleted.files or deleted.refusals:
                logger.info(
                    f"{deleted.calls} calls, {deleted.files} recordings and {deleted.refusals} refused requests deleted",
                    event_name="retention.forgot",
                )
        await clock.sleep_ms(DELETE_EVERY_MS)


async def delete_older_calls(
    log: CallLog, data_dir: Path, before_unix_ms: int, archive: Archive | None = None
) -> Deleted:
    """Delete calls with no entry since then, requests refused before, and all recordings last written before: those of
    killed processes, and of calls whose timeline another node has deleted, stand in no timeline. A call that cannot be
    deleted keeps its timeline, and no other from being deleted.

    Raises StoreError if the log cannot be used, OSError if the folder cannot be read.
    """
    calls = files = store_errors = 0
    failed: dict[SessionId, str] = {}
    unreachable: ArchiveError | None = None
    while len(failed) < FAILED_MAX:
        old = [one for one in await log.silent_since(before_unix_ms, PAGE + len(failed)) if one not in failed]
        if not old:
            break
        for session in old:
            try:
                deleted, left = await delete_call(
                    log, data_dir, session, archive, orphans=False, unreachable=unreachable
                )
            except StoreError as error:
                store_errors += 1
                if store_errors >= STORE_ERRORS_MAX:
                    raise
                failed[session] = str(error)
                continue
            except (ArchiveError, OSError) as error:
                failed[session] = str(error)
                if isinstance(error, ArchiveError) and error.code == "REC003":
                    unreachable = error
                continue
            store_errors = 0
            for url in (one for one in left if "://" in one):
                logger.error("Recording not deleted: CALLPATH_RECORDINGS is another place now", event_name="recording.left",
                             url=url, call_session_id=session)  # fmt: skip
            files += len(deleted)
            calls += 1
    orphans, errors = await asyncio.to_thread(_delete_older, data_dir / "recordings", before_unix_ms)
    errors = [*failed.values(), *errors]
    refusals = await log.forget_rejected(before_unix_ms)
    return Deleted(calls, files + orphans, refusals, len(errors), errors[0] if errors else "")


async def delete_call(
    log: CallLog,
    data_dir: Path,
    session: SessionId,
    archive: Archive | None = None,
    *,
    orphans: bool = True,
    unreachable: ArchiveError | None = None,
) -> tuple[list[str], list[str]]:
    """Delete one call: recordings first, so that what cannot be deleted keeps its entry. Returns the files deleted, and
    recordings that were not: elsewhere, on another node, or gone. `orphans`: look through the whole folder for what killed
    processes left of a call that others recovered. `unreachable`: why the archive need not be asked.

    Raises StoreError, ArchiveError, OSError.
    """
    entries = await log.read(session)
    known = recordings_of(entries)
    deleted, left = await asyncio.to_thread(_delete_recordings, known, data_dir, session, orphans=orphans)
    for url in (one.url for one in known if one.url is not None):
        name = archive.name_of(url) if archive is not None else None
        if archive is None or name is None:
            left.append(url)
        elif unreachable is not None:
            raise unreachable
        else:
            await archive.delete(name, *(str(Path(name).with_suffix(form)) for form in BESIDE))
            deleted.append(url)
    await log.forget(session)
    for entry in entries:
        if isinstance(entry.what, CommandSent) and entry.what.command == Dial.NAME:
            await log.forget(dial_session(entry.what.command_id))  # its order has the number, too
    return deleted, left


async def calls_of_number(log: CallLog, number: str) -> list[CallOverview]:
    """All calls from or to exactly this number. Raises StoreError."""
    found: list[CallOverview] = []
    before: tuple[int, str] | None = None
    while True:
        page = await log.overviews(CallQuery(limit=PAGE, before=before, text=number, placed=True))
        found += [one for one in page if number in (one.from_, one.to)]
        if len(page) < PAGE:
            return found
        before = page[-1].first_unix_ms, page[-1].session


def _delete_recordings(
    known: Iterable[StoredRecording], data_dir: Path, session: SessionId, *, orphans: bool
) -> tuple[list[str], list[str]]:
    inside = data_dir.resolve()
    named = {one.path: one.url for one in known}
    folder = data_dir / "recordings"  # a killed process leaves these without an entry
    usual = [folder / f"{session}.wav"]
    if orphans and folder.is_dir():
        usual += [file for file in folder.iterdir() if file.suffix == ".wav" and file.name.startswith(f"{session}-")]
    deleted: list[str] = []
    left: list[str] = []
    errors: list[OSError] = []
    for path in sorted({*named, *map(str, usual)}):
        file = Path(path).resolve()
        ours = file.is_relative_to(inside)
        present = [one for one in (file, *map(file.with_suffix, COMPRESSED)) if ours and one.is_file()]
        for one in present:
            try:
                one.unlink(missing_ok=True)
            except OSError as error:  # the others go all the same
                errors.append(error)
            else:
                deleted.append(str(one))
        if not present and path in named and named[path] is None:
            left.append(path)
    if errors:
        raise errors[0]
    return deleted, left


def _delete_older(folder: Path, before_unix_ms: int) -> tuple[int, list[str]]:
    """How many were deleted, and why others were not."""
    deleted, errors = 0, list[str]()
    for file in folder.iterdir() if folder.is_dir() else ():
        try:
            if file.suffix not in (".wav", *COMPRESSED) or not file.is_file():
                continue
            if file.stat().st_mtime * 1000 < before_unix_ms:
                file.unlink()
                deleted += 1
        except FileNotFoundError:
            pass  # uploaded or deleted meanwhile
        except OSError as error:
            errors.append(str(error))
    return deleted, errors
