"""The call log in Postgres: what is special to many nodes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Text, event, text

from callpath.clock import SystemClock
from callpath.errors import ConfigError, StoreError
from callpath.store import sql
from callpath.store.schema import AnyText, metadata
from callpath.store.sql import SqlCallLog, open_call_log
from callpath.timeline import MediaCounted, Noted
from callpath.wire.ids import SessionId, StreamId
from tests.postgres import new_database
from tests.store.entries import SESSION, entry
from tests.store.test_sql import in_use


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


@pytest.fixture
async def nodes(url: str) -> AsyncIterator[tuple[SqlCallLog, SqlCallLog]]:
    """Two nodes on one database."""
    async with open_call_log(url) as a, open_call_log(url) as b:
        yield a, b


async def test_migrations_lead_to_the_schema(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """A column that only new databases have breaks every old one."""

    def differs(_context: Any, _column: Any, _ours: Any, found: Any, wanted: Any) -> bool | None:
        return not isinstance(found, Text) if isinstance(wanted, AnyText) else None  # alembic looks at no type of ours

    with nodes[0]._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": differs, "include_name": in_use})

        assert [] == compare_metadata(context, metadata)


async def test_many_nodes_may_start_at_once(url: str) -> None:
    """A first deploy with replicas: all of them find no tables, and one makes them."""

    async def start() -> None:
        async with open_call_log(url):
            pass

    await asyncio.gather(*(start() for _ in range(4)))
    async with open_call_log(url) as log:
        assert await log.append(entry(Noted(text="x")))


async def test_a_key_counts_for_all_nodes(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """Telnyx delivers a webhook twice, and the balancer sends the second elsewhere."""
    stored = await asyncio.gather(*(log.append(entry(Noted(text="x"), key="event-1")) for log in nodes * 5))

    assert 1 == stored.count(True)
    assert 1 == len(await nodes[0].read(SESSION))


async def test_a_reader_passes_over_nothing_while_many_write(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """Who follows a call asks for what comes after the last number seen: a lower number that is committed later would
    never be read, and a hang-up be missed."""
    seen: list[int] = []
    appends = [log.append(entry(Noted(text=str(number)), session)) for number in range(60) for log in nodes
               for session in (SESSION, "another", "third")]  # fmt: skip

    async def follow() -> None:
        while len(seen) < 120:
            seen.extend(one.number for one in await nodes[0].read(SESSION, after=seen[-1] if seen else 0))

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *appends)

    assert [one.number for one in await nodes[1].read(SESSION)] == seen


async def test_a_burst_costs_a_handful_of_round_trips(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """A database is a millisecond away: five round trips an entry would make two hundred entries a second of a node."""
    tries: list[str] = []
    event.listen(
        nodes[0]._engine, "before_cursor_execute", lambda _connection, _cursor, statement, *_: tries.append(statement)
    )
    burst = [entry(Noted(text=str(number)), f"call-{number % 200}", key=str(number)) for number in range(400)]
    stored = await asyncio.gather(*(nodes[0].append(one) for one in [*burst, *burst[:50]]))

    assert [True] * 400 + [False] * 50 == stored
    assert len(tries) <= 20, "\n".join(tries)


@pytest.fixture
async def changes(nodes: tuple[SqlCallLog, SqlCallLog]) -> AsyncIterator[AsyncIterator[SessionId | None]]:
    """What the second node is woken for; its connection is closed at the end, and not whenever the collector comes."""
    watching: Any = nodes[1].watch(SystemClock())
    async with aclosing(watching):
        yield watching


async def test_a_node_is_woken_by_anothers_append(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """The hang-up arrives at A while the audio, and the handler to be ended, are at B."""
    a, _ = nodes
    ready = await anext(changes)
    await a.append(entry(Noted(text="x")))
    async with asyncio.timeout(60):
        woken = await anext(changes)

    assert (None, SESSION) == (ready, woken)


async def test_nobody_is_woken_for_what_asks_for_nothing(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """Every live call is counted every ten seconds; with many nodes nearly all notices would be of that."""
    a, _ = nodes
    await anext(changes)
    await a.append(entry(MediaCounted(stream_id=StreamId("s")), "counted"))
    await a.append(entry(Noted(text="x")))
    async with asyncio.timeout(60):
        woken = await anext(changes)

    assert SESSION == woken


async def test_a_notice_that_was_lost_comes_with_the_duplicate(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """A node dies between its commit and its notice: Telnyx had no answer, and sends the webhook again, to another."""
    a, _ = nodes
    await anext(changes)
    lost = a._database.wake_others
    a._database.wake_others = _dies  # type: ignore[method-assign,assignment]
    first = await a.append(entry(Noted(text="x"), key="event-1"))
    a._untold.clear()
    a._database.wake_others = lost  # type: ignore[method-assign]
    again = await a.append(entry(Noted(text="x"), key="event-1"))
    async with asyncio.timeout(60):
        woken = await anext(changes)

    assert (True, False, SESSION) == (first, again, woken)


async def test_a_session_that_cannot_be_told_keeps_no_other_back(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """Ids come from outside: one with a NUL must not end all notices."""
    a, _ = nodes
    await anext(changes)
    await asyncio.gather(*(a.append(entry(Noted(text="x"), name)) for name in ("a\0b", 9000 * "x", SESSION)))
    async with asyncio.timeout(60):
        woken = await anext(changes)
        while a._untold:  # the notice may be here before the sender knows that it went out
            await asyncio.sleep(0)

    assert SESSION == woken


async def test_a_notice_that_could_not_be_sent_goes_with_the_next(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """A hang-up of which the other node is never told would leave its handler talking."""
    a, _ = nodes
    await anext(changes)
    sending = a._database.wake_others
    a._database.wake_others = _dies  # type: ignore[method-assign,assignment]
    await a.append(entry(Noted(text="x")))
    a._database.wake_others = sending  # type: ignore[method-assign]
    await a.append(entry(MediaCounted(stream_id=StreamId("s")), "another"))
    async with asyncio.timeout(60):
        woken = await anext(changes)

    assert SESSION == woken


def _dies(_sessions: object) -> None:
    raise OSError("the network is gone")


async def test_a_lost_connection_wakes_for_everything(
    nodes: tuple[SqlCallLog, SqlCallLog], changes: AsyncIterator[SessionId | None]
) -> None:
    """While the database restarted, notices went nowhere."""
    a, _ = nodes
    await anext(changes)
    with a._engine.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"))
    async with asyncio.timeout(60):
        woken = await anext(changes)
        await a.append(entry(Noted(text="x")))
        then = await anext(changes)

    assert (None, SESSION) == (woken, then)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
async def test_a_server_that_vanished_is_noticed(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """After a failover nobody sends a reset: without these a node would be deaf for two hours, and writers stand still for
    a quarter of one."""
    with nodes[0]._engine.connect() as connection:
        below = connection.connection.driver_connection
        assert below is not None
        with socket.socket(fileno=os.dup(below.fileno())) as wire:
            idle = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            unheard_ms = wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            alive = wire.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    assert (1, 10, 10_000) == (alive, idle, unheard_ms)


async def test_a_database_that_takes_no_writes_says_so_to_all_at_once(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """A failover left us with the replica: webhooks are answered 503 within Telnyx's two seconds, not one after the other,
    calls are still read, and what comes afterwards is stored."""
    log, tries = nodes[0], list[str]()
    now = ["on"]
    event.listen(
        log._engine, "begin", lambda connection: connection.exec_driver_sql(f"SET transaction_read_only = {now[0]}")
    )
    event.listen(log._engine, "before_cursor_execute", lambda _c, _cursor, statement, *_: tries.append(statement))
    burst = [entry(Noted(text=str(number)), key=str(number)) for number in range(50)]
    lost = await asyncio.gather(*(log.append(one) for one in burst), return_exceptions=True)
    spent, during = len(tries), await log.read(SESSION)
    now[0] = "off"
    stored = await asyncio.gather(*(log.append(one) for one in burst))

    assert {"StoreError"} == {type(error).__name__ for error in lost}
    assert all("read-only transaction" in str(error) for error in lost)
    assert spent <= 6
    assert ([], [True] * 50) == (during, stored)


async def test_a_claim_that_had_to_wait_takes_nothing_from_a_living_node(
    nodes: tuple[SqlCallLog, SqlCallLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database stood still, and the claim on its way with it: meanwhile the lease ran out, although its node lives. The
    connection is tried before the claim is sent, so that the wait is known."""
    a, b = nodes
    await a.claim(SessionId(SESSION), "a", -1)
    monkeypatch.setattr(sql, "CLAIM_MS_MAX", 50)

    def thaw(*_: object) -> None:
        SystemClock().block_ms(100)

    event.listen(b._engine, "begin", thaw)
    with pytest.raises(StoreError, match="did not answer in time to claim a call"):
        await b.claim(SessionId(SESSION), "b", 60_000)

    assert {SESSION} == await a.renew("a", 60_000)


async def test_a_database_that_was_restarted_costs_no_entry(nodes: tuple[SqlCallLog, SqlCallLog]) -> None:
    """Managed databases are restarted at night; the pool holds connections that are dead by then."""
    a, b = nodes
    assert await a.append(entry(Noted(text="before")))
    with b._engine.connect() as connection:
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    assert await a.append(entry(Noted(text="after")))


async def test_a_killed_node_loses_nothing_that_it_acknowledged(url: str) -> None:
    """kill -9 in the middle of writing: what was told to be stored is stored."""
    code = (
        "import asyncio, sys\n"
        "from callpath.store.sql import open_call_log\n"
        "from callpath.timeline import Entry, Noted\n"
        "async def main():\n"
        "    async with open_call_log(sys.argv[1]) as log:\n"
        "        for number in range(100000):\n"
        f"            await log.append(Entry(session={SESSION!r}, at_unix_ms=1, what=Noted(text=str(number))))\n"
        "            print(number, flush=True)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(50)]
        os.kill(process.pid, signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]
    async with open_call_log(url) as log:
        kept = [int(one.what.text) for one in await log.read(SessionId(SESSION)) if isinstance(one.what, Noted)]

    assert acknowledged == kept[: len(acknowledged)]


@pytest.mark.parametrize(
    "url", ["postgresql://calls:hush@127.0.0.1:1/calls", "postgres://calls:hush@127.0.0.1:1/calls"]
)
async def test_a_server_that_is_not_there_is_named(url: str) -> None:
    """With its address, and without the password."""
    with pytest.raises(StoreError, match=r"call log 127\.0\.0\.1/calls cannot be opened") as caught:
        async with open_call_log(url):
            pass

    assert "hush" not in str(caught.value)


async def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is an extra; its absence must not look like a fault of ours."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"callpath\[postgres\]"):
        async with open_call_log("postgresql://db.example.com/calls"):
            pass
