"""The call log in a SQLite file: what is special to a disk, and to more than one process."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, text

from callpath.clock import SystemClock
from callpath.errors import ConfigError, StoreError
from callpath.store import sql, sqlite
from callpath.store.port import CallQuery, RejectedRequest
from callpath.store.schema import UNUSED, metadata
from callpath.store.sql import SqlCallLog, open_call_log
from callpath.timeline import Noted, encode_what
from callpath.wire.ids import SessionId
from tests.call.test_session import ANSWERED, INITIATED
from tests.store.entries import AT, SESSION, entry, unnumbered


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file that is not there yet, in a folder that is not there yet."""
    return tmp_path / "data" / "callpath.db"


@pytest.fixture
def url(database: Path) -> str:
    return f"sqlite:///{database}"


def notes(count: int) -> list[Noted]:
    return [Noted(text=str(number)) for number in range(count)]


async def texts(log: SqlCallLog) -> list[str]:
    """The timeline as the texts of its notes."""
    return [one.what.text for one in await log.read(SESSION) if isinstance(one.what, Noted)]


@contextmanager
def counted_commits(log: SqlCallLog) -> Iterator[list[None]]:
    """A list that grows by one with each transaction that reaches the disk."""
    commits: list[None] = []
    event.listen(log._engine, "commit", lambda _connection: commits.append(None))
    yield commits


# --- opening ---------------------------------------------------------------------------------------------------------


async def test_the_file_is_made_with_its_folder(url: str, database: Path) -> None:
    """The first start on a fresh machine needs no step by hand."""
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="x")))

    assert database.is_file()


async def test_a_log_opened_again_has_everything(url: str) -> None:
    """A restart in the middle of a call: its timeline, its keys and the refusals are still known."""
    refusal = RejectedRequest(at_unix_ms=AT, what="upgrade", reason="bad_token", detail="…")
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="before"), key="event-1"))
        await log.note_rejected(refusal)
    async with open_call_log(url) as log:
        again = await log.append(entry(Noted(text="before"), key="event-1"))
        await log.append(entry(Noted(text="after")))
        await log.note_rejected(refusal)

        assert again is False
        assert await texts(log) == ["before", "after"]
        assert await log.rejected(5) == (2, [refusal, refusal])


async def test_a_reader_in_another_process_sees_what_is_committed(url: str) -> None:
    """`callpath calls show` beside a server that carries calls; a key counts for both."""
    async with open_call_log(url) as writer, open_call_log(url) as reader:
        assert await writer.append(entry(Noted(text="1"), key="event-1"))
        seen = await texts(reader)
        await writer.append(entry(Noted(text="2")))
        again = await reader.append(entry(Noted(text="1"), key="event-1"))

        assert seen == ["1"]
        assert await texts(reader) == ["1", "2"]
        assert again is False


async def test_two_writers_lose_nothing(url: str) -> None:
    """An old and a new server overlap while a host replaces one by the other."""
    async with open_call_log(url) as old, open_call_log(url) as new:
        ours = [(log, entry(what)) for what in notes(40) for log in (old, new)]
        stored = await asyncio.gather(*(log.append(one) for log, one in ours))

        assert stored == [True] * 80
        assert sorted(await texts(old)) == sorted(str(number) for number in [*range(40), *range(40)])


@asynccontextmanager
async def watched(log: SqlCallLog) -> AsyncIterator[Callable[[], Awaitable[SessionId | None]]]:
    """What `log` is told that others wrote, one by one."""
    told: asyncio.Queue[SessionId | None] = asyncio.Queue()

    async def watch() -> None:
        async for session in log.watch(SystemClock()):
            told.put_nowait(session)

    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        watching = tasks.create_task(watch())
        assert await told.get() is None  # from here on nothing is missed
        yield told.get
        watching.cancel()


async def test_workers_are_told_what_others_wrote(url: str) -> None:
    """A webhook at one worker, the call's audio at another; and nobody is woken by what he wrote himself."""
    async with (
        open_call_log(url, shared=True) as ours,
        open_call_log(url, shared=True) as theirs,
        watched(ours) as told,
    ):
        await ours.append(entry(Noted(text="1"), "ours"))
        await theirs.append(entry(Noted(text="2"), "theirs"))
        first = await told()
        await ours.append(entry(Noted(text="3"), "both"))
        await theirs.append(entry(Noted(text="4"), "both"))
        await theirs.append(entry(Noted(text="5"), "last"))

        assert "theirs" == first
        assert ["both", "last"] == sorted({str(await told()), str(await told())})


async def test_numbers_that_were_not_committed_belong_to_nobody(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are given again, to another worker; taken for ours, its entries would be passed over."""
    async with (
        open_call_log(url, shared=True) as ours,
        open_call_log(url, shared=True) as theirs,
        watched(ours) as told,
    ):
        await ours.append(entry(Noted(text="1"), "ours"))
        with monkeypatch.context() as patch:
            patch.setattr(ours._engine.dialect, "do_commit", Mock(side_effect=sqlite3.OperationalError("full")))
            with pytest.raises(StoreError, match="full"):
                await ours.append(entry(Noted(text="2"), "ours"))
        await theirs.append(entry(Noted(text="3"), "theirs"))

        assert "theirs" == await told()


async def test_forgetting_the_latest_call_hides_no_later_one(url: str) -> None:
    """Its numbers are given again: whoever asked only for greater ones would miss the next call."""
    async with (
        open_call_log(url, shared=True) as ours,
        open_call_log(url, shared=True) as theirs,
        watched(ours) as told,
    ):
        await theirs.append(entry(Noted(text="1"), "forgotten"))
        seen = [await told()]
        await theirs.forget(SessionId("forgotten"))
        seen.append(await told())
        await theirs.append(entry(Noted(text="2"), "next"))
        seen.append(await told())

        assert ["forgotten", None, "next"] == seen


def open_and_append(url: str) -> subprocess.Popen[bytes]:
    """A process of its own that waits for a line, then opens the log and appends one entry."""
    code = (
        "import asyncio, sys\n"
        "from callpath.store.sql import open_call_log\n"
        "from callpath.timeline import Entry, Noted\n"
        "async def main():\n"
        "    async with open_call_log(sys.argv[1]) as log:\n"
        f"        await log.append(Entry(session={SESSION!r}, at_unix_ms=1, what=Noted(text='x')))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "asyncio.run(main())\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def test_a_new_file_opened_by_several_at_once(url: str) -> None:
    """Server and `callpath calls` started together: each may be the one that makes the tables."""
    processes = [open_and_append(url) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    complaints = [process.communicate()[1].decode().strip() for process in processes]
    async with open_call_log(url) as log:
        assert complaints == [""] * 4
        assert await texts(log) == ["x"] * 4


async def test_what_the_disk_was_told_is_really_there(url: str) -> None:
    """A webhook that was answered 200 must survive a power cut: the file is synced with each commit."""
    async with open_call_log(url) as log:
        with log._engine.connect() as connection:
            pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]

    assert pragmas == ["wal", 2]


def in_use(name: str | None, _kind: str, _parents: object) -> bool:
    """Leaves out the tables that are kept for nodes of an older version."""
    return name not in UNUSED


async def test_migrations_lead_to_the_schema(url: str) -> None:
    """What is queried is what is there, also in a database that was made long ago."""
    async with open_call_log(url) as log:
        with log._engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": in_use})
            differences = compare_metadata(context, metadata)

    assert differences == []


# --- what cannot be opened -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "://",
        "mysql://calls:hush@db.example.com/calls",
        "postgresql://db.example.com:port/calls",
        "sqlite+nosuchdriver:///callpath.db",
        "sqlite+aiosqlite:///callpath.db",
        "sqlite://host/callpath.db",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
async def test_a_url_that_cannot_be_used_is_a_setting_to_mend(url: str) -> None:
    """The text names the setting and shows a right one, and never the password."""
    with pytest.raises(ConfigError, match=r"^DATABASE_URL .* sqlite:////data/callpath\.db") as caught:
        async with open_call_log(url):
            pass

    assert caught.value.setting == "DATABASE_URL"
    assert "hush" not in str(caught.value)


async def test_a_file_that_is_no_database(url: str, database: Path) -> None:
    """DATABASE_URL that names a recording, say: it must not be written over."""
    database.parent.mkdir()
    database.write_bytes(b"RIFF" * 4096)
    with pytest.raises(StoreError, match=r"callpath\.db cannot be opened: file is not a database"):
        async with open_call_log(url):
            pass

    assert database.read_bytes() == b"RIFF" * 4096


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A volume mounted elsewhere: the path is named, with what the system said."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/callpath\.db cannot be made: .*(File exists|Not a directory)"):
        async with open_call_log(f"sqlite:///{tmp_path / 'file' / 'callpath.db'}"):
            pass


async def test_a_folder_where_the_file_should_be(database: Path, url: str) -> None:
    """A volume mounted on the file's own name."""
    database.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"callpath\.db cannot be opened: unable to open database file"):
        async with open_call_log(url):
            pass


async def test_a_log_of_a_newer_callpath(url: str, database: Path) -> None:
    """After a step back to an older version: newer ones have only added, so calls go on being served."""
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="x")))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="y")))

        assert ["x", "y"] == await texts(log)


async def test_an_error_inside_comes_out_as_it_is(url: str) -> None:
    """Wrapped into a group it would pass by every `except StoreError`, and end in a traceback."""
    with pytest.raises(StoreError, match=r"^ours$"):
        async with open_call_log(url):
            raise StoreError("ours")


# --- groups ----------------------------------------------------------------------------------------------------------


async def test_appends_that_wait_share_a_commit(url: str) -> None:
    """A burst of webhooks must not wait for hundreds of fsyncs in a row."""
    async with open_call_log(url) as log:
        with counted_commits(log) as commits:
            stored = await asyncio.gather(*(log.append(entry(what)) for what in notes(300)))

        assert stored == [True] * 300
        assert len(commits) <= 2
        assert await texts(log) == [str(number) for number in range(300)]


async def test_a_group_is_bounded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of many must not wait for the last."""
    monkeypatch.setattr(sql, "GROUP_MAX", 10)
    async with open_call_log(url) as log:
        with counted_commits(log) as commits:
            await asyncio.gather(*(log.append(entry(what)) for what in notes(30)))

        assert len(commits) >= 3
        assert await texts(log) == [str(number) for number in range(30)]


async def test_leaving_writes_what_still_waits(url: str) -> None:
    """A server that is told to stop has taken these entries already."""
    async with asyncio.TaskGroup() as tasks, open_call_log(url) as log:
        waiting = [tasks.create_task(log.append(entry(what))) for what in notes(5)]
        await asyncio.sleep(0)

    assert [task.result() for task in waiting] == [True] * 5
    async with open_call_log(url) as log:
        assert await texts(log) == ["0", "1", "2", "3", "4"]


async def test_a_closed_log_takes_nothing(url: str) -> None:
    """An append that would never be written must not look as if it was."""
    async with open_call_log(url) as log:
        pass

    with pytest.raises(StoreError, match="closed"):
        await log.append(entry(Noted(text="late")))
    with pytest.raises(StoreError, match="closed"):
        await log.note_rejected(RejectedRequest(at_unix_ms=AT, what="webhook", reason="unsigned", detail=""))


async def test_a_log_is_closed_after_the_last_read_and_each_connection_with_it(url: str) -> None:
    """A task that is cancelled leaves its thread at work, with a connection that nobody would close."""
    reading, may_end = threading.Event(), threading.Event()
    opened: list[Any] = []
    closed: list[Any] = []

    def hold(*_of_the_statement: Any) -> None:
        reading.set()
        assert may_end.wait(10)

    async with open_call_log(url) as log:
        pool = log._engine.pool
        pool.dispose()
        event.listen(pool, "connect", lambda connection, _record: opened.append(connection))
        event.listen(pool, "close", lambda connection, _record: closed.append(connection))
        event.listen(log._engine, "before_cursor_execute", hold)
        read = asyncio.create_task(log.read(SESSION))
        await asyncio.to_thread(reading.wait, 10)
        read.cancel()
        asyncio.get_running_loop().call_later(0.05, may_end.set)
    assert opened and set(closed) == set(opened)
    with pytest.raises(StoreError, match="closed"):
        await log.read(SESSION)


async def test_the_queue_is_bounded(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a disk that hangs, memory must not fill up; the webhook is not acknowledged, and Telnyx sends it again."""
    monkeypatch.setattr(sql, "QUEUE_MAX", 2)
    async with open_call_log(url) as log:
        outcomes = await asyncio.gather(*(log.append(entry(what)) for what in notes(4)), return_exceptions=True)

        assert outcomes[:2] == [True, True]
        assert [str(error) for error in outcomes[2:]] == ["the disk is too slow: 2 entries wait to be written"] * 2
        assert await log.append(entry(Noted(text="later")))
        assert await texts(log) == ["0", "1", "later"]


async def test_leaving_with_a_full_queue_writes_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server stopped under load would lose what it took, and hang on the appends that wait."""
    monkeypatch.setattr(sql, "QUEUE_MAX", 2)
    async with asyncio.TaskGroup() as tasks, open_call_log(url) as log:
        waiting = [tasks.create_task(log.append(entry(what))) for what in notes(2)]
        await asyncio.sleep(0)

    assert [task.result() for task in waiting] == [True, True]


async def test_a_caller_that_gives_up_leaves_the_others_alone(url: str) -> None:
    """A request that is cut off while its entry waits for the disk, together with others."""
    async with open_call_log(url) as log:
        async with asyncio.TaskGroup() as tasks:
            first, second, third = (tasks.create_task(log.append(entry(what))) for what in notes(3))
            await asyncio.sleep(0)
            second.cancel()

        assert (first.result(), third.result()) == (True, True)
        assert second.cancelled()
        assert {"0", "2"} <= set(await texts(log))


async def test_a_text_that_is_no_unicode_does_not_end_the_log(url: str) -> None:
    """A handler's exception can quote a file name with stray bytes: that one call's entry, not all calls, may suffer."""
    async with open_call_log(url) as log:
        with suppress(StoreError):
            await log.append(entry(Noted(text="caf\udce9.wav")))
        with suppress(StoreError):
            await log.append(entry(Noted(text="x"), key="\udce9"))

        assert await log.append(entry(Noted(text="next"), "another"))


# --- a disk that says no ---------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is reported at once."""
    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 0)


@contextmanager
def locked(log: SqlCallLog) -> Iterator[None]:
    """Another process writes, and does not come to an end."""
    other = sqlite3.connect(str(log._engine.url.database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def with_pragmas(log: SqlCallLog, on: str, off: str) -> Iterator[None]:
    """Every connection is given `on` while this is entered, and `off` afterwards."""
    now = [on]

    def set_pragma(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.execute(now[0]).close()

    event.listen(log._engine, "checkout", set_pragma)
    yield
    now[0] = off


def read_only(log: SqlCallLog) -> Any:
    """The file system was remounted read-only."""
    return with_pragmas(log, "PRAGMA query_only = on", "PRAGMA query_only = off")


def full(log: SqlCallLog) -> Any:
    """No page is left on the disk."""
    return with_pragmas(log, "PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1000000")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("trouble", "says"),
    [(locked, "database is locked"), (read_only, "attempt to write a readonly database"), (full, "disk is full")],
)
async def test_what_was_not_written_is_not_acknowledged(trouble: Any, says: str, url: str) -> None:
    """Each waiting append fails, nothing of the group is left behind, and once the disk is well all goes on."""
    big = [entry(Noted(text=f"{number} " + 50_000 * "x"), key=str(number)) for number in range(3)]
    refusal = RejectedRequest(at_unix_ms=AT, what="webhook", reason="unsigned", detail=50_000 * "x")
    async with open_call_log(url) as log:
        with trouble(log):
            lost = await asyncio.gather(*(log.append(one) for one in big), return_exceptions=True)
            with pytest.raises(StoreError, match=says):
                await log.note_rejected(refusal)
            during = await log.read(SESSION)
        stored = [await log.append(one) for one in big]

        assert [type(error) for error in lost] == [StoreError] * 3
        assert all(says in str(error) for error in lost)
        assert during == []
        assert stored == [True] * 3
        assert unnumbered(await log.read(SESSION)) == big
        assert await log.rejected(1) == (0, [])


@pytest.mark.usefixtures("impatient")
async def test_all_that_wait_fail_together_when_the_disk_does(url: str) -> None:
    """Each lock is waited for; entry by entry, a burst of webhooks would wait for minutes, and Telnyx for an answer."""
    async with open_call_log(url) as log:
        tries: list[str] = []
        event.listen(
            log._engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_: tries.append(statement)
        )
        with locked(log):
            lost = await asyncio.gather(*(log.append(entry(what)) for what in notes(50)), return_exceptions=True)

        assert [type(error) for error in lost] == [StoreError] * 50
        assert len(tries) <= 2


@pytest.mark.usefixtures("impatient")
async def test_one_entry_that_cannot_be_written_leaves_its_group_alone(url: str) -> None:
    """A stray byte in one call's entry must not cost another call its webhook."""
    bad = entry(Noted(text="x"), key="\udce9")
    async with open_call_log(url) as log:
        stored = await asyncio.gather(
            log.append(entry(Noted(text="0"))),
            log.append(bad),
            log.append(entry(Noted(text="1"))),
            return_exceptions=True,
        )

        assert (stored[0], type(stored[1]), stored[2]) == (True, StoreError, True)
        assert await texts(log) == ["0", "1"]


@pytest.mark.usefixtures("impatient")
async def test_a_server_can_stop_while_the_disk_is_ill(url: str) -> None:
    """It has nothing to write; a crash here would hide why it stopped."""
    with ExitStack() as afterwards:
        async with open_call_log(url) as log:
            afterwards.enter_context(locked(log))


@pytest.mark.usefixtures("impatient")
async def test_reading_takes_no_lock(url: str) -> None:
    """`callpath calls` beside a busy server must neither wait for it nor hold it up."""
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="x")))
        with locked(log):
            assert await texts(log) == ["x"]
            assert await log.find(SESSION) == SESSION
            assert len(await log.overviews(CallQuery(limit=1))) == 1
            assert await log.rejected(1) == (0, [])


async def test_what_cannot_be_read_is_said(url: str, database: Path) -> None:
    """Someone removed the tables from under a running server; "no such call" would be a lie."""
    async with open_call_log(url) as log:
        with sqlite3.connect(database) as connection:
            for table in ("entries", "calls", "refusals"):
                connection.execute(f"DROP TABLE {table}")
        connection.close()

        for reading in (log.read(SESSION), log.overviews(CallQuery(limit=1)), log.find("x"), log.rejected(1)):
            with pytest.raises(StoreError, match="cannot be read: no such table"):
                await reading


# --- overviews that are missing or out of date -----------------------------------------------------------------------


async def test_calls_of_an_older_callpath_get_their_overviews(url: str, database: Path) -> None:
    """After an update the list must show the calls from before it, too."""
    async with open_call_log(url) as log:
        for number in range(3):
            await log.append(entry(INITIATED, f"call-{number}", at=AT + number))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE calls SET overview = NULL, number = NULL, outcome = NULL, search = NULL")
    connection.close()
    async with open_call_log(url) as log:
        rows = await log.overviews(CallQuery(outcome="live"))

        assert ["call-2", "call-1", "call-0"] == [one.session for one in rows]
        assert 3 == len(await log.changes(0, 10))


async def test_an_older_callpath_beside_us_is_made_up_for(url: str, database: Path) -> None:
    """While a host replaces one version by the next, the old one appends without keeping the overview."""
    async with open_call_log(url) as log:
        await log.append(entry(INITIATED))
        with sqlite3.connect(database) as connection:
            what = encode_what(ANSWERED)
            connection.execute(
                "INSERT INTO entries (session, at_unix_ms, kind, what) VALUES (?, ?, ?, ?)",
                (SESSION, AT + 1, "webhook.received", what),
            )
            connection.execute("UPDATE calls SET entries = entries + 1")
        connection.close()
        await log.append(entry(Noted(text="x")))
        (overview,) = await log.overviews(CallQuery())

        assert (3, "answered") == (overview.entries, overview.state)


# --- a process that dies ---------------------------------------------------------------------------------------------

APPEND_FOR_EVER = f"""
import asyncio, itertools, sys
from callpath.store.sql import open_call_log
from callpath.timeline import Entry, Noted

numbers = itertools.count()

async def append(log):
    for number in numbers:
        await log.append(Entry(session={SESSION!r}, at_unix_ms=number, what=Noted(text=str(number))))
        print(number, flush=True)

async def main():
    async with open_call_log(sys.argv[1]) as log:
        await asyncio.gather(*(append(log) for _ in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 20, 100])
async def test_a_killed_process_loses_nothing_that_it_acknowledged(url: str, after: int) -> None:
    """Telnyx never sends again what was answered 200: an append that returned must be on disk."""
    process = subprocess.Popen([sys.executable, "-c", APPEND_FOR_EVER, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline() for _ in range(after)]
    process.kill()
    *rest, _torn = process.communicate()[0].split(b"\n")
    promised = {line.decode().strip() for line in [*acknowledged, *rest]}
    async with open_call_log(url) as log:
        kept = await texts(log)
        (summary,) = await log.overviews(CallQuery(limit=1))

    assert process.returncode == -9
    assert promised - set(kept) == set()
    assert len(kept) == len(set(kept)) == summary.entries


async def test_a_session_of_any_number_of_entries_keeps_its_order_when_reopened(url: str) -> None:
    """Numbers go on where they were: what comes after a restart stands after what was before it."""
    for round_ in range(3):
        async with open_call_log(url) as log:
            await log.append(entry(Noted(text=str(round_))))
    async with open_call_log(url) as log:
        assert await texts(log) == ["0", "1", "2"]
        assert [one.number for one in await log.read(SessionId(SESSION))] == [1, 2, 3]


def test_the_schema_can_be_made_without_migrations(tmp_path: Path) -> None:
    """Guards the comparison above: an empty schema would equal anything."""
    engine: Engine = create_engine(f"sqlite:///{tmp_path / 'bare.db'}")
    with engine.connect() as connection:
        missing = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert {"calls", "entries", "refusals"} <= {table.name for kind, table in missing if kind == "add_table"}
