"""A call log whose disk is slow, full, read-only, failing or locked: each webhook is stored and answered 200, or neither;
calls go on; and when the disk is well again, so is the server."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from callpath.timeline import HandlerStarted, SocketClosed
from tests.soak.node import API_KEY, KEY, Node, Sender, event
from tests.soak.traffic import _is_whole, _stored

pytestmark = pytest.mark.e2e

FAULTS = {"full": "n", "read-only": "r", "failing fsync": "f"}

UPGRADE = (
    b"GET /api/calls/nobody/audio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The failing disk, compiled."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on this machine")
    library = tmp_path_factory.mktemp("disk") / "disk.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O1", "-o", library, Path(__file__).with_name("disk.c"), "-ldl"], check=True
    )
    return library


@asynccontextmanager
async def in_a_call(folder: Path, shim: Path, fault: Path) -> AsyncIterator[tuple[Node, Simulator]]:
    async with (
        Simulator(api_key=API_KEY, private_key=KEY) as telnyx,
        Node(folder, telnyx.api_base, "tone", LD_PRELOAD=str(shim), CALLPATH_TEST_DISK=str(fault)) as node,
    ):
        telnyx.webhook_url = node.url
        yield node, telnyx


async def posted(node: Node, first: int, number: int) -> dict[str, int]:
    """Webhooks of as many calls at once, and the answer to each."""
    them = [Sender(node.port) for _ in range(number)]
    names = [f"e{first + turn}" for turn in range(number)]
    statuses = await asyncio.gather(*[one.post(event(f"s{name}", name)) for one, name in zip(them, names, strict=True)])
    for one in them:
        one.close()
    return dict(zip(names, statuses, strict=True))


@pytest.mark.parametrize("name", FAULTS)
async def test_a_disk_that_says_no(name: str, shim: Path, tmp_path: Path) -> None:
    """A 200 for an event that is nowhere loses a call's end for good; a call that stops talking since its diary is full
    is worse than no diary."""
    fault = tmp_path / "fault"
    fault.write_text("")
    async with in_a_call(tmp_path, shim, fault) as (node, telnyx):
        caller = await telnyx.call()
        await caller.heard_for(100)
        before = await posted(node, 0, 5)
        fault.write_text(FAULTS[name])
        played = caller.stream.packets_played
        during = await posted(node, 100, 10)
        upgrade = await node.asked(UPGRADE)
        await caller.heard_for(20 * played + 400)
        fault.write_text("")
        after = await posted(node, 200, 5)
        await caller.hang_up()
        await caller.ended()
        code = await node.stop()
    url = f"sqlite:///{tmp_path / 'callpath.db'}"
    stored = _stored(url)
    async with open_call_log(url) as log:
        kept = [entry.what for entry in await log.read(caller.call.leg.call_session_id)]

    assert set(before.values()) == {200}
    assert set(during.values()) == {503}
    assert upgrade.startswith(b"HTTP/1.1 503 ")
    assert set(after.values()) == {200}
    assert {one for one in (before | during | after) if one in stored} == set(before | after)
    assert [what.code for what in kept if isinstance(what, SocketClosed)] == [1000]
    assert sum(isinstance(what, HandlerStarted) for what in kept) == 1
    assert _is_whole(url)
    assert code == 0


async def test_a_slow_disk(shim: Path, tmp_path: Path) -> None:
    """Each commit takes a tenth of a second: webhooks share one, and nobody's audio waits for it."""
    fault = tmp_path / "fault"
    fault.write_text("s")
    async with in_a_call(tmp_path, shim, fault) as (node, telnyx):
        caller = await telnyx.call()
        await caller.heard_for(100)
        answers = await posted(node, 0, 50)
        await caller.heard_for(20 * caller.stream.packets_played + 400)
        await caller.hang_up()
        await caller.ended()
        code = await node.stop()

    assert set(answers.values()) == {200}
    assert set(answers) <= _stored(f"sqlite:///{tmp_path / 'callpath.db'}")
    assert (caller.failure, code) == (None, 0)


async def test_a_log_that_somebody_else_locks(tmp_path: Path) -> None:
    """A backup or a curious person with sqlite3 open: refused after five seconds, taken afterwards, nothing in between."""
    async with Node(tmp_path) as node:
        path = tmp_path / "callpath.db"
        locking = sqlite3.connect(path, isolation_level=None)
        locking.execute("BEGIN IMMEDIATE")
        during = await posted(node, 0, 1)
        locking.execute("ROLLBACK")
        locking.close()
        after = await posted(node, 100, 5)
        code = await node.stop()

    assert set(during.values()) == {503}
    assert set(after.values()) == {200}
    assert _stored(f"sqlite:///{path}") == set(after)
    assert code == 0
