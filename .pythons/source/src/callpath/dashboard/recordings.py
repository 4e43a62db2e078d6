"""What a page needs of a recording: the recording itself, its outline for the waveform, and how loud each side was.

It lies on this machine, or where recordings are kept (`store.archive`). There its outline lies beside it once somebody has
looked at it: so the whole of it is read once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.responses import FileResponse, Response, StreamingResponse

from callpath.audio.level import level_dbfs
from callpath.audio.peaks import peaks
from callpath.audio.wav import read_wav_sides
from callpath.call.kept import StoredRecording
from callpath.dashboard.documents import Outline, Side
from callpath.errors import ArchiveError
from callpath.store.archive import Archive

PEAKS_MAX = 4000
"""Points of an outline: more than any screen has columns."""

LEVELS_PER_S = 10
LEVELS_MAX = 6000


class Shelf:
    """The recordings of a server: below `folder`, or in `archive`."""

    def __init__(self, folder: Path, archive: Archive | None) -> None:
        self._folder = folder
        self._archive = archive

    async def answer(self, kept: StoredRecording, range_header: str | None) -> Response | None:
        """The recording, or the part that the browser's player asks for; None: it is not there. Raises ArchiveError."""
        file = await asyncio.to_thread(inside, self._folder, kept.path)
        if file is not None:
            return FileResponse(file, media_type="audio/wav")
        name = self._archive.name_of(kept.url) if self._archive else None
        size = await self._archive.size(name) if self._archive and name else None
        if self._archive is None or name is None or size is None:
            return None
        headers = {"accept-ranges": "bytes"}
        start, end = 0, size
        if found := re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", range_header or ""):
            first, last = found[1], found[2]
            start = int(first) if first else max(0, size - int(last or 0))
            end = min(size, int(last) + 1) if first and last else size
            if start >= end:
                return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
            headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        headers["content-length"] = str(end - start)
        pieces = self._archive.read(name, start, end)
        return StreamingResponse(pieces, 206 if found else 200, headers, media_type="audio/wav")

    @asynccontextmanager
    async def file(self, kept: StoredRecording) -> AsyncIterator[Path | None]:
        """The recording as a file, for as long as this is entered; None: it is not there. Raises ArchiveError, OSError."""
        file = await asyncio.to_thread(inside, self._folder, kept.path)
        name = self._archive.name_of(kept.url) if self._archive else None
        if file is not None or self._archive is None or name is None or await self._archive.size(name) is None:
            yield file
            return
        with TemporaryDirectory(prefix="callpath-") as folder:
            fetched = Path(folder) / "recording.wav"
            await self._archive.fetch(name, fetched)
            yield fetched

    async def outline(self, kept: StoredRecording) -> str | None:
        """An `Outline` as JSON; None: the recording is not there. Raises ArchiveError, AudioError, OSError."""
        name = self._archive.name_of(kept.url) if self._archive else None
        beside = str(Path(name).with_suffix(".outline.json")) if name else None
        if self._archive and beside and (size := await self._archive.size(beside)):
            return b"".join([piece async for piece in self._archive.read(beside, 0, size)]).decode()
        async with self.file(kept) as file:
            if file is None:
                return None
            text = await asyncio.to_thread(lambda: outline(file).model_dump_json())
        if self._archive and beside:
            with suppress(ArchiveError):  # it is only slower without
                await self._archive.put(beside, text.encode())
        return text


def inside(folder: Path, path: str) -> Path | None:
    """The file of a recording, if it is one of ours: below `folder`, and still there."""
    file = Path(path).resolve()
    return file if file.is_relative_to(folder.resolve()) and file.is_file() else None


def outline(path: Path) -> Outline:
    """Peaks and levels of each side. Reads a file: call it in a thread. Raises AudioError, OSError."""
    sides, rate_hz = read_wav_sides(path)
    samples = max((side.size for side in sides), default=0)
    seconds = samples / rate_hz
    per_s = max(1, min(100, int(PEAKS_MAX / max(seconds, 1))))
    levels_per_s = max(1, min(LEVELS_PER_S, int(LEVELS_MAX / max(seconds, 1))))
    stretch = max(1, rate_hz // levels_per_s)  # a header may say 1 Hz
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
