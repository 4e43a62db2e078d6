"""What breaks first at 10, 1,000 and 100,000 calls at once. Behind docs/explanation/scaling.md.

python bench/scaling.py                 measure this machine (a minute), then compute and simulate
python bench/scaling.py --costs FILE    compute with what was measured before (--save FILE)

Needs Postgres' programs (Debian: postgresql) and root or the postgres account's rights, as the tests do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from measure import _cpu_s, _tree  # noqa: E402
from scaling_model import Assumed, Costs, Line, Store, entries_per_s, limits, simulate, told_per_s  # noqa: E402
from sqlalchemy import event, text  # noqa: E402

from callpath.clock import SystemClock  # noqa: E402
from callpath.server.retention import forget_call  # noqa: E402
from callpath.simulator.options import CarrierOptions  # noqa: E402
from callpath.simulator.simulator import Simulator  # noqa: E402
from callpath.store.sql import SqlCallLog, open_call_log  # noqa: E402
from callpath.timeline import NO_WAKE_KINDS, CommandSent, Entry, MediaCounted, WebhookReceived  # noqa: E402
from callpath.wire.ids import SessionId  # noqa: E402
from tests import postgres  # noqa: E402
from tests.soak.node import API_KEY, KEY, Node  # noqa: E402
from tests.telnyx import sample_text  # noqa: E402

GROUPS = (1, 10, 100, 400)
SHORT_CALLS = 80
COMMITS = 40


# --- one call --------------------------------------------------------------------------------------------------------


async def one_call(folder: Path, server: str) -> dict[str, Any]:
    """A call of twelve seconds through the real server, on Postgres, recorded: its timeline, and what it took."""
    url = postgres.new_database(server)
    async with (
        Simulator(options=replace(CarrierOptions(), calls_max=500), api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base, DATABASE_URL=url, CALLPATH_RECORD="on") as node,
    ):
        telnyx.webhook_url = node.url
        caller = await telnyx.call()
        await caller.stream_started(20_000)
        await asyncio.sleep(12)
        await caller.hang_up()
        await caller.ended(20_000)
        await asyncio.sleep(1)
        cpu_s = _cpu_s(_tree(node.pid))
        calls = [await _short_call(telnyx, at_once=8) for _ in range(SHORT_CALLS // 8)]
        setup_cpu_ms = 1000 * (_cpu_s(_tree(node.pid)) - cpu_s) / SHORT_CALLS
        async with open_call_log(url) as log:
            entries = await log.read(caller.call.leg.call_session_id)
            connections = _asked(
                log,
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            size = _asked(log, "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c WHERE relkind = 'r' "
                          "AND relname IN ('entries', 'calls')")  # fmt: skip
            count = _asked(log, "SELECT count(*) FROM entries")
    recording = next((folder / "recordings").glob(f"{caller.call.leg.call_session_id}*.wav"))
    assert len(calls) * 8 == SHORT_CALLS
    return {
        "entries": entries,
        "connections": max(7, int(connections)),  # the pool's most, and the one that listens
        "setup_cpu_ms": setup_cpu_ms,
        "log_bytes": float(size) / float(count),
        "recording_bytes_s": recording.stat().st_size / 12,
    }


async def _short_call(telnyx: Simulator, at_once: int) -> None:
    async def call() -> None:
        caller = await telnyx.call()
        await caller.stream_started(30_000)
        await caller.hang_up()
        await caller.ended(30_000)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(call())


def _asked(log: SqlCallLog, query: str) -> Any:
    with log._engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def shape(entries: Sequence[Entry]) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """When each entry of a call comes, and whether it is a webhook, told to other nodes, or quiet."""
    began = entries[0].at_unix_ms
    hung_up = next(e.at_unix_ms for e in entries if getattr(e.what, "event_type", "") == "call.hangup")
    opening, closing = [], []
    for entry in entries:
        what = entry.what
        if isinstance(what, MediaCounted) and entry.at_unix_ms < hung_up - 500:
            continue  # once every ten seconds: the model's own
        kind = (
            "webhook" if isinstance(what, WebhookReceived) else "quiet" if isinstance(what, NO_WAKE_KINDS) else "told"
        )
        late = entry.at_unix_ms > hung_up - 500
        (closing if late else opening).append((float(entry.at_unix_ms - (hung_up if late else began)), kind))
    return opening, closing


# --- the store -------------------------------------------------------------------------------------------------------


async def store_costs(url: str, entries: Sequence[Entry], server_pid: int | None) -> tuple[Store, float]:
    """The real entries, in groups of so many calls; WAL bytes an entry."""
    own, server = [], []
    wal = 0.0
    trips: list[None] = []
    async with open_call_log(url) as log:
        event.listen(log._engine, "before_cursor_execute", lambda *_: trips.append(None))
        for group in GROUPS:
            await _replay(log, entries, group, f"warm-{group}", 1)
            lsn = _asked(log, "SELECT pg_current_wal_lsn()") if server_pid else None
            trips.clear()
            cpu_s, their_s = time.process_time(), _cpu_s(_tree(server_pid)) if server_pid else 0.0
            began_s = time.perf_counter()
            commits = await _replay(log, entries, group, f"at-{group}", max(1, 800 // group // len(entries) + 1))
            wall_ms = 1000 * (time.perf_counter() - began_s) / commits
            own_ms = 1000 * (time.process_time() - cpu_s) / commits
            their_ms = 1000 * (_cpu_s(_tree(server_pid)) - their_s) / commits if server_pid else 0.0
            round_trips = round(len(trips) / commits) + 1  # and the commit; BEGIN goes with the first
            if lsn is not None:
                wal = float(_asked(log, f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{lsn}')")) / (commits * group)
            own.append((group, own_ms))
            server.append((group, their_ms))
            each = [f"{1000 * ms / group:.0f}" for ms in (wall_ms, own_ms, their_ms)]
            print(
                f"  {url.split(':')[0]:10} groups of {group:3}: {each[0]:>5} us an entry, {each[1]:>4} of our CPU, "
                f"{each[2]:>3} of Postgres', {round_trips} round trips a group"
            )
    return Store(_line(own), _line(server), round_trips), wal


async def notice_us(
    url: str, server_pid: int, nodes: int = 4, times: int = 20, count: int = 500
) -> tuple[float, float]:
    """CPU of a node, and of Postgres, for each notice that a node hears."""
    sessions = [SessionId(f"aaaa0002-c0de-11f0-9002-0242{number:08}") for number in range(count)]
    async with AsyncExitStack() as open_logs:
        them = [await open_logs.enter_async_context(open_call_log(url)) for _ in range(nodes + 1)]
        hearing = [log.watch(SystemClock()) for log in them[1:]]
        for heard in hearing:
            await anext(heard)
        cpu_s, their_s = time.process_time(), _cpu_s(_tree(server_pid))
        for _ in range(times):
            them[0]._database.wake_others(sessions)
            for heard in hearing:
                for _ in sessions:
                    await anext(heard)
        each = 1e6 / (count * nodes * times)
        return each * (time.process_time() - cpu_s), each * (_cpu_s(_tree(server_pid)) - their_s)


def commits_with_notices() -> None:
    """Why notices have a transaction of their own: small commits of many connections, on a Postgres that waits for the
    disk."""
    import psycopg

    def work(url: str, mode: str, start: threading.Barrier) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            start.wait()
            for _ in range(COMMITS):
                with connection.transaction():
                    connection.execute("INSERT INTO things VALUES ('x')")
                    if mode == "inside":
                        connection.execute("SELECT pg_notify('x', 'x')")
                if mode == "apart":
                    connection.execute("SELECT set_config('synchronous_commit', 'off', true), pg_notify('x', 'x')")

    with postgres.running(fsync=True) as server:
        url = postgres.new_database(server)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE things (one text)")
        for nodes in (1, 4, 16, 32):
            told = []
            for mode in ("none", "inside", "apart"):
                start = threading.Barrier(nodes + 1)
                threads = [threading.Thread(target=work, args=(url, mode, start)) for _ in range(nodes)]
                for thread in threads:
                    thread.start()
                start.wait()
                began_s = time.perf_counter()
                for thread in threads:
                    thread.join()
                told.append(nodes * COMMITS / (time.perf_counter() - began_s))
            print(
                f"  {nodes:2} connections: {told[0]:6.0f} commits a second without NOTIFY, {told[1]:5.0f} with it inside, "
                f"{told[2]:5.0f} with it apart"
            )


async def _replay(log: SqlCallLog, entries: Sequence[Entry], calls: int, name: str, rounds: int) -> int:
    """As many calls at once, entry by entry. How many groups that were."""
    for turn in range(rounds):
        for number, entry in enumerate(entries):
            await asyncio.gather(
                *(
                    log.append(
                        msgspec.structs.replace(
                            entry, session=SessionId(f"{name}-{turn}-{call}"), key=str(number), number=0
                        )
                    )
                    for call in range(calls)
                )
            )
    return rounds * len(entries)


def _line(points: Sequence[tuple[int, float]]) -> Line:
    """Through the smallest and the largest."""
    (few, least), (many, most) = points[0], points[-1]
    each = max(0.0, (most - least) / (many - few))
    return Line(max(0.0, least - each * few), each)


async def forget_ms(url: str) -> float:
    with tempfile.TemporaryDirectory() as nowhere:
        async with open_call_log(url) as log:
            sessions = [SessionId(f"at-100-0-{call}") for call in range(50)]
            began_s = time.perf_counter()
            for session in sessions:
                await forget_call(log, Path(nowhere), session)
            return 1000 * (time.perf_counter() - began_s) / len(sessions)


def fsync_ms(folder: Path) -> float:
    """The median of this machine's disk."""
    times = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(60):
            file.write(bytes(4096))
            file.flush()
            began_s = time.perf_counter()
            os.fsync(file.fileno())
            times.append(1000 * (time.perf_counter() - began_s))
    return sorted(times)[len(times) // 2]


async def measure() -> Costs:
    with tempfile.TemporaryDirectory(prefix="callpath-scaling-") as name, postgres.running() as server:
        folder = Path(name)
        call = await one_call(folder, server)
        entries = call["entries"]
        url = postgres.new_database(server)
        sqlite, _ = await store_costs(f"sqlite:///{folder / 'store.db'}", entries, None)
        async with open_call_log(url) as log:
            data = Path(str(_asked(log, "SHOW data_directory")))
        pid = int((data / "postmaster.pid").read_text().split()[0])
        theirs, wal = await store_costs(url, entries, pid)
        opening, closing = shape(entries)
        notices = await notice_us(url, pid)
        return Costs(
            opening=tuple(opening),
            closing=tuple(closing),
            sqlite=sqlite,
            postgres=theirs,
            setup_cpu_ms=call["setup_cpu_ms"],
            log_bytes=call["log_bytes"],
            wal_bytes=wal,
            commands=sum(isinstance(entry.what, CommandSent) for entry in entries),
            connections=call["connections"],
            recording_bytes_s=call["recording_bytes_s"],
            frame_bytes=len(sample_text("ws/t-media-inbound.json")),
            forget_ms=await forget_ms(url),
            fsync_ms=fsync_ms(folder),
            notice_us=notices[0],
            notice_server_us=notices[1],
        )


# --- the report ------------------------------------------------------------------------------------------------------


def report(costs: Costs, given: Assumed) -> None:
    per_s = entries_per_s(costs, given)
    webhooks = sum(kind == "webhook" for _, kind in (*costs.opening, *costs.closing))
    print("\nOne call (measured)")
    _tell(
        "entries",
        costs.entries,
        f"and one every {given.counted_every_s:.0f} s: {per_s:.3f} a second in {given.call_s:.0f} s",
    )
    _tell("webhooks", webhooks, f"and {costs.commands} commands")
    _tell("CPU to begin and end it", costs.setup_cpu_ms, "ms")
    _tell(
        "in Postgres",
        costs.log_bytes * per_s * given.call_s / 1000,
        f"kB, {costs.log_bytes:.0f} bytes an entry; WAL {costs.wal_bytes:.0f}",
    )
    _tell("recording", costs.recording_bytes_s / 1000, "kB/s")
    _tell(
        "notices to other nodes",
        told_per_s(costs, given) * given.call_s,
        f"for each node {costs.notice_us:.1f} us there and {costs.notice_server_us:.1f} in Postgres",
    )
    _tell("network", 2 * 50 * costs.frame_bytes / 1000, "kB/s, both ways")
    _tell("to forget it", costs.forget_ms, "ms")
    _tell("fsync here", costs.fsync_ms, f"ms; assumed is {given.flush_ms}, and a Postgres {given.rtt_ms} ms away")
    print("\nHow many calls at once each thing carries, the narrowest first (computed)")
    for name, rows in limits(costs, given).items():
        print(f"  {name}")
        for row in rows:
            print(f"    {_round(row.calls):>10,}  {row.what}: {row.how}")
    print("\nWebhooks until they are stored and answered (simulated)")
    print(
        f"  {'calls':>9} {'nodes':>6} {'store':>9} {'p50 ms':>8} {'p99 ms':>8} {'group':>6} {'cores':>6} {'NOTIFY':>7}"
    )
    each = given.calls_a_core
    each = costs_a_core(costs, given)
    for calls in (10, 100, 250):
        _simulated(costs, given, calls, 1, "sqlite")
    for calls in (1_000, 3_000, 10_000, 30_000, 100_000):
        _simulated(costs, given, calls, max(2, round(calls / each)), "postgres")
    print("  and if notices were sent within the same transaction")
    for calls in (3_000, 10_000, 30_000):
        _simulated(costs, given, calls, max(2, round(calls / each)), "postgres", notify_inside=True)


def costs_a_core(costs: Costs, given: Assumed) -> float:
    """Calls of one process."""
    return next(row.calls for row in limits(costs, given)["one process"] if row.what == "its core")


def _simulated(costs: Costs, given: Assumed, calls: int, nodes: int, name: str, *, notify_inside: bool = False) -> None:
    store = costs.sqlite if name == "sqlite" else costs.postgres
    seconds = 20 if calls < 50_000 else 8
    seen = simulate(costs, given, store, calls=calls, nodes=nodes, seconds=seconds, notify_inside=notify_inside)
    grows = "  the queue grows" if seen.left else ""
    print(
        f"  {calls:>9,} {nodes:>6} {name:>9} {seen.p50_ms:>8.1f} {seen.p99_ms:>8.1f} {seen.group:>6.1f} "
        f"{seen.server_busy:>6.0%} {seen.lock_busy:>7.0%}{grows}"
    )


def _tell(name: str, value: float, more: str) -> None:
    print(f"  {name:<26} {value:>8.1f} {more}")


def _round(calls: float) -> int:
    """Two digits: more would be a claim."""
    digits = max(0, len(str(int(calls))) - 2)
    return int(round(calls, -digits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=Path, help="measured before")
    parser.add_argument("--save", type=Path, help="keep what was measured")
    for item in fields(Assumed):
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(item.default), default=item.default)
    given = vars(parser.parse_args())
    assumed = Assumed(**{item.name: given[item.name] for item in fields(Assumed)})
    if given["costs"]:
        costs = msgspec.convert(json.loads(given["costs"].read_text()), Costs)
    else:
        costs = asyncio.run(measure())
        commits_with_notices()
    if given["save"]:
        given["save"].write_text(json.dumps(asdict(costs)))
    report(costs, assumed)


main()
