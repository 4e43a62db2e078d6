"""SQLite below the call log: one file, one machine, no server to run."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL

from callpath.clock import Clock
from callpath.errors import ConfigError, StoreError
from callpath.wire.ids import SessionId

LOCK_WAIT_S = 5.0
"""How long SQLite waits for another process to finish writing."""

CACHE_KB = 256
"""Of each connection. SQLite's 2 MB hold timelines that nobody will read again, on five connections; the operating
system keeps the file's pages anyway."""


class Sqlite:
    """See `callpath.store.sql.Database`. Its write-ahead log lets readers, in another process too, see what is
    committed while somebody writes."""

    shared = False
    insert = staticmethod(sqlite.insert)

    def __init__(self, location: URL) -> None:
        if location.host or not location.database or location.database == ":memory:":
            example = "Right is, for example, sqlite:////data/callpath.db, or no DATABASE_URL at all"
            raise ConfigError("DATABASE_URL", "names no file", example)
        self.name = location.database
        try:
            Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the folder of the call log {self.name} cannot be made: {error.strerror}") from error
        self.engine = create_engine(location, connect_args={"timeout": LOCK_WAIT_S})
        event.listen(self.engine, "connect", _set_up_connection)
        event.listen(self.engine, "begin", _begin_to_write)

    def prepare(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """Nothing: whoever writes holds the whole file."""

    def announce(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """Nothing: see `watch`."""

    def wake_others(self, sessions: Collection[SessionId]) -> None:
        """Nobody: see `watch`."""

    def overwrite(self, connection: Connection) -> None:
        """With zeros. The write-ahead log still has the old pages until its next checkpoint."""
        connection.exec_driver_sql("PRAGMA secure_delete=ON")

    def lock_migrations(self, connection: Connection) -> None:
        """Nothing: a transaction that begins holds the whole file."""

    async def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:  # noqa: ARG002 (the port's)
        """Nobody: SQLite tells of no change, and one process at a time serves calls."""
        return
        yield


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
    if not connection.get_execution_options().get("only_reads"):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
