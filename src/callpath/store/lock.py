"""One server for each SQLite file.

A server without `--workers` takes every call in its log for its own, so two on one file would act for the same calls. The
lock is the operating system's: it goes with the process that holds it, however that ends, and knows nothing of pids, which
repeat after a reboot and are all 1 in containers. It is on a file beside the database, since SQLite has locks of its own on
that one, and its text only serves the message that the second server ends with.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from callpath.clock import SystemClock
from callpath.errors import StoreError

TEXT_BYTES_MAX = 1_000
"""Of the text that names the holder."""

WINDOWS_OFFSET = 1 << 20
"""Which byte is locked on Windows: far behind the text, since there a locked byte cannot be read."""

WAIT_FOR_TEXT_MS = 500.0
"""A server that has just taken the lock may not have written its name yet."""

TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""Somebody else has the lock. Any other error: this file system has no locks."""

logger = structlog.get_logger("callpath")


class ServerLock:
    """A lock that this process holds. `descriptor` may be passed on to processes that are to hold it as well; None: the log
    needs no lock, or its file system has none."""

    def __init__(self, descriptor: int | None, workers: int = 1) -> None:
        self.descriptor = descriptor
        self._workers = workers

    def name_holder(self, port: int | None) -> None:
        """Write down, for the message to others, who has the lock."""
        if self.descriptor is None:
            return
        holder = {"pid": os.getpid(), "port": port, "host": socket.gethostname(), "workers": self._workers}
        text = json.dumps(holder).encode()[:TEXT_BYTES_MAX]
        with suppress(OSError):  # a full disk
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            os.write(self.descriptor, text)


@contextmanager
def lock_log(url: str, *, port: int | None = None, workers: int = 1) -> Iterator[ServerLock]:
    """Keep every other server away from the log at `url` while this is entered.

    Raises StoreError naming the process and port of a server that has it already. Postgres is for many servers.
    """
    file = _database_file(url)
    if file is None:
        yield ServerLock(None)
        return
    path = Path(f"{file}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"the folder of the call log {file} cannot be made: {error.strerror}") from error
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise StoreError(
            f"the call log {file} cannot be locked for this server: {path}: {error.strerror}. "
            "The folder must be writable, and the file too if it is there"
        ) from error
    _held.add(descriptor)
    try:
        try:
            _lock(descriptor)
        except OSError as error:
            if error.errno in TAKEN:
                raise StoreError(_taken(file, path)) from None
            logger.warning(
                f"The file system of {file} has no locks ({error.strerror}): nothing keeps a second server away",
                event_name="log.not_locked",
            )
            yield ServerLock(None)
            return
        lock = ServerLock(descriptor, workers)
        lock.name_holder(port)
        yield lock
    finally:
        _held.discard(descriptor)
        os.close(descriptor)  # not unlocked: a process that it was passed on to may hold it still


def adopt_lock(descriptor: int) -> None:
    """Hold a lock that a parent process has passed on, until this process ends; children of it do not inherit it."""
    os.set_inheritable(descriptor, False)
    _held.add(descriptor)


def _database_file(url: str) -> str | None:
    """The file, under the one name that it has for everybody; None where the log is no file."""
    try:
        location = make_url(url)
    except (ArgumentError, ValueError):
        return None  # opening it says what is wrong
    name = location.database
    if location.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    if name.startswith("file:") and location.query.get("uri"):
        name = unquote(urlsplit(name).path)
    return os.path.realpath(name)


def _taken(file: str, path: Path) -> str:
    holder = _holder(path)
    who = "another server"
    if holder:
        of_it = " and its workers" if holder.get("workers", 1) != 1 else ""
        port = f" on port {holder['port']}" if holder.get("port") else ""
        elsewhere = "" if holder.get("host") == socket.gethostname() else f" of host {holder.get('host')}"
        who = f"the server with pid {holder['pid']}{of_it}{port}{elsewhere}"
    return (
        f"the call log {file} is in use by {who}. Stop that one first, or give this one another CALLPATH_DATA_DIR; "
        "for several processes use --workers, for several machines DATABASE_URL=postgresql://…"
    )


def _holder(path: Path) -> dict[str, Any]:
    clock = SystemClock()
    until_ms = clock.now_ms() + WAIT_FOR_TEXT_MS
    while True:
        with suppress(OSError, ValueError):
            holder = json.loads(path.read_bytes()[:TEXT_BYTES_MAX])
            if isinstance(holder, dict) and isinstance(holder.get("pid"), int):
                return holder
        if clock.now_ms() >= until_ms:
            return {}
        clock.block_ms(10)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, WINDOWS_OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_held: set[int] = set()


def _close_in_child() -> None:
    """A handler's pool of processes may outlive a server that was killed. Its members are no servers."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
