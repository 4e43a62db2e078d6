"""Several workers on one machine: one timeline, whoever of them is asked, dies or is told to stop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import pytest

from callpath.clock import SystemClock
from callpath.server import workers
from callpath.server.workers import Supervisor, Worker, encode_worker
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from callpath.timeline import CallRecovered, StreamStarted, WebhookReceived
from tests.serving import WAIT_S_MAX, process

# --- the parent, over workers that carry no calls --------------------------------------------------------------------

STAND_IN = """
import json, os, select, signal, socket, sys
worker, folder, behaviour = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
lives = len([name for name in os.listdir(folder) if name.startswith(f"{worker['number']}-")])
open(f"{folder}/{worker['number']}-{os.getpid()}-{worker['node']}", "w").close()
does = behaviour[min(lives, len(behaviour) - 1)]
if does.startswith("exits"):
    sys.exit(int(does[5:]))
orders = socket.socket(fileno=worker["orders"])
if does != "deaf":
    orders.send(b"r")
if does == "deaf":
    while not select.select([orders], [], [], 1)[0]:
        pass
    sys.exit(4)
if does == "leaves":
    sys.exit(0)
if does == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
told = [orders.recv(1)[0]]
while does == "stays" or (does == "asks twice" and len(told) < 2):
    told.append(orders.recv(1)[0])
sys.exit(128 + told[-1] if does == "asks twice" else int(does == "stumbles"))
"""
"""A worker whose first life is the first word of its behaviour, and so on; "serves" until the first signal."""


class Watched:
    """A parent that runs here, and the lives that its workers had."""

    def __init__(self, folder: Path, *behaviours: str) -> None:
        self._folder = folder
        self._behaviours = behaviours
        self.supervisor = Supervisor(len(behaviours), self._command, clock=SystemClock())

    def _command(self, worker: Worker) -> Sequence[str]:
        behaviour = self._behaviours[worker.number - 1]
        return [sys.executable, "-I", "-S", "-c", STAND_IN, encode_worker(worker), str(self._folder), behaviour]

    def lives(self, number: int) -> list[tuple[int, str]]:
        """(pid, node) of each process that was in this place."""
        names = [path.name.split("-", 2) for path in self._folder.glob(f"{number}-*")]
        return [(int(pid), node) for _, pid, node in names]

    async def until_ready(self, *numbers: int) -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            while not self.supervisor._ready >= set(numbers):
                await asyncio.sleep(0.005)

    async def until_lived(self, number: int, times: int) -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            while len(self.lives(number)) < times or number not in self.supervisor._ready:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def parent(folder: Path, *behaviours: str) -> AsyncIterator[tuple[Watched, asyncio.Task[int]]]:
    """A parent at work; the task gives its exit code."""
    watched = Watched(folder, *behaviours)
    async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as tasks:
        yield watched, tasks.create_task(watched.supervisor.run())


def ask_to_stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_a_worker_that_dies_is_replaced_under_its_name(tmp_path: Path) -> None:
    """By the name it finds the calls that were its own; the others are left alone."""
    async with parent(tmp_path, "serves", "dies,serves") as (watched, ended):
        await watched.until_lived(2, times=2)
        ask_to_stop()

    assert 0 == ended.result()
    assert 1 == len(watched.lives(1))
    assert 1 == len({node for _, node in watched.lives(2)})
    assert watched.lives(1)[0][1] != watched.lives(2)[0][1]


async def test_one_that_was_told_to_end_is_replaced_too(tmp_path: Path) -> None:
    """SIGTERM to a single worker is how it is renewed."""
    async with parent(tmp_path, "leaves,serves") as (watched, ended):
        await watched.until_lived(1, times=2)
        ask_to_stop()

    assert 0 == ended.result()


async def test_what_is_wrong_with_the_settings_is_told_once(tmp_path: Path) -> None:
    """By the first worker alone; its exit code is the server's."""
    async with parent(tmp_path, "exits3", "serves", "serves") as (watched, ended):
        code = await ended

    assert (3, 1, [], []) == (code, len(watched.lives(1)), watched.lives(2), watched.lives(3))


async def test_giving_up_is_said_and_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose workers all die at once must not look alive for ever: the platform could do better."""
    monkeypatch.setattr(workers, "PAUSE_MS_MAX", 0.0)
    async with parent(tmp_path, "dies,exits7") as (watched, ended):
        code = await ended

    assert (7, 1 + workers.IN_VAIN_MAX) == (code, len(watched.lives(1)))


async def test_as_long_as_one_lives_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away for a while keeps a new worker from starting, and live calls have no part in it."""
    monkeypatch.setattr(workers, "PAUSE_MS_MAX", 0.0)
    failing = ",".join(["exits1"] * (workers.IN_VAIN_MAX + 1))
    async with parent(tmp_path, "serves", f"dies,{failing},serves") as (watched, ended):
        await watched.until_lived(2, times=workers.IN_VAIN_MAX + 3)
        ask_to_stop()

    assert 0 == ended.result()
    assert 1 == len(watched.lives(1))


async def test_a_stop_that_went_wrong_is_no_zero(tmp_path: Path) -> None:
    """A worker that failed while it drained has cut calls."""
    async with parent(tmp_path, "serves", "stumbles") as (watched, ended):
        await watched.until_ready(1, 2)
        ask_to_stop()

    assert 1 == ended.result()


async def test_the_second_signal_and_the_third(tmp_path: Path) -> None:
    """Each worker hears of the second; one that hears nothing any more ends with the third."""
    async with parent(tmp_path, "asks twice", "stays") as (watched, ended):
        await watched.until_ready(1, 2)
        ask_to_stop()
        await asyncio.sleep(0)
        ask_to_stop()
        async with asyncio.timeout(WAIT_S_MAX):
            while 1 in watched.supervisor._alive:
                await asyncio.sleep(0.005)
        still_there = set(watched.supervisor._alive)
        ask_to_stop()

    assert {2} == still_there
    assert 128 + signal.SIGTERM == ended.result()


async def test_a_machine_that_can_start_nothing_is_told_in_a_line() -> None:
    """No memory, or the program was replaced under us: an exit code, and no traceback that ends the other workers."""
    supervisor = Supervisor(2, lambda _: ["/nowhere/callpath"], clock=SystemClock())

    assert 1 == await supervisor.run()


async def test_a_worker_that_dies_without_having_heard_is_a_death_like_others(tmp_path: Path) -> None:
    """A socket with something unread in it is reset, not closed."""
    async with parent(tmp_path, "deaf") as (watched, ended):
        while not watched.supervisor._alive:
            await asyncio.sleep(0)
        ask_to_stop()

    assert 4 == ended.result()


async def test_a_signal_during_the_start_is_not_lost(tmp_path: Path) -> None:
    """A platform that changes its mind at once."""
    async with parent(tmp_path, "serves", "serves") as (watched, ended):
        while not watched.supervisor._alive:
            await asyncio.sleep(0)
        ask_to_stop()

    assert 0 == ended.result()


# --- the whole server ------------------------------------------------------------------------------------------------


def worker_pids(port: int) -> dict[int, int]:
    """The workers that serve this port, by number."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "--as-worker" in words and str(port) in words:
            worker = workers.parse_worker(words[words.index("--as-worker") + 1])
            found[worker.number] = int(place.parent.name)
    return found


async def page_of_all(url: str, up: int) -> str:
    """/metrics, once so many workers tell."""
    async with asyncio.timeout(WAIT_S_MAX), httpx2.AsyncClient(trust_env=False) as http:
        while True:
            page = (await http.get(f"{url}/metrics")).text
            if len(re.findall(r'^callpath_worker_up\{worker="\d"\} 1\.0$', page, re.MULTILINE)) == up:
                return page
            await asyncio.sleep(0.05)


def of(page: str, name: str) -> dict[str, float]:
    """A metric without further labels, by worker."""
    return {
        number: float(value) for number, value in re.findall(rf'^{name}\{{worker="(\d)"\}} (\S+)$', page, re.MULTILINE)
    }


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that no disk holds up: one did for ten seconds, in a commit, and with it the lock that all workers need."""
    place = Path("/dev/shm")
    with TemporaryDirectory(dir=place if os.access(place, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.e2e
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
async def test_a_call_outlives_its_workers(in_memory: Path) -> None:
    """What `--workers` promises, on the SQLite file that everybody begins with: wherever requests land, a call is one
    timeline; others take the place of those that are killed, and its caller is spoken to again; a stop waits for him."""
    async with (
        Simulator() as telnyx,
        process(
            telnyx, in_memory, CALLPATH_WORKERS="2", CALLPATH_SOCKET_WITHIN_MS="2000", CALLPATH_DASHBOARD="off"
        ) as served,
    ):
        await page_of_all(served.url, up=2)
        caller = await telnyx.call()
        await caller.heard_for(200)
        sockets = of(await page_of_all(served.url, up=2), "callpath_sockets")
        for pid in worker_pids(served.port).values():
            os.kill(pid, signal.SIGKILL)
        await caller.until(lambda: len(caller.call.streams) == 2 and caller.call.streams[1].opened, 15_000)
        await page_of_all(served.url, up=2)
        served.send(signal.SIGTERM)
        await served.until_draining()
        heard_ms = 20 * sum(stream.counters.packets_played for stream in caller.call.streams)
        await caller.heard_for(heard_ms + 300)
        await caller.hangup()
        await caller.ended()
        code = await served.exit_code()
        left = worker_pids(served.port)
        async with open_call_log(f"sqlite:///{in_memory / 'callpath.db'}") as log:
            kept = [entry.what for entry in await log.read(caller.call.leg.call_session_id)]

    assert 0 == code
    assert {} == left
    assert [0.0, 1.0] == sorted(sockets.values())
    assert 1 == sum(isinstance(what, CallRecovered) for what in kept)
    assert 2 == sum(isinstance(what, StreamStarted) for what in kept)
    assert "call.hangup" in [what.event_type for what in kept if isinstance(what, WebhookReceived)]
    assert ["answer", "streaming_start", "streaming_start"] == [command.name for command in caller.commands]
