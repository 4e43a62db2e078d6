"""Calls: many short ones, many at once, and a stop that cuts none."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

from callpath.simulator.caller import Caller, CallFailed
from callpath.simulator.load import LoadPlan, run_load
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from callpath.timeline import MediaCounted
from tests.soak.figures import Figure, all_of, at_most, descriptors, memory_kib, none_of, now_s
from tests.soak.node import API_KEY, KEY, Node

OPTIONS = replace(CarrierOptions(), answer_ms=5, calls_max=5_000)

WARM_UP_CALLS = 100
"""Short calls before memory is measured."""


async def short_calls(folder: Path, number: int, at_once: int, seconds_max: float = 1e9) -> list[Figure]:
    """Calls of a few frames. What the process holds after the first tenth is what it may hold at the end."""
    failed = done = 0
    async with (
        Simulator(options=OPTIONS, api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base) as node,
    ):
        telnyx.webhook_url = node.url
        numbers = iter(range(number))
        first_tenth = asyncio.Event()
        deadline_s = now_s() + seconds_max

        async def work() -> None:
            nonlocal failed, done
            for _ in numbers:
                if now_s() > deadline_s:
                    return
                caller = await telnyx.call()
                try:
                    await caller.stream_started(30_000)
                    await caller.hang_up()
                    await caller.ended(30_000)
                except CallFailed:
                    failed += 1
                done += 1
                if done >= number // 10:
                    first_tenth.set()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_once):
                tasks.create_task(work())
            await first_tenth.wait()
            before_kib, before_files = memory_kib(node.pid), descriptors(node.pid)
        await _quiet(node)
        after_kib, files = memory_kib(node.pid), descriptors(node.pid)
        await asyncio.sleep(0)
        code = await node.stop()
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        _, outcomes = await log.outcomes()
    return [
        all_of("short_calls", done, number),
        none_of("short_calls_failed", failed),
        all_of("short_calls_in_the_log", sum(outcomes.values()), done),
        none_of("short_calls_left_live", outcomes.get("live", 0)),
        at_most("short_calls_memory_grown_kib", max(0, after_kib - before_kib), 16_384),
        at_most("short_calls_descriptors_grown", max(0, files - before_files), 8),
        none_of("short_calls_exit_code", code),
    ]


async def live_calls(folder: Path, number: int, seconds: float, kib_max: float = 100) -> list[Figure]:
    """What one live call costs in memory: what `number` at once hold beyond a quarter of them. Before that come short
    calls, a few at a time, so that what grows once with the first events of a process does not count."""
    options = replace(CarrierOptions(), calls_max=4 * number + WARM_UP_CALLS)
    kib: list[int] = []
    failed = 0
    async with (
        Simulator(options=options, api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base) as node,
    ):
        telnyx.webhook_url = node.url
        await run_load(LoadPlan(calls=WARM_UP_CALLS, ramp_ms=100.0 * WARM_UP_CALLS, duration_ms=200), telnyx)
        await _quiet(node)
        for calls in (number // 4, number):
            holds_kib = 0

            def look(_: float) -> None:
                nonlocal holds_kib
                holds_kib = max(holds_kib, memory_kib(node.pid))

            result, _ = await run_load(
                LoadPlan(calls=calls, ramp_ms=20.0 * calls, duration_ms=1000 * seconds), telnyx, on_progress=look
            )
            failed += sum(1 for call in result.calls if call.sentences)
            kib.append(holds_kib)
            await _quiet(node)
        code = await node.stop()
    return [
        none_of("live_calls_failed", failed),
        none_of("live_calls_exit_code", code),
        at_most("live_calls_kib_a_call", (kib[1] - kib[0]) / (number - number // 4), kib_max),
    ]


async def drain(folder: Path, calls: int) -> list[Figure]:
    """SIGTERM while people talk: each says goodbye when he wants to."""
    cut = lost = 0
    async with (
        Simulator(api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base, CALLPATH_DRAIN_SECONDS="60") as node,
    ):
        telnyx.webhook_url = node.url
        callers: list[Caller] = [await telnyx.call() for _ in range(calls)]
        for caller in callers:
            await caller.stream_started(30_000)
        stopping = asyncio.ensure_future(node.stop(signal.SIGTERM))
        for caller in callers:
            before = caller.stream.packets_played
            await caller.heard_for(20 * before + 300, 30_000)
            cut += caller.call.state == "ended" or caller.failure is not None
            await caller.hang_up()
        for caller in callers:
            await caller.ended(30_000)
        code = await stopping
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        for caller in callers:
            entries = await log.read(caller.call.leg.call_session_id)
            counted = [entry.what for entry in entries if isinstance(entry.what, MediaCounted)]
            lost += counted[-1].lost + counted[-1].dropped_for_handler if counted else 1
    return [none_of("drain_calls_cut", cut), none_of("drain_frames_lost", lost), none_of("drain_exit_code", code)]


async def _quiet(node: Node) -> None:
    """Until the server holds no call and no socket."""
    async with asyncio.timeout(120):
        while True:
            told = (await node.metrics()).splitlines()
            if "callpath_calls 0.0" in told and "callpath_sockets 0.0" in told:
                return
            await asyncio.sleep(0.1)
