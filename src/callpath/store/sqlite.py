"""SQLite below the call log: one file, one machine, no server to run.

Several processes of that machine may share it (`callpath serve --workers`). SQLite tells nobody of a change, so each asks
for the latest number: writers take turns, hence numbers are committed as they count.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, cast, create_engine, event, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from callpath.clock import Clock, SystemClock
from callpath.errors import ConfigError, StoreError
from callpath.store.schema import entries
from callpath.wire.ids import SessionId

LOCK_WAIT_S = 0.9
"""How long a write waits for another process to finish its own. Telnyx sends a webhook again after 2 s, and one that comes
while others wait has to wait twice: our answer, that it was not stored, is there before."""

OPEN_WAIT_S = 10.0
"""The same while the log is opened: another process may be changing the tables."""

LOCK_LOOK_MS = 1.0
"""So often a lock is tried. SQLite by itself waits longer each time, 100 ms at last: of four processes that write 500
entries a second together, one in a hundred waited 135 ms, and so 19 ms."""

CLOCK = SystemClock()

UNIX_EPOCH_DAY = 2_440_587.5
"""1970-01-01 as SQLite counts days."""

LOOK_EVERY_MS = 20.0
"""How late a process may learn what another one of this machine has written."""

OWN, OWN_MAX = "own numbers", 1_000
"""So many of our latest transactions are remembered, so as not to be told of them."""

CONNECTIONS_MAX = 6
"""Who finds none free waits for some milliseconds, since that is how long each is needed."""

CACHE_KB = 256
"""Of each connection. SQLite's 2 MB hold timelines that nobody will read again, on all of them; the operating
system keeps the file's pages anyway."""


class Sqlite:
    """See `callpath.store.sql.Database`. Its write-ahead log lets readers, in another process too, see what is
    committed while somebody writes."""

    insert = staticmethod(sqlite.insert)
    now_unix_ms = cast((func.julianday("now") - UNIX_EPOCH_DAY) * 86_400_000.0, Integer)

    def __init__(self, location: URL, *, shared: bool = False) -> None:
        self.shared = shared
        if location.host or not location.database or location.database == ":memory:":
            example = "Right is, for example, sqlite:////data/callpath.db, or no DATABASE_URL at all"
            raise ConfigError("DATABASE_URL", "names no file", example)
        self.name = location.database
        try:
            Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of the call log {self.name} cannot be made: {error.strerror}") from error
        self.engine = create_engine(location, pool_size=CONNECTIONS_MAX, connect_args={"timeout": OPEN_WAIT_S})
        self.threads = ThreadPoolExecutor(CONNECTIONS_MAX, "call log")
        event.listen(self.engine, "connect", _set_up_connection)
        event.listen(self.engine, "begin", _begin_to_write)
        event.listen(self.engine, "reset", self._written)
        self._before = 0
        self._own: deque[range] = deque(maxlen=OWN_MAX)
        """Numbers of entries that this process added, which `watch` leaves out."""

    def prepare(self, connection: Connection, sessions: Sequence[SessionId]) -> None:  # noqa: ARG002 (the port's)
        """Whoever writes holds the whole file: nobody else adds a number until we have."""
        if self.shared:
            self._before = connection.execute(_LATEST).scalar_one()

    def announce(self, connection: Connection, sessions: Sequence[SessionId]) -> None:  # noqa: ARG002 (the port's)
        """Others see it by themselves, see `watch`; we need not be told."""
        if self.shared:
            connection.info[OWN] = range(self._before + 1, connection.execute(_LATEST).scalar_one() + 1)

    def _written(self, connection: Any, record: Any, _state: Any) -> None:
        """A connection is given back. One that is still in its transaction could not commit: others get its numbers."""
        own = record.info.pop(OWN, None)
        if own is not None and not connection.in_transaction:
            self._own.append(own)

    def wake_others(self, sessions: Collection[SessionId]) -> None:
        """Nobody: see `watch`."""

    def overwrite(self, connection: Connection) -> None:
        """With zeros. The write-ahead log still has the old pages until its next checkpoint."""
        connection.exec_driver_sql("PRAGMA secure_delete=ON")

    def lock_migrations(self, connection: Connection) -> None:
        """Nothing: a transaction that begins holds the whole file."""

    async def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        """What others appended, seen a moment later. `None` where the log could not be read, or has lost its end."""
        if not self.shared:
            return
        told: int | None = None
        while True:
            try:
                looking = asyncio.get_running_loop().run_in_executor(self.threads, self._news, told)
                told, sessions = await looking
            except OperationalError:
                told, sessions = None, {None}
            for session in sessions:
                yield session
            await clock.sleep_ms(LOOK_EVERY_MS)

    def _news(self, told: int | None) -> tuple[int, set[SessionId | None]]:
        """The latest number, and the sessions of the entries after `told`, our own left out."""
        with self.engine.connect().execution_options(only_reads=True) as connection:
            latest: int = connection.execute(_LATEST).scalar_one()
            if latest == told:
                return latest, set()
            if told is None or latest < told:  # the latest call was forgotten: numbers are given anew
                return latest, {None}
            rows = connection.execute(_SINCE.where(entries.c.number > told, entries.c.number <= latest)).all()
        own = tuple(self._own)
        return latest, {SessionId(row.session) for row in rows if not any(row.number in one for one in own)}


_LATEST = select(func.coalesce(func.max(entries.c.number), 0))
_SINCE = select(entries.c.number, entries.c.session)


def _set_up_connection(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are ours to begin: sqlite3 would leave tables outside of them
    cursor = connection.cursor()
    with contextlib.suppress(sqlite3.OperationalError):
        # Locked: another process makes this very switch now, for which SQLite does not wait. The mode is the file's.
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute(f"PRAGMA cache_size=-{CACHE_KB}")
    cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged webhook survives a power cut
    cursor.close()


def _begin_to_write(connection: Connection) -> None:
    """Take the write lock at once: two that both read first, and then want to write, would have to fail."""
    options = connection.get_execution_options()
    if options.get("only_reads"):
        return
    below: Any = connection.connection.dbapi_connection
    until_ms = CLOCK.now_ms() + 1000 * (OPEN_WAIT_S if options.get("patient") else LOCK_WAIT_S)
    below.execute("PRAGMA busy_timeout=0").close()
    try:
        while CLOCK.now_ms() < until_ms and not _begun(below):
            CLOCK.block_ms(LOCK_LOOK_MS)
        if not below.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # what it raises is SQLAlchemy's
    finally:
        below.execute(f"PRAGMA busy_timeout={round(1000 * OPEN_WAIT_S)}").close()


def _begun(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE").close()
    except sqlite3.OperationalError:
        return False
    return True
