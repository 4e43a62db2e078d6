"""kill -9 while calls are dialled: none is dialled twice, and nobody who answered is left without a handler."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2

from callpath.call.dials import dial_session, read_dial
from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from tests.soak.figures import Figure, all_of, none_of, now_s
from tests.soak.node import API_KEY, KEY, Node

TOKEN = "the-token-of-the-soaks-dialler"
OPTIONS = replace(CarrierOptions(), answer_ms=300, calls_max=5_000, dials_max=10_000)
SERVED_S_MAX = 60.0
KILL_S_MAX = 0.12
"""An order is written down, sent and answered within a tenth of that on an idle machine, and within all of it on a busy
one."""


async def kills(folder: Path, times: int, seed: int = 0) -> list[Figure]:
    """An order, kill -9 at any moment of it, the next process, and the same order again from a client that lost the
    answer."""
    chance = random.Random(seed)
    told: dict[str, str] = {}
    """The id that was answered, by key."""
    unserved = 0
    made: dict[str, set[str]] = {}
    """The sessions of each number. Noted after each kill: the simulator forgets a call ten minutes after its end."""
    async with Simulator(options=OPTIONS, api_key=API_KEY, private_key=KEY) as telnyx:
        node = Node(
            folder,
            telnyx.api_base,
            handler="tone",
            CALLPATH_DASHBOARD="on",
            CALLPATH_DIAL_TOKEN=TOKEN,
            CALLPATH_DIAL_ALLOW="+1",
            CALLPATH_DIAL_FROM="+15555550100",
            TELNYX_CONNECTION_ID=OPTIONS.connection_id,
            CALLPATH_SOCKET_WITHIN_MS="500",  # a recovered call asks for its stream again at once
            CALLPATH_DIAL_CALLS_MAX="0",
            CALLPATH_DIAL_PER_MINUTE="0",
            CALLPATH_DIAL_PER_DAY="0",
        )
        telnyx.webhook_url = node.url
        async with node, httpx2.AsyncClient(trust_env=False, timeout=30) as http:

            async def order(number: int) -> None:
                """What is answered counts; a broken connection is what a client sees of a crash."""
                body: dict[str, Any] = {"to": f"+1555555{number:04}", "key": f"order {number}"}
                with suppress(httpx2.TransportError):
                    answer = await http.post(
                        f"http://127.0.0.1:{node.port}/api/v1/calls",
                        json=body,
                        headers={"authorization": f"Bearer {TOKEN}"},
                    )
                    if answer.status_code == 202:
                        told.setdefault(body["key"], answer.json()["id"])

            for number in range(times):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(order(number))
                    await asyncio.sleep(chance.uniform(0, KILL_S_MAX))
                    await node.stop(signal.SIGKILL)
                await node.start()
                if chance.random() < 0.5:
                    await order(number)
                for caller in _outgoing(telnyx):
                    made.setdefault(caller.call.leg.to, set()).add(caller.call.leg.call_session_id)
                    if caller.call.state != "ended" and not await _is_served(caller):
                        unserved += 1
                    await caller.hangup()
            code = await node.stop()
    open_, unknown = 0, 0
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        for dial_id in told.values():
            record = read_dial(await log.read(dial_session(dial_id)))
            open_ += record is None or record.is_open
            unknown += record is not None and record.placed is None and not record.is_open
        lost = (await log.dial_counts(0)).live
    return [
        all_of("dials_kills", times, times),
        all_of("dials_made", len(made), times // 3),
        all_of("dials_answered_202", len(told), times // 3),
        none_of("dials_made_twice", sum(len(sessions) - 1 for sessions in made.values())),
        none_of("dials_callers_lost", unserved),
        none_of("dials_acknowledged_and_lost", open_ + unknown),
        none_of("dials_left_open", lost),
        none_of("dials_exit_code_at_end", code),
    ]


def _outgoing(telnyx: Simulator) -> list[Caller]:
    return [caller for caller in telnyx.calls if caller.call.leg.direction == "outgoing"]


async def _is_served(caller: Caller) -> bool:
    """Whoever answered hears the handler, in whichever process."""

    until_s = now_s() + SERVED_S_MAX
    while now_s() < until_s:
        if caller.call.state == "ended" or (caller.call.stream is not None and caller.call.stream.heard):
            return True
        await asyncio.sleep(0.02)
    return False
