"""Where a fleet of call servers breaks first: limits by arithmetic, and waiting by simulation.

Everything here follows from `Costs`, which bench/scaling.py measures, and `Assumed`, which nobody can measure here.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field

GROUP_MAX = 500
"""As in callpath.store.sql."""


@dataclass(frozen=True)
class Line:
    """Time in ms as `base + each * n`."""

    base: float
    each: float

    def at(self, n: float) -> float:
        return self.base + self.each * n


@dataclass(frozen=True)
class Store:
    """One group of n entries: our own work, the database server's on one of its cores, how often we wait for it."""

    own: Line
    server: Line
    round_trips: int


@dataclass(frozen=True)
class Costs:
    """Measured. Times of entries are ms after the call's first; closing ones after its hang-up."""

    opening: tuple[tuple[float, str], ...]
    closing: tuple[tuple[float, str], ...]
    sqlite: Store
    postgres: Store
    setup_cpu_ms: float
    log_bytes: float
    wal_bytes: float
    commands: int
    connections: int
    recording_bytes_s: float
    frame_bytes: int
    forget_ms: float
    fsync_ms: float
    notice_us: float
    notice_server_us: float

    @property
    def entries(self) -> int:
        return len(self.opening) + len(self.closing)


@dataclass(frozen=True)
class Assumed:
    """What depends on the user's calls and hosts. Every figure can be given on the command line."""

    call_s: float = 180.0
    frame_us: float = 49.0
    """docs/explanation/performance.md; of one worker's core, echo handler."""
    core_share: float = 0.7
    """How full a core may be before frames are late."""
    kib_a_call: float = 40.0
    """docs/explanation/performance.md."""
    rtt_ms: float = 1.0
    """Between a node and its Postgres in one region."""
    flush_ms: float = 2.0
    """fsync of a cloud's network disk; virtual machines may answer sooner, and promise less."""
    notice_ms: float = 0.15
    """For so long a NOTIFY that does not wait for the disk keeps all others waiting."""
    postgres_cores: int = 8
    postgres_connections: int = 100
    railway_connections: int = 10_000
    volume_iops: int = 3_000
    dials_per_s: float = 30.0
    counted_every_s: float = 10.0

    @property
    def calls_a_core(self) -> float:
        return self.core_share * 1e6 / (self.frame_us * 50)


WOKEN_BY = ("webhook", "told")
"""Kinds of entry of which other nodes are told, with Postgres' NOTIFY."""


# --- limits ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """Something of which there is so much. `calls` is how many calls at once it carries."""

    what: str
    calls: float
    how: str


def entries_per_s(costs: Costs, given: Assumed) -> float:
    """Of one call at any moment, averaged over its life."""
    return (costs.entries + given.call_s / given.counted_every_s) / given.call_s


def told_per_s(costs: Costs, given: Assumed) -> float:
    """Entries of one call of which other nodes are told."""
    return sum(kind in WOKEN_BY for _, kind in (*costs.opening, *costs.closing)) / given.call_s


def limits(costs: Costs, given: Assumed) -> dict[str, list[Limit]]:
    """By what they are limits of, the narrowest first."""
    per_s = entries_per_s(costs, given)
    frames_ms, setup_ms = given.frame_us * 50 / 1000, costs.setup_cpu_ms / given.call_s
    core = 1000 * given.core_share / (frames_ms + setup_ms)
    nodes = given.postgres_connections // costs.connections
    group = 100
    sqlite_ms = (costs.sqlite.own.at(group) + given.flush_ms) / group
    server_ms = costs.postgres.server.at(group) / group
    mbit = 8 * 2 * 50 * costs.frame_bytes / 1e6
    told = told_per_s(costs, given)
    heard_s = 1e6 * given.postgres_cores * given.core_share / costs.notice_server_us
    writes_kb = costs.recording_bytes_s / 1000

    def limit(calls: float, what: str, how: str) -> Limit:
        return Limit(what, calls, how)

    found = {
        "one process": [
            limit(core, "its core", f"{frames_ms:.1f} ms a second for frames, {setup_ms:.2f} to begin and end calls"),
            limit(1000 / sqlite_ms / per_s, "SQLite's one writer", f"{sqlite_ms:.2f} ms an entry in groups of {group}"),
            limit(65_536, "open files", "one socket a call"),
        ],
        "one Postgres": [
            limit(nodes * core, "its connections", f"{costs.connections} a node, {given.postgres_connections} in all"),
            limit(
                given.postgres_cores * given.core_share * 1000 / server_ms / per_s,
                "its cores",
                f"{given.postgres_cores} of them, {1000 * server_ms:.0f} us an entry",
            ),
            limit(
                0.05e6 / costs.notice_us / told, "hearing all notices", f"{costs.notice_us:.1f} us each, 5 % of a core"
            ),
            limit(
                (heard_s * core / told) ** 0.5, "telling every node of all", f"{heard_s:,.0f} notices heard a second"
            ),
            limit(
                given.call_s * 1000 / costs.forget_ms,
                "forgetting as many calls as come (CALLPATH_KEEP_DAYS)",
                f"{costs.forget_ms:.1f} ms a call, one after the other",
            ),
        ],
        "the host": [
            limit(700 / mbit, "a network of 1 Gbit/s", f"{mbit:.2f} Mbit/s a call, both ways"),
            limit(given.volume_iops, "a Railway volume, with recordings", "3,000 writes a second, one of each call"),
            limit(200e3 / writes_kb, "a disk of 200 MB/s, with recordings", f"{writes_kb:.0f} kB/s a call"),
            limit(given.railway_connections, "a Railway service", "10,000 connections, one a call"),
        ],
        "Telnyx": [
            limit(given.dials_per_s * given.call_s, "dials of an account", f"{given.dials_per_s:.0f} a second"),
        ],
    }
    return {name: sorted(rows, key=lambda row: row.calls) for name, rows in found.items()}


# --- waiting ---------------------------------------------------------------------------------------------------------


@dataclass
class Waited:
    """What the simulation saw. Webhooks are answered when they are stored: `p99_ms` is how late."""

    p50_ms: float
    p99_ms: float
    left: int
    """Entries not written at the end beyond one group a node: the queue grows."""
    group: float
    server_busy: float
    lock_busy: float


@dataclass
class _Node:
    queue: deque[tuple[float, str]] = field(default_factory=deque)
    busy: bool = False


def simulate(
    costs: Costs,
    given: Assumed,
    store: Store,
    *,
    calls: int,
    nodes: int,
    seconds: float = 20.0,
    notify_inside: bool = False,
    seed: int = 1,
) -> Waited:
    """Calls that begin by chance, each with the entries of the measured one. Each node's one writer takes what waits,
    works, waits for the server's cores and for the disk; then, in a transaction of its own, for the one lock of all
    notices. `notify_inside`: as it would be if they were sent within the same transaction."""
    chance = random.Random(seed)
    shared = store is costs.postgres
    due: list[tuple[float, int, int, str]] = []
    order = itertools.count()
    horizon_ms = 1000 * seconds
    for _ in range(int(calls * (1 + seconds / given.call_s))):
        began = chance.uniform(-1000 * given.call_s, horizon_ms)
        home = chance.randrange(nodes)
        times = [(began + at, kind) for at, kind in costs.opening]
        phase = chance.uniform(0, 1000 * given.counted_every_s)
        counts = int((1000 * given.call_s - phase) // (1000 * given.counted_every_s)) + 1
        times += [(began + phase + 1000 * given.counted_every_s * n, "quiet") for n in range(counts)]
        times += [(began + 1000 * given.call_s + at, kind) for at, kind in costs.closing]
        for at, kind in times:
            if 0 <= at < horizon_ms:
                node = chance.randrange(nodes) if kind == "webhook" else home
                due.append((at, next(order), node, kind))
    heap: list[tuple[float, int, str, int, object]] = [(at, n, "entry", node, kind) for at, n, node, kind in due]
    heapq.heapify(heap)
    them = [_Node() for _ in range(nodes)]
    cores: list[float] = [0.0] * (given.postgres_cores if shared else 1)
    lock_free = served_ms = locked_ms = now = 0.0
    waits: list[float] = []
    groups = written = 0
    flush_ms = given.flush_ms
    while heap:
        now, _, event, number, thing = heapq.heappop(heap)
        if now > horizon_ms:
            break
        node = them[number]
        if event == "entry":
            node.queue.append((now, str(thing)))
        elif event == "server":
            group = thing
            assert isinstance(group, list)
            free = heapq.heappop(cores)
            work = store.server.at(len(group)) if shared else 0.0
            done = max(now, free) + work
            served_ms += work
            heapq.heappush(cores, done)
            heapq.heappush(heap, (done, next(order), "flush", number, group))
        elif event == "flush":
            assert isinstance(thing, list)
            begin = now
            if shared and notify_inside and _wakes(thing):
                begin = max(now, lock_free)
                lock_free = begin + flush_ms
                locked_ms += flush_ms
            heapq.heappush(heap, (begin + flush_ms, next(order), "done", number, thing))
        elif event == "done":
            assert isinstance(thing, list)
            waits += [now - at for at, kind in thing if kind == "webhook"]
            written += len(thing)
            groups += 1
            if shared and not notify_inside and _wakes(thing):
                begin = max(now, lock_free)
                lock_free = begin + given.notice_ms
                locked_ms += given.notice_ms
                heapq.heappush(heap, (lock_free + 2 * given.rtt_ms, next(order), "told", number, thing))
            else:
                node.busy = False
        elif event == "told":
            node.busy = False
        if not node.busy and node.queue:
            taken = [node.queue.popleft() for _ in range(min(GROUP_MAX, len(node.queue)))]
            node.busy = True
            after = store.own.at(len(taken)) + (store.round_trips * given.rtt_ms if shared else 0.0)
            heapq.heappush(heap, (now + after, next(order), "server", number, taken))
    waits.sort()
    left = sum(max(0, len(node.queue) - GROUP_MAX) for node in them)
    return Waited(
        p50_ms=waits[len(waits) // 2] if waits else 0.0,
        p99_ms=waits[int(0.99 * len(waits))] if waits else 0.0,
        left=left,
        group=written / max(1, groups),
        server_busy=served_ms / (horizon_ms * len(cores)) if shared else 0.0,
        lock_busy=locked_ms / horizon_ms,
    )


def _wakes(group: list[tuple[float, str]]) -> bool:
    return any(kind in WOKEN_BY for _, kind in group)
