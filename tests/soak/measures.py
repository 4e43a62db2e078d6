"""The measurements by name, each in the size of `make soak` and in that of the tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tests.simulation.many import broken_lives
from tests.soak import calls, dials, fuzz, nodes, sockets, traffic, transfers
from tests.soak.figures import Figure, none_of

JOBS = max(1, (os.cpu_count() or 1))
LIVES = 5_000
"""Lives of `make soak`, about ten minutes on two processors; `make soak SEEDS=100000` lives more."""
LIVES_NAMED_MAX = 20
"""Maximum number of seeds that the report names."""
Measure = Callable[[Path, bool], Coroutine[Any, Any, Sequence[Figure]]]


async def _webhooks(folder: Path, short: bool) -> Sequence[Figure]:
    return await traffic.webhooks(folder, *((200, 2, 2) if short else (500, 300, 10)))


async def _kills(folder: Path, short: bool) -> Sequence[Figure]:
    return await traffic.kills(folder, 2 if short else 200)


async def _dials(folder: Path, short: bool) -> Sequence[Figure]:
    return await dials.kills(folder, 3 if short else 200)


async def _rolling(folder: Path, short: bool) -> Sequence[Figure]:
    return await traffic.rolling_on_a_postgres_of_its_own(folder, *((2, 100) if short else (40, 100)))


async def _rolling_calls(folder: Path, short: bool) -> Sequence[Figure]:
    return await nodes.rolling_calls(folder, *((1, 3, 0) if short else (20, 20, 4)))


async def _signatures(_folder: Path, short: bool) -> Sequence[Figure]:
    return await asyncio.to_thread(
        partial(fuzz.signatures, 10_000) if short else partial(fuzz.signatures, 10_000_000, JOBS)
    )


async def _frames(_folder: Path, short: bool) -> Sequence[Figure]:
    return await asyncio.to_thread(fuzz.frames, 15_000 if short else 5_000_000)


async def _fuzzed_webhooks(folder: Path, short: bool) -> Sequence[Figure]:
    return await fuzz.webhooks(folder, 500 if short else 50_000)


async def _logs(_folder: Path, short: bool) -> Sequence[Figure]:
    return await asyncio.to_thread(fuzz.logs, 200 if short else 20_000)


async def _requests(folder: Path, short: bool) -> Sequence[Figure]:
    return await fuzz.requests(folder, 250 if short else 100_000)


async def _recordings(folder: Path, short: bool) -> Sequence[Figure]:
    return await asyncio.to_thread(fuzz.recordings, folder, 500 if short else 200_000)


async def _upgrades(folder: Path, short: bool) -> Sequence[Figure]:
    return await sockets.upgrades(folder, 300, 200)


async def _slow_clients(folder: Path, short: bool) -> Sequence[Figure]:
    return await sockets.slow_clients(folder, *((150, 2, 2) if short else (1000, 300, 10)))


async def _short_calls(folder: Path, short: bool) -> Sequence[Figure]:
    return await calls.short_calls(folder, *((60, 6) if short else (20_000, 20)))


async def _live_calls(folder: Path, short: bool) -> Sequence[Figure]:
    return await calls.live_calls(folder, *((16, 1, 1000) if short else (200, 30)))


async def _drain(folder: Path, short: bool) -> Sequence[Figure]:
    return await calls.drain(folder, 4 if short else 50)


async def _lives(_folder: Path, short: bool) -> Sequence[Figure]:
    count = 5 if short else int(os.environ.get("SEEDS", LIVES))
    broken = await asyncio.to_thread(lambda: [seed for seed, _ in broken_lives(0, count, 1 if short else JOBS)])
    named = [none_of(f"life_of_seed_{seed}_broken", 1) for seed in broken[:LIVES_NAMED_MAX]]
    return [none_of(f"broken_of_{count}_lives", len(broken)), *named]


async def _transfers(folder: Path, short: bool) -> Sequence[Figure]:
    (folder / "at once").mkdir()
    (folder / "killed").mkdir()
    return [
        *await transfers.at_once(folder / "at once", 4 if short else 50),
        *await transfers.kills(folder / "killed", *((1, 4) if short else (20, 10))),
    ]


MEASURES: dict[str, Measure] = {
    "webhooks": _webhooks,
    "kills": _kills,
    "dials": _dials,
    "rolling": _rolling,
    "rolling_calls": _rolling_calls,
    "signatures": _signatures,
    "frames": _frames,
    "fuzzed_webhooks": _fuzzed_webhooks,
    "logs": _logs,
    "requests": _requests,
    "recordings": _recordings,
    "upgrades": _upgrades,
    "slow_clients": _slow_clients,
    "short_calls": _short_calls,
    "live_calls": _live_calls,
    "drain": _drain,
    "transfers": _transfers,
    "lives": _lives,
}
