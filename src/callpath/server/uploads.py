"""Recordings go to where they are kept (CALLPATH_RECORDINGS) when their calls are over.

What lies in the recordings folder is still to be uploaded: the folder is the queue, so nothing is lost with the process.
A file that some process writes is locked by it (`audio.wav`), and so is one that is being uploaded. It is deleted here
only after the store has confirmed it and the timeline says where it is. All work on files is done in threads of its own: a
disk that hangs holds up uploads, and no call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from callpath.api.file_threads import FileThreads
from callpath.audio.wav import unless_being_written, wav_duration_ms
from callpath.clock import Clock
from callpath.errors import ArchiveError, AudioError, StoreError
from callpath.server.metrics import Metrics
from callpath.server.retention import COMPRESSED
from callpath.store.archive import TROUBLES, Archive
from callpath.store.port import CallLog
from callpath.timeline import Entry, RecordingNotStored, RecordingStored
from callpath.wire.ids import SessionId

R = TypeVar("R")

SCAN_EVERY_MS = 30_000.0
"""How often the folder is scanned without an announcement: for what other processes left there."""

RETRY_MS, RETRY_MS_MAX = 5_000.0, 600_000.0
"""After a failure; doubled each time, up to ten minutes, for ever: a bucket can be away for a weekend."""

AT_ONCE = 4
"""Maximum uploads at the same time."""

QUIET_MS = 60_000
"""Without locks (Windows, some network disks) a file is finished when nobody has written to it for a minute."""

SESSION_CHARACTERS = 36
"""Of a session id: a file is named by its call, and may have more after that."""

logger = structlog.get_logger("callpath")


@dataclass(slots=True)
class _Trouble:
    """What became of the tries so far with one file."""

    again_ms: float
    wait_ms: float
    code: str


class Uploads:
    """The uploads of this process. `write` puts an entry into the call log; False: it was there."""

    def __init__(
        self,
        archive: Archive,
        folder: Path,
        *,
        log: CallLog,
        write: Callable[[Entry], Awaitable[bool]],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._archive = archive
        self._folder = folder
        self._log = log
        self._write = write
        self._clock = clock
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._threads = FileThreads("upload recordings", AT_ONCE)
        self._troubles: dict[Path, _Trouble] = {}
        self._announced: set[Path] = set()
        self._waiting: set[Path] = set()
        """Files in the folder, as of the last scan, and announced since then."""
        metrics.gauge("callpath_recordings_waiting", "Recordings not uploaded yet, on this node", self._count_waiting)

    def announce(self, path: str) -> None:
        """A recording is finished."""
        if Path(path).parent == self._folder:
            self._announced.add(Path(path))
            self._waiting.add(Path(path))
            self._wake.set()

    @property
    def under_way(self) -> int:
        """Recordings of calls that ended a moment ago. Stopping now would leave them here, on a disk that may not last."""
        return len(self._announced)

    async def run(self) -> None:
        """Runs beside the calls, for as long as the server does."""
        try:
            await self._archive.check()
        except ArchiveError as error:
            logger.error(
                f"Recordings will stay on this machine for now ({error.code}): {error}",
                event_name="recordings.unusable",
            )
        try:
            while True:
                try:
                    await self.scan()
                except OSError as error:  # of the folder itself
                    logger.error("Recordings not looked for", event_name="recordings.unread", error=str(error))
                await self._clock.wait(self._wake, self._next_scan_ms())
        finally:
            self._threads.close()

    async def scan(self) -> None:
        """Look through the folder, and try whatever is due, a few at a time."""
        files = await self._threads.start(lambda: sorted(self._folder.glob("*.wav")))
        self._waiting = set(files)
        left = iter(self._due(files))

        async def work() -> None:
            for path in left:  # one iterator for all: each takes the next
                if await self._try(path):
                    self._waiting.discard(path)
                self._announced.discard(path)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(work(), name="upload recordings")
        announced = self._announced.copy()
        self._announced -= await self._threads.start(lambda: {path for path in announced if not path.exists()})

    def _due(self, files: list[Path]) -> list[Path]:
        now_ms = self._clock.now_ms()
        for gone in set(self._troubles) - set(files):
            del self._troubles[gone]
        return [path for path in files if path not in self._troubles or self._troubles[path].again_ms <= now_ms]

    def _next_scan_ms(self) -> float:
        return min([self._clock.now_ms() + SCAN_EVERY_MS, *(trouble.again_ms for trouble in self._troubles.values())])

    def _count_waiting(self) -> float:
        return len(self._waiting)

    @asynccontextmanager
    async def _unless_being_written(self, path: Path) -> AsyncIterator[bool | None]:
        lock = unless_being_written(path)
        free = await self._threads.start(lock.__enter__)
        try:
            yield free
        finally:
            await self._threads.start(lambda: lock.__exit__(None, None, None))

    async def _try(self, path: Path) -> bool:
        """Upload a file, unless it is still written. True: it is not here any more."""
        session: SessionId | None = None
        try:
            async with self._unless_being_written(path) as free:
                written_unix_ms = await self._threads.start(lambda: _written_unix_ms(path))
                quiet_ms = self._clock.now_unix_ms() - written_unix_ms
                if free is False or (free is None and quiet_ms < QUIET_MS):
                    return False
                session = await self._session_of(path)
                if session is None:
                    self._later(path, "unknown", RETRY_MS_MAX)  # no call's, or of one that was deleted
                    return False
                await self._upload(path, session, written_unix_ms)
        except FileNotFoundError:
            return True  # another process was faster, or the call was deleted
        except ArchiveError as error:
            await self._failed(path, session, error.code, str(error))
        except (AudioError, OSError) as error:
            await self._failed(path, session, "REC006", f"{TROUBLES['REC006'][1]}: {error}")
        except StoreError as error:
            ids = {"call_session_id": session}
            logger.error("Recording not noted", event_name="recording.not_noted", error=str(error), **ids)
            self._later(path, "store")
        except Exception as error:  # a mistake of ours with one recording keeps none of the others
            logger.exception("Recording not uploaded", event_name="recording.not_uploaded", error=str(error))
            self._later(path, "unexpected")
        else:
            self._troubles.pop(path, None)
            return True
        return False

    async def _session_of(self, path: Path) -> SessionId | None:
        for name in dict.fromkeys((path.stem, path.stem[:SESSION_CHARACTERS])):
            if await self._log.read(SessionId(name)):
                return SessionId(name)
        return None

    async def _upload(self, path: Path, session: SessionId, written_unix_ms: int) -> None:
        duration_ms = await self._threads.start(lambda: wav_duration_ms(path))
        files = await self._threads.start(lambda: _with_copies(path))
        sizes = [await self._archive.put(file.name, file) for file in files]
        what = RecordingStored(
            path=str(path),
            url=self._archive.url_of(path.name),
            duration_ms=duration_ms,
            size_bytes=sizes[0],
            written_unix_ms=written_unix_ms,
        )
        if not await self._log.read(session):  # deleted meanwhile
            await self._archive.delete(*(file.name for file in files))
            return
        await self._write(
            Entry(session=session, at_unix_ms=self._clock.now_unix_ms(), what=what, key=f"stored:{path.name}")
        )
        self._metrics.recording("stored")
        await self._threads.start(lambda: _delete(files))

    async def _failed(self, path: Path, session: SessionId | None, code: str, detail: str) -> None:
        self._metrics.recording(code)
        known = self._troubles.get(path)
        self._later(path, code)
        if known is not None and known.code == code:
            return
        if session is None:
            logger.error("Recording not uploaded", event_name="recording.not_uploaded", code=code, error=detail)
            return
        what = RecordingNotStored(path=str(path), code=code, slug=TROUBLES[code][0], detail=detail)
        with suppress(StoreError):  # the next failure is told, then
            await self._write(Entry(session=session, at_unix_ms=self._clock.now_unix_ms(), what=what))

    def _later(self, path: Path, code: str, wait_ms: float | None = None) -> None:
        known = self._troubles.get(path)
        doubled = RETRY_MS if known is None else min(2 * known.wait_ms, RETRY_MS_MAX)
        wait_ms = doubled if wait_ms is None else wait_ms
        self._troubles[path] = _Trouble(self._clock.now_ms() + wait_ms, wait_ms, code)


def _written_unix_ms(path: Path) -> int:
    return round(path.stat().st_mtime * 1000)


def _with_copies(path: Path) -> list[Path]:
    """A WAV, and what `callpath recording convert` left beside it."""
    return [path, *(copy for copy in map(path.with_suffix, COMPRESSED) if copy.is_file())]


def _delete(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
