"""Upgrades all at once, and connections that do not speak."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

from callpath.server.admission import SOCKETS_EXTRA, SOCKETS_PER_CALL
from callpath.server.tokens import CallTokens
from callpath.simulator.load import LoadPlan, run_load
from callpath.simulator.simulator import Simulator
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.soak.figures import Figure, all_of, at_most, none_of, now_s
from tests.soak.node import API_KEY, KEY, SECRET, Node, event, senders

SLOW_HEADER = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Filler: " + b"y" * 1000
SLOW_BODY = b"POST /api/calls/webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"z" * 999


PATIENT = """
from callpath import App, Call
from callpath.server import line

line.SILENT_SOCKET_MS = 600_000
app = App()

@app.call
async def handle(call: Call) -> None: ...
"""
"""A socket that brings nothing for two seconds makes room for another, and here none brings anything: on a busy machine
more than there is room for would open one after the other."""


async def upgrades(folder: Path, number: int, room: int) -> list[Figure]:
    """`number` upgrades as fast as they can be asked for, where only `room` sockets are allowed: all 101 or 503."""
    tokens = CallTokens(SECRET)
    statuses: Counter[bytes] = Counter()
    calls_max = (room - SOCKETS_EXTRA) // SOCKETS_PER_CALL
    (folder / "patient.py").write_text(PATIENT)
    async with Node(folder, handler="patient:app", CALLPATH_CALLS_MAX=str(calls_max)) as node:
        async with senders(node.port, 8) as them:
            for at in range(0, number, len(them)):
                names = range(at, min(number, at + len(them)))
                await asyncio.gather(
                    *[s.post(event(f"s{n}", f"e{n}", "call.bridged")) for s, n in zip(them, names, strict=False)]
                )

        async def ask(name: int) -> None:
            session = SessionId(f"s{name}")
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
                stack.callback(writer.close)
                writer.write(
                    f"GET /api/calls/{session}/audio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                    f"{AUTH_TOKEN_HEADER}: {tokens.of(session)}\r\n\r\n".encode()
                )
                statuses[(await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]] += 1
            except (OSError, asyncio.IncompleteReadError):
                statuses[b"none"] += 1

        with ExitStack() as stack:
            began_s = now_s()
            async with asyncio.timeout(60):
                await asyncio.gather(*[ask(name) for name in range(number)])
            took_s = now_s() - began_s
        code = await node.stop()
    return [
        all_of("upgrades_101_or_503", statuses[b"101"] + statuses[b"503"], number),
        all_of("upgrades_101", statuses[b"101"], room),
        none_of("upgrades_over_the_limit", max(0, statuses[b"101"] - room)),
        none_of("upgrades_exit_code", code),
        at_most("upgrades_took_s", took_s, 3, is_time=True),
    ]


async def slow_clients(folder: Path, number: int, seconds: float, calls: int) -> list[Figure]:
    """`number` connections that say nothing, or a byte now and then, and come again when they are cut, while calls run."""
    cut = 0
    stop = asyncio.Event()
    async with Simulator(api_key=API_KEY, private_key=KEY) as telnyx, Node(folder, telnyx.api_base) as node:
        telnyx.webhook_url = node.url

        async def dawdle(chance: random.Random) -> None:
            nonlocal cut
            while not stop.is_set():
                says = chance.choice((b"", SLOW_HEADER, SLOW_BODY))
                _, writer = await asyncio.open_connection("127.0.0.1", node.port)
                try:
                    for at in range(max(1, len(says))):
                        writer.write(says[at : at + 1] if at else says[:1])
                        await writer.drain()
                        with suppress(TimeoutError):
                            async with asyncio.timeout(chance.uniform(0.5, 1.5) if says else 20):
                                await stop.wait()
                        if stop.is_set():
                            return
                except OSError:
                    cut += 1  # by the guard: the next one comes
                finally:
                    writer.close()

        async with asyncio.TaskGroup() as tasks:
            for turn in range(number):
                tasks.create_task(dawdle(random.Random(turn)))
            await asyncio.sleep(0.5)
            plan = LoadPlan(calls=calls, ramp_ms=1000, duration_ms=1000 * seconds)
            result, about = await run_load(plan, telnyx)
            stop.set()
        code = await node.stop()
    failed = sum(1 for call in result.calls if call.sentences)
    return [
        Figure("slow_clients_cut", cut, number if seconds > 60 else 0, "least"),
        none_of("slow_clients_calls_failed", failed),
        none_of("slow_clients_frames_dropped", about["dropped"]),
        none_of("slow_clients_exit_code", code),
        at_most("slow_clients_sound_missing", about["pulses"] - about["pulses_back"], calls, is_time=True),
    ]
