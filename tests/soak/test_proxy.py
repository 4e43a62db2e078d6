"""Faults of the network below a call, by a proxy of our own: the right word in the timeline, and nothing left behind."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from callpath.server.builtin import BUILTIN
from callpath.simulator.caller import Caller
from callpath.simulator.simulator import Simulator
from callpath.timeline import CommandRetried, DtmfReceived, Entry, SocketClosed, StreamStarted, WebhookReceived
from tests.postgres import new_database
from tests.serving import WAIT_S_MAX, Served, serving
from tests.soak.proxy import FaultProxy

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def behind(data_dir: Path) -> AsyncIterator[tuple[Served, FaultProxy]]:
    """A server whose audio comes by the proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with FaultProxy(listener.getsockname()[1]) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"
            async with serving(
                BUILTIN["tone"](), data_dir, listener=listener, public_url=url, reconnect_ms=200, probe_missing=False
            ) as served:
                yield served, proxy


async def become(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while not wanted():
            await asyncio.sleep(0.01)


async def hung_up(served: Served, caller: Caller) -> list[Entry]:
    """The whole timeline, once the server has forgotten the call."""
    session = caller.call.leg.call_session_id
    if caller.call.state != "ended":
        await caller.hang_up()
    await caller.ended()
    await become(lambda: session not in served.calls.live)
    return await served.timeline(session)


def closes(entries: list[Entry]) -> list[tuple[int, str]]:
    return [(entry.what.code, entry.what.by) for entry in entries if isinstance(entry.what, SocketClosed)]


FAULTS: dict[str, tuple[Callable[[FaultProxy], None], tuple[int, str]]] = {
    "reset": (FaultProxy.reset, (1006, "peer")),
    "half-open": (FaultProxy.half_open, (1011, "us")),
    "frozen": (FaultProxy.freeze, (1011, "us")),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_connection_that_breaks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeline tells which it was, and neither call, task nor socket stays: a month of these must not add up."""
    monkeypatch.setattr("callpath.server.socket.PING_EVERY_MS", 300.0)
    monkeypatch.setattr("callpath.server.socket.CLOSE_WAIT_MS", 100.0)
    break_it, code = FAULTS[name]
    async with behind(tmp_path) as (served, proxy):
        first = await served.telnyx.call()
        await first.heard_for(60)
        clean = closes(await hung_up(served, first))
        await become(lambda: not proxy.held_by_server)
        tasks = _tasks_of_ours()
        caller = await served.telnyx.call()
        await caller.heard_for(100)
        break_it(proxy)
        await served.until_kind(caller.call.leg.call_session_id, SocketClosed)
        call = served.calls.live[caller.call.leg.call_session_id]
        await become(lambda: not call.stream is not None or len(caller.call.streams) > 1)  # or has the next one already
        proxy.heal()
        entries = await hung_up(served, caller)
        await become(lambda: not proxy.held_by_server)
        await become(lambda: _tasks_of_ours() <= tasks)

    assert clean == [(1000, "peer")]
    assert code in closes(entries)
    assert served.calls.live == {}


async def test_a_partition_that_heals_in_time(tmp_path: Path) -> None:
    """Some hundred milliseconds without network are no reason to end a call, or to open a second stream."""
    async with behind(tmp_path) as (served, proxy):
        caller = await served.telnyx.call()
        await caller.heard_for(100)
        proxy.partition()
        await asyncio.sleep(0.3)
        proxy.heal()
        played = caller.stream.packets_played
        await caller.heard_for(20 * played + 500)
        entries = await hung_up(served, caller)

    assert closes(entries) == [(1000, "peer")]
    assert sum(isinstance(entry.what, StreamStarted) for entry in entries) == 1


async def test_one_byte_at_a_time(tmp_path: Path) -> None:
    """TCP promises no more than an order: a header, a frame, a close may come in any pieces."""
    async with behind(tmp_path) as (served, proxy):
        proxy.drip = True
        caller = await served.telnyx.call()
        await caller.heard_for(200)
        entries = await hung_up(served, caller)

    assert caller.failure is None
    assert [1000] == [code for code, _ in closes(entries)]  # by whom, depends on whose goodbye is through first


async def test_telnyx_cannot_be_reached_for_a_while(tmp_path: Path) -> None:
    """Commands wait, are tried again under the same id, and are carried out once."""
    async with Simulator() as telnyx, FaultProxy(_port(telnyx)) as proxy:
        base = telnyx.api_base.replace(str(_port(telnyx)), str(proxy.port))
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, telnyx_api_base=base) as served:
            proxy.partition()
            caller = await telnyx.call()
            session = caller.call.leg.call_session_id
            await served.until_kind(session, CommandRetried)
            proxy.heal()
            await caller.stream_started(20_000)
            proxy.reset()
            entries = await hung_up(served, caller)

    assert [event.event_type for event in caller.webhooks].count("call.answered") == 1
    assert closes(entries) == [(1000, "peer")]


@pytest.mark.parametrize("name", ["reset", "partition", "drip"])
async def test_the_network_to_the_database(name: str, postgres_server: str, tmp_path: Path) -> None:
    """Whoever is talking notices nothing; what happened meanwhile is in the timeline once the network is back, and the
    next call is as good as any."""
    url = make_url(new_database(postgres_server))
    assert url.port is not None
    async with FaultProxy(url.port) as proxy:
        database = url.set(port=proxy.port).render_as_string(hide_password=False)
        async with serving(BUILTIN["tone"](), tmp_path, database_url=database, probe_missing=False) as served:
            first = await served.telnyx.call()
            await first.heard_for(100)
            if name == "reset":
                proxy.reset()
            elif name == "partition":
                proxy.partition()
            else:
                proxy.drip = True
            await first.press("5")
            await first.heard_for(20 * first.stream.packets_played + 600)
            proxy.heal()
            entries = await hung_up(served, first)
            second = await served.telnyx.call()
            await second.heard_for(100)
            after = await hung_up(served, second)

    assert first.failure is second.failure is None
    assert closes(entries) == closes(after) == [(1000, "peer")]
    assert ["5"] == [entry.what.digit for entry in entries if isinstance(entry.what, DtmfReceived)]
    assert _events(entries) == _events(after)


def _events(entries: list[Entry]) -> Counter[str]:
    """What webhooks told, without the key that the first caller pressed."""
    events = [entry.what.event_type for entry in entries if isinstance(entry.what, WebhookReceived)]
    return Counter(event for event in events if event != "call.dtmf.received")


def _port(telnyx: Simulator) -> int:
    return int(telnyx.api_base.split(":")[2].split("/")[0])


def _tasks_of_ours() -> Counter[Any]:
    """Running tasks of the server by name, ids left out."""
    names = [task.get_name().split(" ")[0] for task in asyncio.all_tasks() if not task.done()]
    return Counter(name for name in names if name in ("call", "send", "handler", "pace", "probe", "check"))
