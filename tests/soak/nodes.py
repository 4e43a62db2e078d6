"""Calls on two nodes behind a balancer that sends each request to any of them: each node in turn is stopped and started,
and one is killed, while people talk."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from callpath.simulator.caller import Caller, CallFailed
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from callpath.timeline import CallRecovered, MediaCounted, StreamMissing
from tests import postgres
from tests.soak.figures import Figure, all_of, at_most, none_of, percentile
from tests.soak.node import API_KEY, KEY, Node, balanced, free_port
from tests.soak.traffic import _stored

OPTIONS = replace(CarrierOptions(), answer_ms=5, calls_max=5_000)
WAIT_MS_MAX = 40_000.0
TALK_MS = (400, 1_500)


async def rolling_calls(folder: Path, restarts: int, at_once: int, kills: int) -> list[Figure]:
    """Nothing where the machine has no Postgres or no nginx."""
    if postgres.programs() is None or shutil.which("nginx") is None:
        return []
    with postgres.running() as server, ExitStack() as running:
        database = postgres.new_database(server)
        async with open_call_log(database):
            pass
        async with Simulator(options=OPTIONS, api_key=API_KEY, private_key=KEY) as telnyx:
            front = free_port()
            nodes = [_node(folder / str(number), telnyx, front, database) for number in range(2)]
            telnyx.webhook_url = f"http://127.0.0.1:{front}/api/calls/webhook"
            async with nodes[0], nodes[1]:
                running.enter_context(balanced(folder, front, *(node.port for node in nodes)))
                talk = Talk(telnyx)
                codes = await _roll(nodes, talk, restarts, at_once)
                seconds = [await _kill(nodes, telnyx, at_once, talk) for _ in range(kills)]
            figures = await talk.figures(database)
    return [
        all_of("rolling_calls_restarts", codes.count(0), restarts),
        *figures,
        *(_of_kills(talk, seconds) if kills else []),
    ]


def _of_kills(talk: Talk, seconds: list[float]) -> list[Figure]:
    return [
        all_of("rolling_calls_spoken_to_after_kill", len(talk.killed), len(seconds)),
        at_most("rolling_calls_silent_after_kill_s", percentile(seconds, 1.0), 30, is_time=True),
    ]


def _node(folder: Path, telnyx: Simulator, front: int, database: str) -> Node:
    folder.mkdir()
    return Node(
        folder,
        telnyx.api_base,
        DATABASE_URL=database,
        PUBLIC_URL=f"http://127.0.0.1:{front}",
        CALLPATH_DRAIN_SECONDS="60",
        CALLPATH_SOCKET_WITHIN_MS="1000",
    )


@dataclass
class Talk:
    """People who call, talk for a moment and hang up, and what became of each."""

    telnyx: Simulator
    over: list[Caller] = field(default_factory=list)
    """Who talked to the end, without a restart of his stream."""
    killed: list[Caller] = field(default_factory=list)
    """Who talked on after his node had been killed."""
    cut: list[Caller] = field(default_factory=list)
    refused: list[Caller] = field(default_factory=list)

    async def one(self, chance: random.Random) -> None:
        caller = await self.telnyx.call()
        try:
            await caller.stream_started(WAIT_MS_MAX)
            heard_ms = 20.0 * caller.stream.packets_played
            await caller.heard_for(heard_ms + chance.uniform(*TALK_MS), WAIT_MS_MAX)
            whole = len(caller.call.streams) == 1 and caller.failure is None
            await caller.hang_up()
            await caller.ended(WAIT_MS_MAX)
            (self.over if whole else self.cut).append(caller)
        except CallFailed:
            rejected = any(command.name == "reject" for command in caller.commands)
            (self.refused if rejected else self.cut).append(caller)

    async def figures(self, database: str) -> list[Figure]:
        stored = await asyncio.to_thread(_stored, database)
        callers = [*self.over, *self.killed, *self.cut, *self.refused]
        seen = [webhook for caller in callers for webhook in caller.webhooks]
        lost = untold = 0
        async with open_call_log(database) as log:
            for caller in self.over:
                counted = [
                    entry.what
                    for entry in await log.read(caller.call.leg.call_session_id)
                    if isinstance(entry.what, MediaCounted)
                ]
                lost += counted[-1].lost + counted[-1].dropped_for_handler if counted else 1
            for caller in self.killed:
                told = [entry.what for entry in await log.read(caller.call.leg.call_session_id)]
                untold += not any(isinstance(what, (CallRecovered, StreamMissing)) for what in told)
        return [
            all_of("rolling_calls_talked", len(self.over), 1),
            none_of("rolling_calls_cut", len(self.cut)),
            none_of("rolling_calls_refused", len(self.refused)),
            none_of("rolling_calls_frames_lost", lost),
            none_of("rolling_calls_webhooks_lost", sum(webhook.webhook.id not in stored for webhook in seen)),
            none_of("rolling_calls_deaths_untold", untold),
        ]


async def _roll(nodes: list[Node], talk: Talk, restarts: int, at_once: int) -> list[int]:
    """Stop and start each node in turn, `restarts` times in all, under so many calls at once. Their exit codes."""
    codes: list[int] = []
    stop = asyncio.Event()

    async def keep_calling(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            await talk.one(chance)

    async with asyncio.TaskGroup() as tasks:
        for seed in range(at_once):
            tasks.create_task(keep_calling(seed))
        for number in range(restarts):
            await asyncio.sleep(1)
            codes.append(await nodes[number % 2].stop(signal.SIGTERM))
            await nodes[number % 2].start()
        stop.set()
    return codes


async def _kill(nodes: list[Node], telnyx: Simulator, at_once: int, talk: Talk) -> float:
    """kill -9 of the node with the most calls, while people talk. Those whose node it was are spoken to again; the
    longest silence of them, in seconds."""
    callers = [await telnyx.call() for _ in range(at_once)]
    for caller in callers:
        await caller.stream_started(WAIT_MS_MAX)
    await asyncio.sleep(6)  # each call belongs to the node of its socket alone by now
    carried = [await _sockets(node) for node in nodes]
    node = nodes[carried.index(max(carried))]
    await node.stop(signal.SIGKILL)
    await asyncio.sleep(1)  # what was on its way to the ear has been heard
    hit = [caller for caller in callers if not await _is_heard(caller)]
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for caller in hit:
        if not await caller.until(partial(_is_back, caller), WAIT_MS_MAX):
            talk.cut.append(caller)
    silent_s = loop.time() - began_s
    for caller in callers:
        await caller.hang_up()
        await caller.ended(WAIT_MS_MAX)
    talk.killed += [caller for caller in hit if caller not in talk.cut]
    talk.over += [caller for caller in callers if caller not in hit]
    await node.start()
    return silent_s


def _is_back(caller: Caller) -> bool:
    return len(caller.call.streams) > 1 and caller.call.streams[-1].opened


async def _sockets(node: Node) -> float:
    told = (await node.metrics()).partition("\ncallpath_sockets ")[2]
    return float(told.partition("\n")[0])


async def _is_heard(caller: Caller) -> bool:
    """Whether sound still comes."""
    before = caller.stream.packets_played
    await asyncio.sleep(0.3)
    return caller.stream.packets_played > before
