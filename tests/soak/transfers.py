"""Transfers and consults of a real server: many at once, and processes killed in the middle of them."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from tests.soak.figures import Figure, all_of, none_of, now_s
from tests.soak.node import API_KEY, KEY, Node

BOT = """
import asyncio

from callpath import App, Call

app = App()


@app.call
async def reception(call: Call) -> None:
    await asyncio.sleep(0.5)
    target = "+1666" + (call.from_ or "")[-7:]
    if call.to == "+15555550198":
        done = await call.consult(target, handler=brief, ring_s=20, decide_s=20)
    else:
        done = await call.transfer(target, ring_s=20)
    if not done:
        await asyncio.sleep(3600)


@app.call(name="brief")
async def brief(call: Call) -> None:
    await asyncio.sleep(0.5)
    assert call.consultation is not None
    await call.consultation.accept()
"""

TRANSFERS_TO, CONSULTS_TO = "+15555550199", "+15555550198"
OPTIONS = replace(CarrierOptions(), answer_ms=50, ring_ms=1_000, reconnect=True, calls_max=10_000)
JOINED_S_MAX = 90.0
"""How long a caller may take to be joined, with a process that dies on the way."""

STEPS_S = 3.0
"""From the ringing of a call to the moment when the two talk: how far apart the calls of one kill begin."""

TALK_S = 5.0


def _bot(folder: Path) -> str:
    (folder / "transfer_bot.py").write_text(BOT)
    return "transfer_bot:app"


def _is_joined(caller: Caller) -> bool:
    return caller.call.state == "answered" and bool(caller.call.partners)


async def _until_joined(callers: list[Caller]) -> None:
    deadline_s = now_s() + JOINED_S_MAX
    while now_s() < deadline_s and not all(map(_is_joined, callers)):
        await asyncio.sleep(0.1)


def _doubled(telnyx: Simulator, callers: list[Caller]) -> int:
    """How many phones were called beyond one for each caller."""
    called = Counter(one.call.leg.to for one in telnyx.calls if one.call.leg.direction == "outgoing")
    targets = ["+1666" + caller.call.leg.from_[-7:] for caller in callers]
    return sum(max(0, called[target] - 1) for target in targets)


async def _over(telnyx: Simulator, callers: list[Caller]) -> int:
    """The callers hang up. How many phones are left up."""
    for caller in callers:
        if caller.call.state != "ended":
            await caller.hang_up()
    deadline_s = now_s() + 30
    while now_s() < deadline_s and any(one.call.state != "ended" for one in telnyx.calls):
        await asyncio.sleep(0.1)
    return sum(one.call.state != "ended" for one in telnyx.calls)


async def at_once(folder: Path, number: int) -> list[Figure]:
    """So many calls at once, half of them transferred and half consulted about: none is cut while the two talk."""
    async with (
        Simulator(options=OPTIONS, api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base, _bot(folder)) as node,
    ):
        telnyx.webhook_url = node.url
        callers = []
        for one in range(number):
            to = CONSULTS_TO if one % 2 else TRANSFERS_TO
            callers.append(await telnyx.call(f"+1555{one:07}", to))
        await _until_joined(callers)
        joined = sum(map(_is_joined, callers))
        await asyncio.sleep(TALK_S)
        cut = joined - sum(map(_is_joined, callers))
        doubled, left = _doubled(telnyx, callers), await _over(telnyx, callers)
        code = await node.stop()
    return [
        all_of("transfers_at_once_joined", joined, number),
        none_of("transfers_at_once_cut", cut),
        none_of("transfers_at_once_double_dials", doubled),
        none_of("transfers_at_once_left_up", left),
        none_of("transfers_at_once_exit_code", code),
    ]


async def kills(folder: Path, times: int, calls: int) -> list[Figure]:
    """kill -9 while `calls` transfers and consults are each at another step, `times` times; the next process goes on."""
    lost = doubled = left = done = 0
    async with (
        Simulator(options=OPTIONS, api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base, _bot(folder)) as node,
    ):
        telnyx.webhook_url = node.url
        for round_ in range(times):
            callers = []
            for one in range(calls):
                to = CONSULTS_TO if (round_ + one) % 2 else TRANSFERS_TO
                callers.append(await telnyx.call(f"+1555{round_ * calls + one:07}", to))
                await asyncio.sleep(STEPS_S / calls)
            await node.stop(signal.SIGKILL)
            await node.start()
            await _until_joined(callers)
            lost += sum(not _is_joined(caller) for caller in callers)
            doubled += _doubled(telnyx, callers)
            left += await _over(telnyx, callers)
            done += len(callers)
        code = await node.stop()
    return [
        all_of("transfers_killed", done, times * calls),
        none_of("transfers_killed_lost", lost),
        none_of("transfers_killed_double_dials", doubled),
        none_of("transfers_killed_left_up", left),
        none_of("transfers_killed_exit_code", code),
    ]
