"""A call log in SQLite or Postgres, by way of SQLAlchemy.

    async with open_call_log("sqlite:///callpath.db") as log:          # or "postgresql://…", for many nodes
        await log.append(entry)          # returns once it is on disk

One writer task commits in groups: entries that arrive while a commit runs share the next one, so that a burst costs one
fsync and one hop to a thread instead of hundreds (docs/decisions/0003). Readers, in another process too, see what is
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeGuard, TypeVar

import msgspec
from sqlalchemy import Cast, Connection, Engine, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InternalError, OperationalError, SQLAlchemyError

from callpath.call.dials import DIAL_PREFIX
from callpath.call.overview import PLACED, CallOverview, encode_overview, fold_overview, parse_overview
from callpath.clock import Clock, SystemClock
from callpath.errors import ConfigError, StoreError
from callpath.store.migrate import migrate
from callpath.store.port import (
    DAY_MS,
    DIALLED_MS_MAX,
    MINUTE_MS,
    OFFERED,
    REJECTED_MAX,
    CallQuery,
    DialCounts,
    RejectedRequest,
    Steal,
)
from callpath.store.postgres import Postgres
from callpath.store.schema import calls, entries, leases, refusals
from callpath.store.sqlite import Sqlite
from callpath.timeline import NO_WAKE_KINDS, Entry, encode_what, kind_of, parse_what
from callpath.wire.ids import CallControlId, LegId, SessionId

T = TypeVar("T")

QUEUE_MAX = 10_000
"""Appends that may wait for the disk. When a disk is that far behind, new ones fail, and Telnyx sends them again."""

CLOCK = SystemClock()

CLAIM_MS_MAX = 2_000
"""How long a claim of another node's call may wait for the database. After a longer wait that lease may have run out only
because its node had to wait, too."""

_NUMBER_MAX = 2**63 - 1

GROUP_MAX = 500
"""Appends in one commit. More would only delay the first of them."""


class Database(Protocol):
    """What differs between databases. `name` is for messages, without a password. Whatever uses the engine of an open log
    runs in `threads`, which are waited for before the engine goes: a task that is cancelled leaves its thread at work."""

    name: str
    engine: Engine
    threads: ThreadPoolExecutor
    shared: bool
    insert: Callable[..., Any]
    now_unix_ms: Cast[int]
    """The database's clock. Leases go by it alone: the clocks of nodes differ."""

    def prepare(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """At the beginning of a transaction that will append to `sessions` (sorted)."""
        ...

    def announce(self, connection: Connection, sessions: Sequence[SessionId]) -> None:
        """At the end of one that appended to them."""
        ...

    def wake_others(self, sessions: Collection[SessionId]) -> None:
        """After it, in whichever thread: tell other nodes of these."""
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
    items: tuple[Entry | RejectedRequest, ...]
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
            await asyncio.to_thread(migrate, database)
            await asyncio.to_thread(_fold_missing, database)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log {database.name} cannot be opened: {_cause(error)}") from error
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
        await asyncio.to_thread(_close, database)


async def migrate_call_log(url: str) -> tuple[str, str]:
    """Bring the tables up to date, as `open_call_log` does. Returns the log's name, and the revision of its tables.

    Raises ConfigError, and StoreError when it cannot be done now.
    """
    database = _database(url)
    try:
        return database.name, await asyncio.to_thread(migrate, database)
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"the call log {database.name} cannot be changed: {_cause(error)}") from error
    finally:
        database.engine.dispose()


class SqlCallLog:
    """See `callpath.store.port.CallLog`. Made by `open_call_log`."""

    def __init__(self, database: Database) -> None:
        self.shared = database.shared
        self._database = database
        self._engine = database.engine
        insert = database.insert
        self._add_entries = (
            insert(entries)
            .on_conflict_do_nothing(index_elements=["session", "key"])
            .returning(entries.c.session, entries.c.key, entries.c.number)
        )
        self._overviews = _Overviews(insert)
        self._queue: asyncio.Queue[_Append | None] = asyncio.Queue(QUEUE_MAX)
        self._untold: set[SessionId] = set()
        """Calls of which other nodes have not been told."""
        self._closed = False

    async def append(self, *entries: Entry) -> bool:
        return await self._submit(*entries)

    async def note_rejected(self, request: RejectedRequest) -> None:
        await self._submit(request)

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        return [_entry(row) for row in await self._rows(_TIMELINE, {"wanted": session, "after": _within(after)})]

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
        elif not query.placed:
            wanted = wanted.where(calls.c.outcome != PLACED)
        page = select(calls.c.overview).where(calls.c.session.in_(wanted.limit(query.limit)))
        rows = _parsed(await self._rows(page))
        return sorted(rows, key=lambda one: (one.first_unix_ms, one.session), reverse=True)

    async def changes(self, after: int, limit: int) -> list[CallOverview]:
        newer = and_(calls.c.number > _within(after), calls.c.outcome != PLACED)
        query = select(calls.c.overview).where(newer).order_by(calls.c.number).limit(limit)
        return _parsed(await self._rows(query))

    async def outcomes(self) -> tuple[int, dict[str, int]]:
        latest = (await self._rows(select(func.max(calls.c.number))))[0][0]
        counted = await self._rows(select(calls.c.outcome, func.count()).group_by(calls.c.outcome))
        return latest or 0, {row[0]: row[1] for row in counted if row[0] not in (None, PLACED)}

    async def dial_counts(self, now_unix_ms: int) -> DialCounts:
        began = calls.c.first_unix_ms
        placed = calls.c.outcome == PLACED
        live = and_(calls.c.outcome == "live", calls.c.direction == "outgoing", began > now_unix_ms - DIALLED_MS_MAX)
        # Each by the index of outcomes: a day has few of these among its calls.
        query = select(
            select(func.count()).where(live).scalar_subquery(),
            *(
                select(func.count()).select_from(calls).where(one, began > now_unix_ms - window_ms).scalar_subquery()
                for window_ms in (MINUTE_MS, DAY_MS)
                for one in (placed, and_(calls.c.outcome == "live", calls.c.session.startswith(DIAL_PREFIX)))
            ),
        )
        row = (await self._rows(query))[0]
        return DialCounts(live=row[0], minute=row[1] + row[2], day=row[3] + row[4])

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
        return await self._write(self._forget, session)

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

    async def rejected(self, limit: int) -> tuple[int, list[RejectedRequest]]:
        query = select(refusals).where(refusals.c.what != "").order_by(refusals.c.number.desc()).limit(limit)
        kept = [
            RejectedRequest(row.at_unix_ms, row.what, row.reason, row.detail, row.client, row.path)
            for row in await self._rows(query)
        ]
        (count,) = (await self._rows(select(func.max(refusals.c.number))))[0]  # numbers are never used twice
        return count or 0, kept

    async def forget_rejected(self, before_unix_ms: int) -> int:
        return await self._write(self._forget_rejected, before_unix_ms)

    def _forget_rejected(self, before_unix_ms: int) -> int:
        """The row of the latest stays, with nothing in it: its number says how many there were."""
        latest = select(func.max(refusals.c.number)).scalar_subquery()
        old = refusals.c.at_unix_ms < before_unix_ms
        told = and_(old, refusals.c.what != "")
        empty = {"what": "", "reason": "", "detail": "", "client": None, "path": None}
        with self._engine.begin() as connection:
            self._database.overwrite(connection)
            count = connection.execute(select(func.count()).select_from(refusals).where(told)).scalar_one()
            if count:
                connection.execute(update(refusals).where(old, refusals.c.number == latest).values(empty))
                connection.execute(delete(refusals).where(old, refusals.c.number < latest))
        return int(count)

    async def claim(self, session: SessionId, node: str, lease_ms: int, *, steal: Steal = "expired") -> bool:
        now = self._database.now_unix_ms
        new = self._database.insert(leases).values(session=session, node=node, until_unix_ms=now + lease_ms)
        free = leases.c.node.in_((node, OFFERED))
        claim = new.on_conflict_do_update(
            index_elements=["session"],
            set_={"node": new.excluded.node, "until_unix_ms": new.excluded.until_unix_ms},
            where={"never": free, "expired": or_(free, leases.c.until_unix_ms < now), "always": None}[steal],
        )
        asked_ms = CLOCK.now_ms() if steal == "expired" else None
        return bool(await self._write(self._claim, claim.returning(leases.c.session), asked_ms))

    def _claim(self, claim: Any, asked_ms: float | None) -> Sequence[Any]:
        """`asked_ms`: a lease that ran out while the database stood still was not given up. (A connection has been tried
        when it is handed out, so that the time is known before the claim is sent.)"""
        with self._engine.begin() as connection:
            if asked_ms is not None and CLOCK.now_ms() > asked_ms + CLAIM_MS_MAX:
                raise StoreError(f"the call log {self._database.name} did not answer in time to claim a call")
            return connection.execute(claim).all()

    async def offer(self, session: SessionId) -> None:
        offered = {"node": OFFERED, "until_unix_ms": 0}
        row = self._database.insert(leases).values(session=session, **offered)
        offer = row.on_conflict_do_update(index_elements=["session"], set_=offered)
        await self._execute(offer.returning(leases.c.session))

    async def renew(self, node: str, lease_ms: int) -> set[SessionId]:
        until = self._database.now_unix_ms + lease_ms
        prolong = update(leases).where(leases.c.node == node).values(until_unix_ms=until)
        return {SessionId(row.session) for row in await self._execute(prolong.returning(leases.c.session))}

    async def release(self, session: SessionId, node: str) -> None:
        mine = delete(leases).where(leases.c.session == session, leases.c.node == node)
        await self._execute(mine.returning(leases.c.session))

    async def orphans(self, limit: int, *, expired: bool = True) -> list[SessionId]:
        before = self._database.now_unix_ms if expired else 1
        waiting = select(leases.c.session).where(leases.c.until_unix_ms < before)
        rows = await self._rows(waiting.order_by(leases.c.until_unix_ms, leases.c.session).limit(limit))
        return [SessionId(row.session) for row in rows]

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
            await self._commit([append for append in group if append is not None])

    # -----------------------------------------------------------------------------------------------------------------

    async def _submit(self, *items: Entry | RejectedRequest) -> bool:
        if self._closed:
            raise StoreError("the call log is closed")
        append = _Append(items, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(append)
        except asyncio.QueueFull:
            raise StoreError(f"the disk is too slow: {QUEUE_MAX} entries wait to be written") from None
        return await append.done

    async def _commit(self, group: Sequence[_Append]) -> None:
        try:
            stored = await self._in_thread(self._write_group, [item for append in group for item in append.items])
        except Exception as error:
            # A disk that says no says it to all; an entry that cannot be written must not cost the others their place.
            if len(group) > 1 and not isinstance(error, (OperationalError, InternalError, OSError)):
                for append in group:
                    await self._commit([append])
                return
            for append in group:
                if not append.done.done():
                    append.done.set_exception(StoreError(f"the call log cannot be written: {_cause(error)}"))
            return
        news = iter(stored)
        for append in group:
            new = [next(news) for _ in append.items]
            if not append.done.done():  # its caller may have been cancelled meanwhile
                append.done.set_result(any(new))
        await self._wake_others(group)

    async def _wake_others(self, group: Sequence[_Append]) -> None:
        """Of duplicates, too: whoever stored the first may have died before it could tell."""
        self._untold |= {item.session for append in group for item in append.items if _wakes(item)}
        if self._untold and self.shared:
            with suppress(SQLAlchemyError, OSError):  # the next group will tell of these as well
                await self._in_thread(self._database.wake_others, list(self._untold))
                self._untold.clear()

    def _write_group(self, group: Sequence[Entry | RejectedRequest]) -> list[bool]:
        """A handful of statements for all of them: each is a round trip to a database that may be a millisecond away."""
        appended = [item for item in group if isinstance(item, Entry)]
        sessions = sorted({entry.session for entry in appended})
        with self._engine.begin() as connection:
            if sessions:
                self._database.prepare(connection, sessions)
            numbers = self._add(connection, appended) if appended else []
            fresh: dict[SessionId, list[Entry]] = {}
            for entry, number in zip(appended, numbers, strict=True):
                if number is not None:
                    fresh.setdefault(entry.session, []).append(msgspec.structs.replace(entry, number=number))
            if fresh:
                self._overviews.keep(connection, fresh)
            if refused := [item for item in group if isinstance(item, RejectedRequest)]:
                self._add_refusals(connection, refused)
            if sessions:
                self._database.announce(connection, sessions)
        stored = iter(numbers)
        return [not isinstance(item, Entry) or next(stored) is not None for item in group]

    def _add(self, connection: Connection, appended: Sequence[Entry]) -> list[int | None]:
        """Their numbers, which count as they stand here; None where an entry with this key is there already."""
        rows = [
            {
                "session": entry.session,
                "at_unix_ms": entry.at_unix_ms,
                "kind": kind_of(entry.what),
                "key": entry.key,
                "leg": entry.leg,
                "call_control_id": entry.call_control_id,
                "what": encode_what(entry.what),
            }
            for entry in appended
        ]
        added: dict[tuple[str, str | None], list[int]] = {}
        for row in connection.execute(self._add_entries, rows):  # in whichever order
            added.setdefault((row.session, row.key), []).append(row.number)
        left = {name: iter(sorted(numbers)) for name, numbers in added.items()}
        return [next(left.get((entry.session, entry.key), iter(())), None) for entry in appended]

    def _add_refusals(self, connection: Connection, refused: Sequence[RejectedRequest]) -> None:
        rows = [asdict(refusal) for refusal in refused]
        added = self._database.insert(refusals).returning(refusals.c.number)
        latest = max(connection.execute(added, rows).scalars())
        connection.execute(delete(refusals).where(refusals.c.number <= latest - REJECTED_MAX))

    async def _execute(self, statement: Any) -> Sequence[Any]:
        """Carry out one statement by itself; the rows that it returns."""
        return await self._write(self._change, statement)

    async def _write(self, change: Callable[..., T], *args: Any) -> T:
        try:
            return await self._in_thread(change, *args)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log cannot be written: {_cause(error)}") from error

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        try:
            working = asyncio.get_running_loop().run_in_executor(self._database.threads, work, *args)
        except RuntimeError:
            raise StoreError("the call log is closed") from None
        return await working

    def _change(self, statement: Any) -> Sequence[Any]:
        with self._engine.begin() as connection:
            return connection.execute(statement).all()

    async def _rows(self, query: Any, values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        try:
            return await self._in_thread(self._read_rows, query, values)
        except (SQLAlchemyError, OSError) as error:
            raise StoreError(f"the call log cannot be read: {_cause(error)}") from error

    def _read_rows(self, query: Any, values: Mapping[str, Any] | None) -> Sequence[Any]:
        with self._engine.connect().execution_options(only_reads=True) as connection:
            return connection.execute(query, values).all()


# --- overviews -------------------------------------------------------------------------------------------------------


class _Overviews:
    """Keeps the rows of `calls`, which are made from the entries."""

    def __init__(self, insert: Callable[..., Any]) -> None:
        new = insert(calls)
        self._save = new.on_conflict_do_update(
            index_elements=["session"],
            set_={column.name: getattr(new.excluded, column.name) for column in calls.c if not column.primary_key},
        )

    def keep(self, connection: Connection, fresh: Mapping[SessionId, Sequence[Entry]]) -> None:
        """Bring the rows of calls up to date with entries that this transaction has added."""
        wanted = list(fresh)
        found = (
            connection.execute(_OVERVIEW, {"wanted": wanted[0]})  # a list of one takes SQLAlchemy a quarter longer
            if len(wanted) == 1
            else connection.execute(_OVERVIEWS, {"wanted": wanted})
        )
        rows = {row.session: row for row in found}
        kept = []
        for session, appended in fresh.items():
            row = rows.get(session)
            if row is None or not row.entries:  # `prepare` may have made its row
                overview: CallOverview | None = CallOverview(session=session)
            else:
                overview = parse_overview(row.overview or b"")
            if overview is None or (row is not None and overview.entries != row.entries):
                self.fold_anew(connection, session)  # not there yet, or an older callpath appends beside us
                continue
            if all(overview.apply(entry) for entry in appended):
                kept.append(_overview_row(overview))
            else:  # one came late
                self.fold_anew(connection, session)
        if kept:
            connection.execute(self._save, kept if len(kept) > 1 else kept[0])

    def fold_anew(self, connection: Connection, session: SessionId) -> None:
        """Make the row of one call from all its entries."""
        query = select(entries).where(entries.c.session == session).order_by(entries.c.number)
        overview = fold_overview(session, [_entry(row) for row in connection.execute(query)])
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
        "direction": overview.way,
        "outcome": overview.stored_outcome,
        "search": overview.search_text,
        "overview": encode_overview(overview),
    }


def _parsed(rows: Sequence[Any]) -> list[CallOverview]:
    return [overview for row in rows if (overview := parse_overview(row.overview or b"")) is not None]


_TIMELINE = (
    select(entries)
    .where(entries.c.session == bindparam("wanted"), entries.c.number > bindparam("after"))
    .order_by(entries.c.number)
)
_OVERVIEW_COLUMNS = select(calls.c.session, calls.c.overview, calls.c.entries)
_OVERVIEW = _OVERVIEW_COLUMNS.where(calls.c.session == bindparam("wanted"))
_OVERVIEWS = _OVERVIEW_COLUMNS.where(calls.c.session.in_(bindparam("wanted", expanding=True)))


def _wakes(item: Entry | RejectedRequest) -> TypeGuard[Entry]:
    """Whether other nodes have to hear of it."""
    return isinstance(item, Entry) and not isinstance(item.what, NO_WAKE_KINDS)


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


def _database(url: str, *, shared: bool = False) -> Database:
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


def _close(database: Database) -> None:
    """A connection that a thread still holds would outlive the engine, and nobody would close it. What somebody still waits
    for is done before."""
    database.threads.shutdown()
    database.engine.dispose()


def _within(number: int) -> int:
    """What a column can be compared with: numbers come from URLs, too."""
    return max(-_NUMBER_MAX, min(number, _NUMBER_MAX))


def _cause(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error)
