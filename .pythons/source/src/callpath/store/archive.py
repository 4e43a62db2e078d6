"""Where recordings are kept once their calls are over: an object store, or a folder. Through `obstore` (the extra `s3`),
which reads each store's own variables: AWS_ACCESS_KEY_ID and so on.

Everything but `open_archive` raises ArchiveError, whose text is one sentence for the owner of the store. Nothing is
retried here: who uploads does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from callpath.errors import ArchiveError, ConfigError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
R = TypeVar("R")

TROUBLES = {
    "REC001": ("denied", "credentials are missing or wrong, or do not allow it"),
    "REC002": ("no_bucket", "there is no such bucket, container or folder"),
    "REC003": ("unreachable", "no answer came"),
    "REC004": ("refused", "the store answered with an error"),
    "REC005": ("incomplete", "what lies there is not what was sent"),
    "REC006": ("not_read", "the file on this machine cannot be read"),
}
"""Codes, which are permanent, with their slugs and what they mean."""

CHECKED = "callpath-check"
"""The name of what is written, read and deleted to see whether a store can be used."""

PIECE_BYTES = 1 << 20


class Archive:
    """Recordings below `url`, each under its file's name."""

    def __init__(self, url: str, store: ObjectStore) -> None:
        self.url = url
        self._store = store

    def url_of(self, name: str) -> str:
        return f"{self.url}/{name}"

    def name_of(self, url: str | None) -> str | None:
        """The name of what lies at `url`; None if that is not here."""
        name = (url or "").removeprefix(f"{self.url}/")
        return name if name and name != url and "/" not in name else None

    async def put(self, name: str, source: Path | bytes) -> int:
        """Upload it, in parts where it is long, and look whether it arrived. Returns its size."""
        import obstore

        doing = f"{self.url} cannot be written"

        def put() -> int:
            try:
                size = len(source) if isinstance(source, bytes) else source.stat().st_size
            except OSError as error:
                raise _error(doing, "REC006", error.strerror or "") from error
            obstore.put(self._store, name, source)
            there = obstore.head(self._store, name)["size"]
            if there != size:
                raise _error(doing, "REC005", f"{there} bytes of {size}")
            return size

        return await self._do(doing, put)

    async def size(self, name: str) -> int | None:
        """In bytes; None: there is no such thing."""
        import obstore

        def size() -> int | None:
            try:
                return obstore.head(self._store, name)["size"]
            except FileNotFoundError:
                return None

        return await self._do(f"{self.url} cannot be read", size)

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes from `start` up to `end`, which there must be, a piece at a time."""
        import obstore

        for at in range(start, end, PIECE_BYTES):
            piece = partial(obstore.get_range, self._store, name, start=at, end=min(end, at + PIECE_BYTES))
            yield bytes(await self._do(f"{self.url_of(name)} cannot be read", piece))

    async def fetch(self, name: str, to: Path) -> None:
        """Download it whole. Raises OSError, too."""
        import obstore

        def fetch() -> None:
            with to.open("wb") as file:
                for piece in obstore.get(self._store, name):
                    file.write(piece)

        await self._do(f"{self.url_of(name)} cannot be read", fetch)

    async def delete(self, *names: str) -> None:
        """What is not there counts as deleted."""
        import obstore

        def delete() -> None:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    obstore.delete(self._store, name)

        await self._do(f"nothing can be deleted from {self.url}", delete)

    async def check(self) -> None:
        """Write, read and delete something small, as a recording's life does."""
        size = await self.put(CHECKED, b"callpath")
        async for _ in self.read(CHECKED, 0, size):
            pass
        await self.delete(CHECKED)

    async def _do(self, doing: str, work: Callable[[], R]) -> R:
        """In a thread that holds up nobody's exit. obstore's own async calls may abort a process that exits soon after."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()

        def settle(result: R | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(_told(doing, error))
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failure = None, None
            try:
                result = work()
            except Exception as error:  # obstore's have no base of their own: some are the built-in ones
                failure = error
            with contextlib.suppress(RuntimeError):  # the loop is gone
                loop.call_soon_threadsafe(settle, result, failure)

        threading.Thread(target=run, name="archive", daemon=True).start()
        return await answer


def open_archive(setting: str, written_to: Path | None = None) -> Archive | None:
    """What CALLPATH_RECORDINGS means; None where it is empty. Nothing is sent yet. `written_to` is the folder from which
    recordings are taken there, and may not be the same. Raises ConfigError."""
    if not setting:
        return None
    name = "CALLPATH_RECORDINGS"
    hint = f"Right is, for example, {name}=s3://BUCKET/recordings, or a folder: {name}=/mnt/recordings"
    scheme, is_url, rest = setting.partition("://")
    if is_url and (scheme not in SCHEMES or not rest.strip("/") or "?" in rest or "#" in rest or "@" in rest):
        raise ConfigError(name, f"is {setting!r}", hint)
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError:
        raise ConfigError(name, "needs one more package", "Install it: pip install 'callpath[s3]'") from None
    try:
        if not is_url:
            folder = Path(setting).resolve()
            store = LocalStore(folder, mkdir=True)
            if written_to is not None and written_to.exists() and written_to.samefile(folder):
                raise ConfigError(name, "is the folder in which calls are recorded", f"They stay there without {name}")
            return Archive(folder.as_uri(), store)
        url = setting.rstrip("/")
        # allow_http: for an endpoint of one's own that has no TLS. Retries are the uploader's.
        return Archive(url, from_url(url, client_options={"allow_http": True}, retry_config={"max_retries": 0}))
    except (BaseError, OSError, ValueError) as error:
        raise ConfigError(name, f"cannot be used: {_said(error)}", hint) from None


def _error(doing: str, code: str, said: str) -> ArchiveError:
    return ArchiveError(f"{doing}: {TROUBLES[code][1]}{f' ({said})' if said else ''}", code=code)


def _told(doing: str, error: Exception) -> ArchiveError:
    """What a failure means."""
    if isinstance(error, ArchiveError):
        return error
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text = str(error)
    lost = re.search(r"HTTP error|[Tt]imed out|error sending request|dns error", text)
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError)) or "169.254.169.254" in text:
        code = "REC001"  # that address: where a cloud's own machines get credentials when none are set
    elif isinstance(error, FileNotFoundError):
        code = "REC002"
    else:
        code = "REC003" if lost else "REC004"
    return _error(doing, code, _said(error))


def _said(error: Exception) -> str:
    """The store's own words: its error document's, or the first line, without addresses' queries."""
    text = str(error)
    told = [found[1] for tag in ("Code", "Message") if (found := re.search(rf"<{tag}>([^<]+)</{tag}>", text))]
    return ": ".join(told)[:200] or re.sub(r"\?\S*| in [\d.]+[µmn]?s", "", text.strip().splitlines()[0])[:200]
