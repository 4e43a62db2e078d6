"""A call log in SQLite or Postgres, by way of SQLAlchemy.

    async with open_call_log("sqlite:///callpath.db") as log:          # or "postgresql://…", for many nodes
        await log.append(entry)          # returns once it is on disk

One writer task commits in groups: entries that arrive while a commit runs share the next one, so that a burst costs one
fsync and one hop to a thread instead of hundreds (docs/decisions/0003). Readers, in another process too, see what is
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from alembic import command as alembic
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from callpath.call.overview import CallOverview, encode_overview, parse_overview
from callpath.clock import Clock
from callpath.errors import ConfigError, StoreError
from callpath.store.port import REFUSALS_MAX, CallQuery, CallSummary, Refusal
from callpath.store.postgres import Postgres
from callpath.store.schema import calls, entries, leases, refusals
from callpath.store.sqlite import Sqlite
from callpath.timeline import Entry, encode_what, kind_of, parse_what
from callpath.wire.ids import CallControlId, LegId, SessionId

QUEUE_MAX = 10_000
"""Appends that may wait for the disk. When a disk is that far behind, new ones fail, and Telnyx sends them again."""

_NUMBER_MAX = 2**63 - 1

GROUP_MAX = 500
"""Appends in one commit. More would only delay the first of them."""


class Database(Protocol):
    """What differs between databases. `name` is for messages, without a password."""

    name: str
    engine: Engine
    shared: bool
    insert: Callable[..., Any]

    def prepare(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """At the beginning of a transaction that will append to `sessions` (sorted)."""
        ...

    def announce(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """At the end of one that appended to them."""
        ...

    def overwrite(self, connection: Connection) -> None:
        """What this connection deletes from now on shall not stay readable in the file, as far as we can say."""
        ...

    def lock_migrations(self, connection: Connection) -> None:
        """Wait until no other process changes the tables."""
        ...

    def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        """See `CallLog.watch`."""
        ...


@dataclass(slots=True)
class _Append:
    entry: Entry | Refusal
    done: asyncio.Future[bool]


@asynccontextmanager
async def open_call_log(url: str, *, shared: bool = False) -> AsyncIterator[SqlCallLog]:
    """Open the log, creating and migrating it. On leaving, everything appended is on disk. `shared`: other processes
    serve calls from the same file; Postgres always takes that for granted.

    Raises ConfigError for a URL that cannot be used and StoreError when the database cannot be opened.
    """
    database = _database(url, shared=shared)
    try:
        try:
            await asyncio.to_thread(_migrate, database)
            await asyncio.to_thread(_fold_missing, database)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log {database.name} cannot be opened: {_cause(error)}") from error
        except CommandError as error:
            problem = f"it was written by a newer callpath ({error}). Use that version, or another database"
            raise StoreError(f"the call log {database.name} cannot be opened: {problem}") from error
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as tasks:
            log = SqlCallLog(database)
            writer = tasks.create_task(log.write_until_closed(), name="write call log")
            try:
                yield log
            except BaseException as error:
                failure = error
            log.close()
            await writer
        if failure is not None:
            raise failure
    finally:
        database.engine.dispose()


class SqlCallLog:
    """See `callpath.store.port.CallLog`. Made by `open_call_log`."""

    def __init__(self, database: Database) -> None:
        self.shared = database.shared
        self._database = database
        self._engine = database.engine
        insert = database.insert
        self._add_entry = (
            insert(entries).on_conflict_do_nothing(index_elements=["session", "key"]).returning(entries.c.number)
        )
        self._overviews = _Overviews(insert)
        self._queue: asyncio.Queue[_Append | None] = asyncio.Queue(QUEUE_MAX)
        self._closed = False

    async def append(self, entry: Entry) -> bool:
        return await self._submit(entry)

    async def refuse(self, refusal: Refusal) -> None:
        await self._submit(refusal)

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        query = (
            select(entries)
            .where(entries.c.session == session, entries.c.number > _within(after))
            .order_by(entries.c.number)
        )
        return [_entry(row) for row in await self._rows(query)]

    async def recent(self, limit: int) -> list[CallSummary]:
        query = select(calls).order_by(calls.c.first_unix_ms.desc()).limit(limit)
        return [
            CallSummary(SessionId(row.session), row.first_unix_ms, row.last_unix_ms, row.entries)
            for row in await self._rows(query)
        ]

    async def overviews(self, query: CallQuery) -> list[CallOverview]:
        wanted = select(calls.c.session).order_by(calls.c.first_unix_ms.desc(), calls.c.session.desc())
        if query.before is not None:
            first, session = _within(query.before[0]), query.before[1]
            same = and_(calls.c.first_unix_ms == first, calls.c.session < session)
            wanted = wanted.where(calls.c.first_unix_ms <= first, or_(calls.c.first_unix_ms < first, same))
        if query.text:
            wanted = wanted.where(calls.c.search.contains(query.text.lower(), autoescape=True))
        if query.direction is not None:
            wanted = wanted.where(calls.c.direction == query.direction)
        if query.outcome is not None:
            wanted = wanted.where(calls.c.outcome == query.outcome)
        page = select(calls.c.overview).where(calls.c.session.in_(wanted.limit(query.limit)))
        rows = _parsed(await self._rows(page))
        return sorted(rows, key=lambda one: (one.first_unix_ms, one.session), reverse=True)

    async def changes(self, after: int, limit: int) -> list[CallOverview]:
        query = select(calls.c.overview).where(calls.c.number > _within(after)).order_by(calls.c.number).limit(limit)
        return _parsed(await self._rows(query))

    async def outcomes(self) -> tuple[int, dict[str, int]]:
        latest = (await self._rows(select(func.max(calls.c.number))))[0][0]
        counted = await self._rows(select(calls.c.outcome, func.count()).group_by(calls.c.outcome))
        return latest or 0, {row[0]: row[1] for row in counted if row[0] is not None}

    async def find(self, identifier: str) -> SessionId | None:
        if not identifier:
            return None
        whole = select(calls.c.session).where(calls.c.session == identifier)
        by_start = select(calls.c.session).where(calls.c.session.startswith(identifier, autoescape=True))
        by_leg = select(entries.c.session).where(entries.c.leg == identifier)
        by_control = select(entries.c.session).where(entries.c.call_control_id == identifier)
        for query in (whole, by_leg, by_control, by_start):
            if rows := await self._rows(query.limit(1)):
                return SessionId(rows[0].session)
        return None

    async def forget(self, session: SessionId) -> bool:
        try:
            return await asyncio.to_thread(self._forget, session)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log cannot be written: {_cause(error)}") from error

    def _forget(self, session: SessionId) -> bool:
        with self._engine.begin() as connection:
            self._database.prepare(connection, [session])
            self._database.overwrite(connection)
            gone = connection.execute(delete(entries).where(entries.c.session == session)).rowcount
            for table in (calls, leases):
                connection.execute(delete(table).where(table.c.session == session))
        return gone > 0

    async def silent_since(self, before_unix_ms: int, limit: int) -> list[SessionId]:
        silent = select(calls.c.session).where(calls.c.last_unix_ms < before_unix_ms)
        rows = await self._rows(silent.order_by(calls.c.last_unix_ms).limit(limit))
        return [SessionId(row.session) for row in rows]

    async def refusals(self, limit: int) -> tuple[int, list[Refusal]]:
        query = select(refusals).order_by(refusals.c.number.desc()).limit(limit)
        kept = [
            Refusal(row.at_unix_ms, row.what, row.reason, row.detail, row.client, row.path)
            for row in await self._rows(query)
        ]
        (count,) = (await self._rows(select(func.max(refusals.c.number))))[0]  # numbers are never used twice
        return count or 0, kept

    async def claim(
        self, session: SessionId, node: str, now_unix_ms: int, until_unix_ms: int, *, by_force: bool = False
    ) -> bool:
        new = self._database.insert(leases).values(session=session, node=node, until_unix_ms=until_unix_ms)
        free = or_(leases.c.node == new.excluded.node, leases.c.until_unix_ms < now_unix_ms)
        claimed = new.on_conflict_do_update(
            index_elements=["session"],
            set_={"node": new.excluded.node, "until_unix_ms": new.excluded.until_unix_ms},
            where=None if by_force else free,
        ).returning(leases.c.session)
        return bool(await self._execute(claimed))

    async def renew(self, node: str, until_unix_ms: int) -> set[SessionId]:
        prolong = update(leases).where(leases.c.node == node).values(until_unix_ms=until_unix_ms)
        return {SessionId(row.session) for row in await self._execute(prolong.returning(leases.c.session))}

    async def release(self, session: SessionId, node: str) -> None:
        mine = delete(leases).where(leases.c.session == session, leases.c.node == node)
        await self._execute(mine.returning(leases.c.session))

    async def orphans(self, now_unix_ms: int) -> list[SessionId]:
        query = select(leases.c.session).where(leases.c.until_unix_ms < now_unix_ms).order_by(leases.c.until_unix_ms)
        return [SessionId(row.session) for row in await self._rows(query)]

    def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        return self._database.watch(clock)

    def close(self) -> None:
        """Take no more appends; `write_until_closed` returns once the waiting ones are on disk."""
        self._closed = True
        if not self._queue.full():
            self._queue.put_nowait(None)  # wakes the writer; a full queue does that by itself

    async def write_until_closed(self) -> None:
        """The writer: one task, one transaction at a time."""
        while not (self._closed and self._queue.empty()):
            group = [await self._queue.get()]
            while len(group) < GROUP_MAX and not self._queue.empty():
                group.append(self._queue.get_nowait())
            await self._commit([item for item in group if item is not None])

    # -----------------------------------------------------------------------------------------------------------------

    async def _submit(self, entry: Entry | Refusal) -> bool:
        if self._closed:
            raise StoreError("the call log is closed")
        append = _Append(entry, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(append)
        except asyncio.QueueFull:
            raise StoreError(f"the disk is too slow: {QUEUE_MAX} entries wait to be written") from None
        return await append.done

    async def _commit(self, group: Sequence[_Append]) -> None:
        try:
            stored = await asyncio.to_thread(self._write_group, [item.entry for item in group])
        except Exception as error:
            # A disk that says no says it to all; an entry that cannot be written must not cost the others their place.
            if len(group) > 1 and not isinstance(error, (OperationalError, OSError)):
                for item in group:
                    await self._commit([item])
                return
            for item in group:
                if not item.done.done():
                    item.done.set_exception(StoreError(f"the call log cannot be written: {_cause(error)}"))
            return
        for item, new in zip(group, stored, strict=True):
            if not item.done.done():  # its caller may have been cancelled meanwhile
                item.done.set_result(new)

    def _write_group(self, group: Sequence[Entry | Refusal]) -> list[bool]:
        sessions = sorted({item.session for item in group if isinstance(item, Entry)})
        with self._engine.begin() as connection:
            self._database.prepare(connection, sessions)
            numbers = [self._write(connection, item) for item in group]
            fresh: dict[SessionId, list[Entry]] = {}
            for item, number in zip(group, numbers, strict=True):
                if isinstance(item, Entry) and number is not None:
                    fresh.setdefault(item.session, []).append(msgspec.structs.replace(item, number=number))
            for session, appended in fresh.items():
                self._overviews.keep(connection, session, appended)
            self._database.announce(connection, sessions)
            return [number is not None for number in numbers]

    def _write(self, connection: Connection, entry: Entry | Refusal) -> int | None:
        """Its number; None where an entry with this key is there already."""
        if isinstance(entry, Refusal):
            row = {name: getattr(entry, name) for name in ("at_unix_ms", "what", "reason", "detail", "client", "path")}
            added = self._database.insert(refusals).returning(refusals.c.number)
            refused: int = connection.execute(added, row).scalar_one()
            connection.execute(delete(refusals).where(refusals.c.number <= refused - REFUSALS_MAX))
            return refused
        row = {
            "session": entry.session,
            "at_unix_ms": entry.at_unix_ms,
            "kind": kind_of(entry.what),
            "key": entry.key,
            "leg": entry.leg,
            "call_control_id": entry.call_control_id,
            "what": encode_what(entry.what),
        }
        number: int | None = connection.execute(self._add_entry, row).scalar_one_or_none()
        return number

    async def _execute(self, statement: Any) -> Sequence[Any]:
        """Carry out one statement by itself; the rows that it returns."""
        try:
            return await asyncio.to_thread(self._change, statement)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log cannot be written: {_cause(error)}") from error

    def _change(self, statement: Any) -> Sequence[Any]:
        with self._engine.begin() as connection:
            return connection.execute(statement).all()

    async def _rows(self, query: Any) -> Sequence[Any]:
        try:
            return await asyncio.to_thread(self._read_rows, query)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log cannot be read: {_cause(error)}") from error

    def _read_rows(self, query: Any) -> Sequence[Any]:
        with self._engine.connect().execution_options(only_reads=True) as connection:
            return connection.execute(query).all()


# --- overviews -------------------------------------------------------------------------------------------------------


class _Overviews:
    """Keeps the rows of `calls`, which are made from the entries."""

    def __init__(self, insert: Callable[..., Any]) -> None:
        new = insert(calls)
        self._save = new.on_conflict_do_update(
            index_elements=["session"],
            set_={column.name: getattr(new.excluded, column.name) for column in calls.c if not column.primary_key},
        )

    def keep(self, connection: Connection, session: SessionId, appended: Sequence[Entry]) -> None:
        """Bring the row of one call up to date with entries that this transaction has added."""
        row = connection.execute(_OVERVIEW, {"wanted": session}).one_or_none()
        overview = CallOverview(session=session) if row is None else parse_overview(row.overview or b"")
        if overview is None or (row is not None and overview.entries != row.entries):
            self.fold_anew(connection, session)  # not there yet, or an older callpath appends beside us
            return
        for entry in appended:
            overview.apply(entry)
        connection.execute(self._save, _overview_row(overview))

    def fold_anew(self, connection: Connection, session: SessionId) -> None:
        """Make the row of one call from all its entries."""
        overview = CallOverview(session=session)
        query = select(entries).where(entries.c.session == session).order_by(entries.c.number)
        for row in connection.execute(query):
            overview.apply(_entry(row))
        connection.execute(self._save, _overview_row(overview))


def _fold_missing(database: Database) -> None:
    """Make the overviews of calls that have none: those from before migration 0003. A part at a time, since a server
    that runs beside us wants to write too."""
    overviews = _Overviews(database.insert)
    missing = select(calls.c.session).where(calls.c.overview.is_(None)).order_by(calls.c.session).limit(GROUP_MAX)
    while True:
        try:
            with database.engine.connect().execution_options(only_reads=True) as connection:
                sessions = [SessionId(session) for session in connection.execute(missing).scalars()]
        except OperationalError:
            return  # a log that cannot be read is told by whoever reads it
        if not sessions:
            return
        with database.engine.execution_options(patient=True).begin() as connection:
            database.prepare(connection, sessions)
            for session in sessions:
                overviews.fold_anew(connection, session)


def _overview_row(overview: CallOverview) -> dict[str, Any]:
    return {
        "session": overview.session,
        "first_unix_ms": overview.first_unix_ms,
        "last_unix_ms": overview.last_unix_ms,
        "entries": overview.entries,
        "number": overview.number,
        "direction": overview.direction,
        "outcome": overview.outcome,
        "search": overview.search_text,
        "overview": encode_overview(overview),
    }


def _parsed(rows: Sequence[Any]) -> list[CallOverview]:
    return [overview for row in rows if (overview := parse_overview(row.overview or b"")) is not None]


_OVERVIEW = select(calls.c.overview, calls.c.entries).where(calls.c.session == bindparam("wanted"))


def _entry(row: Any) -> Entry:
    return Entry(
        session=SessionId(row.session),
        at_unix_ms=row.at_unix_ms,
        what=parse_what(row.what),
        key=row.key,
        leg=LegId(row.leg) if row.leg else None,
        call_control_id=CallControlId(row.call_control_id) if row.call_control_id else None,
        number=row.number,
    )


def _database(url: str, *, shared: bool) -> Database:
    example = "Right is, for example, sqlite:////data/callpath.db, postgresql://user:password@host/name, or nothing"
    try:
        location = make_url(url.replace("postgres://", "postgresql://", 1))  # as Heroku and others still write it
    except (ArgumentError, ValueError):
        raise ConfigError("DATABASE_URL", "is not a database URL", example) from None
    match location.drivername:
        case "sqlite":
            return Sqlite(location, shared=shared)
        case "postgresql" | "postgresql+psycopg":
            return Postgres(location)
        case other:
            raise ConfigError(
                "DATABASE_URL", f"asks for {other}; callpath keeps its log in SQLite or Postgres", example
            )


def _migrate(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with database.engine.execution_options(patient=True).begin() as connection:
        database.lock_migrations(connection)
        config.attributes["connection"] = connection
        alembic.upgrade(config, "head")


def _within(number: int) -> int:
    """What a column can be compared with: numbers come from URLs, too."""
    return max(-_NUMBER_MAX, min(number, _NUMBER_MAX))


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)
