"""Postgres below the call log: many nodes share it.

Row numbers are handed out before the commit, so a reader could pass over a row that is committed late. Hence a
transaction first locks the rows of its sessions in `calls`, in the order of their names, and the numbers of one session
are committed as they count.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import BigInteger, Connection, cast, create_engine, func, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL

from callpath.clock import Clock
from callpath.errors import ConfigError
from callpath.store.schema import calls
from callpath.wire.ids import SessionId

DRIVER = "postgresql+psycopg"
CHANNEL = "callpath"
"""NOTIFY carries the session, and who wrote, to every node that listens here."""

NOTICE_BYTES_MAX = 7_999
"""Postgres' limit. Telnyx's session ids have 36 characters; others are invented, and only whoever invented them waits."""

MIGRATION_LOCK = 0x63616C6C70617468
"""Held while tables are changed, so that of many nodes that start at once one does it. The letters of "callpath"."""

CONNECTIONS_MAX = 6
"""Of one node, and one more that listens. Postgres lets in 100 unless told otherwise; who finds none free waits for some
milliseconds, since that is how long each is needed."""

CONNECT_S_MAX = 5
REACH: dict[str, Any] = {
    "connect_timeout": CONNECT_S_MAX,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""A server that is gone without a word (a failover, a NAT that forgot us) is noticed within 25 s by the connection that
listens, and within 10 s by those that write: leases last 15 s. Linux by itself waits two hours, and a quarter of one."""

CONNECT_AGAIN_MS = 1_000.0


class Postgres:
    """See `callpath.store.sql.Database`."""

    shared = True
    insert = staticmethod(postgresql.insert)
    now_unix_ms = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)

    def __init__(self, location: URL) -> None:
        try:
            import psycopg
        except ImportError:
            hint = "pip install 'callpath[postgres]', or leave DATABASE_URL out to keep the log in a file"
            raise ConfigError("DATABASE_URL", "asks for Postgres, whose driver is not installed", hint) from None
        self._psycopg = psycopg
        self._origin = secrets.token_hex(4)
        self._location = location.set(drivername=DRIVER)
        self.name = f"{location.host or 'local'}/{location.database}"
        self.threads = ThreadPoolExecutor(CONNECTIONS_MAX, "call log")
        self.engine = create_engine(
            self._location,
            pool_pre_ping=True,  # a server that was restarted costs nobody an entry
            pool_size=CONNECTIONS_MAX,
            max_overflow=0,
            connect_args=REACH,
        )

    def prepare(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """Lock the calls of `sessions`, which are sorted; two transactions that waited for each other would fail."""
        insert = postgresql.insert(calls)
        lock = insert.on_conflict_do_update(index_elements=["session"], set_={"entries": calls.c.entries})
        bare = {"first_unix_ms": _LATEST, "last_unix_ms": _EARLIEST, "entries": 0}
        connection.execute(lock, [{"session": session, **bare} for session in sessions])

    def announce(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """Not yet. Transactions with a NOTIFY commit one at a time, all nodes' and until each is on the disk: sixteen
        nodes made 600 commits a second instead of 4,300 (bench/scaling.py)."""

    def wake_others(self, sessions: Collection[SessionId]) -> None:
        """In a transaction of its own, which does not wait for the disk. A notice is lost with the server only, and then
        every node's connection is, too, after which it looks at everything."""
        texts = [f"{self._origin} {session}" for session in sessions if session.isprintable()]
        told = {"channel": CHANNEL, "texts": [text for text in texts if len(text.encode()) <= NOTICE_BYTES_MAX]}
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(_NOTIFY, told)

    def overwrite(self, connection: Connection) -> None:
        """Vacuum is the server's business."""

    def lock_migrations(self, connection: Connection) -> None:
        """Until the transaction ends."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})

    async def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        """What others announced. After a lost connection `None`: something may have been missed."""
        address = self._location.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                connection = await self._psycopg.AsyncConnection.connect(address, autocommit=True, **REACH)
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    yield None
                    async for notice in connection.notifies():
                        origin, _, session = notice.payload.partition(" ")
                        if origin != self._origin:
                            yield SessionId(session)
            except (self._psycopg.Error, OSError):
                await clock.sleep_ms(CONNECT_AGAIN_MS)


_LATEST, _EARLIEST = 2**62, -(2**62)
"""Times that any entry's takes the place of."""

_NOTIFY = text(
    "SELECT set_config('synchronous_commit', 'off', true), pg_notify(:channel, one) "
    "FROM unnest(CAST(:texts AS text[])) AS one"
)
