"""Webhooks without end, kill -9 under them, rolling restarts of two nodes: what was answered 200 is in the store."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

from sqlalchemy import create_engine, text

from callpath.simulator.load import LoadPlan, run_load
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from tests import postgres
from tests.soak.figures import Figure, all_of, at_most, none_of, now_s, percentile
from tests.soak.node import API_KEY, KEY, Node, Sender, event, senders

SENDERS = 24
SESSIONS = 5
"""Events of one call."""


async def webhooks(folder: Path, per_s: int, seconds: float, calls: int = 0) -> list[Figure]:
    """`per_s` webhooks a second, one in ten twice, for so long, while `calls` people talk."""
    taken: set[str] = set()
    failed = 0
    waits_ms: list[float] = []
    async with (
        Simulator(api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base) as node,
        senders(node.port, SENDERS) as them,
    ):
        telnyx.webhook_url = node.url
        plan = LoadPlan(calls=calls, ramp_ms=500, duration_ms=1000 * seconds)
        talking = asyncio.ensure_future(run_load(plan, telnyx)) if calls else None
        due: asyncio.Queue[int | None] = asyncio.Queue()

        async def work(sender: Sender) -> None:
            nonlocal failed
            while (number := await due.get()) is not None:
                body = event(f"s{number // SESSIONS}", f"e{number}")
                for _ in range(2 if number % 10 == 0 else 1):
                    began_s = now_s()
                    status = await sender.post(body)
                    waits_ms.append(1000 * (now_s() - began_s))
                    if status == 200:
                        taken.add(f"e{number}")
                    else:
                        failed += 1

        total = int(per_s * seconds)
        async with asyncio.TaskGroup() as tasks:
            for sender in them:
                tasks.create_task(work(sender))
            began_s = now_s()
            for number in range(total):
                if (early_s := began_s + number / per_s - now_s()) > 0:
                    await asyncio.sleep(early_s)
                due.put_nowait(number)
            for _ in them:
                due.put_nowait(None)
        took_s = now_s() - began_s
        talked = (await talking)[0].calls if talking is not None else []
        code = await node.stop()
        stored = _stored(f"sqlite:///{folder / 'callpath.db'}")
    return [
        all_of("webhooks_answered_200", len(taken), total),
        none_of("webhooks_answered_otherwise", failed),
        none_of("webhooks_acknowledged_lost", len(taken - stored)),
        none_of("webhooks_stored_twice", len(_stored_twice(f"sqlite:///{folder / 'callpath.db'}"))),
        none_of("webhooks_calls_failed", sum(1 for call in talked if call.sentences)),
        none_of("webhooks_exit_code", code),
        Figure("webhooks_per_s", total / took_s, 0.95 * per_s, "least", is_time=True),
        at_most("webhooks_p99_ms", percentile(waits_ms, 0.99), 50, is_time=True),
    ]


async def kills(folder: Path, times: int, seed: int = 0) -> list[Figure]:
    """kill -9 at any moment under load, and the next process on the same store."""
    chance = random.Random(seed)
    node = Node(folder)
    ready_s: list[float] = []
    taken: set[str] = set()
    number = 0
    async with node:
        for _ in range(times):
            stop = asyncio.Event()

            async def load(sender: Sender, stop: asyncio.Event = stop) -> None:
                nonlocal number
                while not stop.is_set():
                    number += 1
                    mine = f"e{number}"
                    if await sender.post(event(f"s{number // SESSIONS}", mine)) == 200:
                        taken.add(mine)

            async with senders(node.port, 8) as them, asyncio.TaskGroup() as tasks:
                for sender in them:
                    tasks.create_task(load(sender))
                await asyncio.sleep(chance.uniform(0.02, 0.4))
                await node.stop(signal.SIGKILL)
                stop.set()
            ready_s.append(await node.start())
        code = await node.stop()
    url = f"sqlite:///{folder / 'callpath.db'}"
    return [
        all_of("kills", len(ready_s), times),
        all_of("kills_webhooks_acknowledged", len(taken), times),
        none_of("kills_acknowledged_lost", len(taken - _stored(url))),
        none_of("kills_store_damaged", 0 if _is_whole(url) else 1),
        none_of("kills_exit_code_at_end", code),
        at_most("kills_ready_p50_s", percentile(ready_s, 0.5), 3, is_time=True),
        at_most("kills_ready_max_s", max(ready_s), 3, is_time=True),
    ]


async def rolling(folder: Path, database: str, restarts: int, per_s: int) -> list[Figure]:
    """Two nodes on one Postgres; each in turn is stopped and started, while webhooks come at either."""
    taken: set[str] = set()
    tries = 0
    nodes = [Node(folder, DATABASE_URL=database, CALLPATH_DRAIN_SECONDS="5") for _ in range(2)]
    stop = asyncio.Event()
    codes: list[int] = []
    async with nodes[0], nodes[1], senders(nodes[0].port, 4) as a, senders(nodes[1].port, 4) as b:
        numbers = iter(range(10_000_000))

        async def load(pair: tuple[Sender, Sender], chance: random.Random) -> None:
            nonlocal tries
            while not stop.is_set():
                number = next(numbers)
                body = event(f"s{number // SESSIONS}", f"e{number}")
                while True:  # as Telnyx does, though not for ever
                    tries += 1
                    if await chance.choice(pair).post(body) == 200:
                        taken.add(f"e{number}")
                        break
                    await asyncio.sleep(0.05)
                await asyncio.sleep(len(a) / per_s)

        async with asyncio.TaskGroup() as tasks:
            for turn, pair in enumerate(zip(a, b, strict=True)):
                tasks.create_task(load(pair, random.Random(turn)))
            for number in range(restarts):
                await asyncio.sleep(0.3)
                codes.append(await nodes[number % 2].stop())
                await nodes[number % 2].start()
            stop.set()
        begun = next(numbers)
    stored = _stored(database)
    return [
        all_of("rolling_restarts", codes.count(0), restarts),
        none_of("rolling_acknowledged_lost", len(taken - stored)),
        none_of("rolling_never_taken", begun - len(taken)),
        none_of("rolling_stored_twice", len(_stored_twice(database))),
        at_most("rolling_tries_a_webhook", tries / max(1, len(taken)), 3, is_time=True),
    ]


async def rolling_on_a_postgres_of_its_own(folder: Path, restarts: int, per_s: int) -> list[Figure]:
    """Nothing where the machine has no Postgres."""
    if postgres.programs() is None:
        return []
    with postgres.running() as server:
        database = postgres.new_database(server)
        async with open_call_log(database):
            pass
        return await rolling(folder, database, restarts, per_s)


# --- what is in the store, asked past our own code -------------------------------------------------------------------


def _rows(url: str, query: str) -> list[str]:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return [str(row[0]) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


_KEYS = "SELECT key FROM entries WHERE kind = 'webhook.received'"


def _stored(url: str) -> set[str]:
    return {key.removeprefix("webhook:") for key in _rows(url, _KEYS)}


def _stored_twice(url: str) -> list[str]:
    return _rows(url, f"{_KEYS} GROUP BY key HAVING count(*) > 1")


def _is_whole(url: str) -> bool:
    return _rows(url, "PRAGMA integrity_check") == ["ok"]
