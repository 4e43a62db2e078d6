"""Several servers on one call log: webhook here, audio there, and one of them dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callpath.call.address import GOES_ON_HEADER
from callpath.call.session import Stage, fold
from callpath.clock import ManualClock
from callpath.errors import StoreError
from callpath.server import leases, live
from callpath.server.builtin import BUILTIN
from callpath.server.leases import LEASE_MS, Leases
from callpath.simulator.simulator import Simulator
from callpath.store.memory import MemoryCallLog
from callpath.timeline import (
    CallRefused,
    CallTakenUp,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerEnded,
    HandlerStarted,
    SocketClosed,
    SocketReceived,
    StreamAccepted,
    StreamMissing,
    StreamStarted,
    WebhookReceived,
    What,
)
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.postgres import new_database
from tests.serving import WAIT_S_MAX, Served, serving, upgraded

SESSION = SessionId("428c31b6-7af4-4bcb-b7f5-5013ef9657c1")


@asynccontextmanager
async def two_nodes(database: str, folder: Path, **settings: Any) -> AsyncIterator[tuple[Served, Served]]:
    """`hooks` gets all webhooks, `audio` all sockets; a tone is played."""
    async with (
        Simulator() as telnyx,
        serving(BUILTIN["tone"](), folder / "audio", telnyx=telnyx, database_url=database, workers=2) as audio,
        serving(
            BUILTIN["tone"](),
            folder / "hooks",
            telnyx=telnyx,
            database_url=database,
            public_url=audio.url,
            workers=2,
            **settings,
        ) as hooks,
    ):
        yield hooks, audio


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database; leases are prolonged often, so that no test waits, and a busy machine has time to take a call."""
    monkeypatch.setattr(leases, "RENEW_EVERY_MS", 50.0)
    monkeypatch.setattr(live, "OFFER_MS", 60_000.0)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'callpath.db'}"
    return new_database(request.getfixturevalue("postgres_server"))


async def test_webhook_here_and_audio_there(database: str, tmp_path: Path) -> None:
    """Platforms send each request to any replica. The call works, is one timeline, and its end reaches the handler."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(400)
        session = caller.call.leg.call_session_id
        acting = {served is audio for served in (hooks, audio) if served.runner.calls[session].acts}
        await caller.hangup()
        await caller.ended()
        entries = await hooks.until_kind(session, HandlerEnded)

    assert {True} == acting
    assert caller.heard.any()
    assert 1 == sum(isinstance(entry.what, SocketReceived) for entry in entries)
    assert ["call.initiated", "call.answered"] == [
        entry.what.event_type for entry in entries if isinstance(entry.what, WebhookReceived)
    ][:2]


async def test_each_command_is_sent_by_one_node(database: str, tmp_path: Path) -> None:
    """Two that both answered would each pay for it, and confuse the timeline."""
    async with two_nodes(database, tmp_path) as (hooks, _):
        caller = await hooks.telnyx.call()
        await caller.heard_for(200)
        await caller.hangup()
        await caller.ended()
        commands = [command.name for command in caller.commands]

    assert ["answer", "streaming_start"] == commands


async def test_a_stream_that_another_node_has_is_not_missing(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes are not woken for each other's every entry. One that judged by what it was told asked for a stream that was
    there, was refused, and hung up on a caller who was talking."""
    monkeypatch.setattr(leases, "RENEW_EVERY_MS", 60_000.0)
    async with two_nodes(database, tmp_path, socket_within_ms=500) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, FirstOutbound)
        entries = await audio.until_kind(session, StreamAccepted)  # the answer may come after the stream
        known = [entry for entry in entries if entry.number <= _number_of(entries, StreamAccepted)]
        call = hooks.runner.calls[session]
        call.session, call._number = fold(session, [e for e in known if not isinstance(e.what, STREAM)]), 0
        call.acts, call._news = True, False
        call._wake.set()
        async with asyncio.timeout(WAIT_S_MAX):
            while Stage.STREAM_STARTED not in call.session.stages:
                await asyncio.sleep(0.01)
        found = [type(entry.what) for entry in await hooks.runner.log.read(session)]
        await caller.hangup()
        await caller.ended()

    assert StreamMissing not in found


STREAM = (SocketReceived, StreamStarted, FirstInbound, FirstOutbound, HandlerStarted)


def _number_of(entries: list[Entry], kind: type[What]) -> int:
    return next(entry.number for entry in entries if isinstance(entry.what, kind))


async def test_a_dead_nodes_call_is_taken_up(database: str, tmp_path: Path) -> None:
    """Nobody else would ever hang up, or ask what became of it."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, StreamStarted)
        # As if the node with the audio had died a while ago: its lease is over, and nobody prolongs it.
        now = audio.runner.clock.now_unix_ms()
        await hooks.runner.log.claim(session, "dead", now - 2 * LEASE_MS, now - LEASE_MS, by_force=True)
        entries = await hooks.until_kind(session, CallTakenUp)

    assert 1 == sum(isinstance(entry.what, CallTakenUp) for entry in entries)


async def test_who_takes_a_call_up_acts_for_it(database: str, tmp_path: Path) -> None:
    """The living node has heard of the call while the dead one's lease was good (Telnyx tells of the lost stream at once);
    the lease alone would keep everybody from the caller."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        async with asyncio.timeout(WAIT_S_MAX):
            while hooks.runner.live(session).acts:  # until it learns that the node of the socket does
                await asyncio.sleep(0.01)
            audio.runner.take_up = None
            now = audio.runner.clock.now_unix_ms()
            await hooks.runner.log.claim(session, "dead", now - 2 * LEASE_MS, now - LEASE_MS, by_force=True)
            while not ((call := hooks.runner.calls.get(session)) and call.acts):
                await asyncio.sleep(0.01)


async def test_a_node_that_stops_leaves_new_calls_to_the_other(database: str, tmp_path: Path) -> None:
    """A balancer goes on sending it events; "busy" would be a lie while the node beside it is free."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        hooks.runner.draining = True
        caller = await hooks.telnyx.call()
        await caller.heard_for(200)
        session = caller.call.leg.call_session_id
        held_up = len(hooks.runner.busy_calls()) + hooks.runner.offered_calls()
        entries = await audio.until_kind(session, StreamStarted)
        await caller.hangup()
        await caller.ended()

    assert ["answer", "streaming_start"] == [command.name for command in caller.commands]
    assert [] == [entry.what for entry in entries if isinstance(entry.what, CallRefused)]
    assert 0 == held_up


async def test_a_call_that_comes_at_the_very_moment_of_the_stop(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken a moment before, it would have been refused a moment after."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        claim = hooks.runner.leases.claim

        async def claim_and_stop(session: SessionId, *, by_force: bool = False) -> bool:
            took = await claim(session, by_force=by_force)
            hooks.runner.draining = True
            return took

        monkeypatch.setattr(hooks.runner.leases, "claim", claim_and_stop)
        caller = await hooks.telnyx.call()
        await caller.heard_for(200)
        entries = await audio.until_kind(caller.call.leg.call_session_id, StreamStarted)
        await caller.hangup()
        await caller.ended()

    assert ["answer", "streaming_start"] == [command.name for command in caller.commands]
    assert [] == [entry.what for entry in entries if isinstance(entry.what, CallRefused)]


async def test_a_node_that_stops_leaves_sockets_to_the_other(database: str, tmp_path: Path) -> None:
    """Under a balancer that does not ask /readyz it would never run empty. Only who asks the other one then may be sent
    away, and the call knows nothing of it."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, FirstOutbound)
        hooks.runner.draining = True
        token = with_token(hooks, session)
        left = await upgraded(hooks, session, **token, **{GOES_ON_HEADER: "503"})
        acted = audio.runner.calls[session].acts, hooks.runner.calls[session].acts
        entries = await hooks.timeline(session)
        counted = hooks.runner.metrics.text().decode()
        taken = [await upgraded(hooks, session, **token, **headers) for headers in ({}, {GOES_ON_HEADER: "502"})]

    assert 503 == left
    assert (True, False) == acted
    assert 1 == sum(isinstance(entry.what, SocketReceived) for entry in entries)
    assert 'callpath_refused_total{reason="draining",what="upgrade"} 1.0' in counted
    assert [101, 101] == taken


async def test_a_node_that_stops_takes_a_socket_that_no_other_would(database: str, tmp_path: Path) -> None:
    """The call was its own, or that of a node that is gone."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, FirstOutbound)
        hooks.runner.draining = True
        await hooks.runner.log.release(SessionId(session), audio.runner.leases.node)
        taken = await upgraded(hooks, session, **with_token(hooks, session), **{GOES_ON_HEADER: "503"})

    assert 101 == taken


def with_token(served: Served, session: str) -> dict[str, str]:
    tokens = served.runner.tokens
    assert tokens is not None
    return {AUTH_TOKEN_HEADER: tokens.of(SessionId(session))}


async def test_where_no_node_has_room_the_caller_is_told(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, by the node that could not take the call; until then it holds up its stop."""
    monkeypatch.setattr(live, "OFFER_MS", 300.0)
    async with two_nodes(database, tmp_path) as (hooks, audio):
        hooks.runner.draining = audio.runner.draining = True
        caller = await hooks.telnyx.call()
        async with asyncio.timeout(WAIT_S_MAX):
            while not hooks.runner.offered_calls():
                await asyncio.sleep(0.01)
        await caller.ended()
        entries = await hooks.until_kind(caller.call.leg.call_session_id, CallRefused)

    assert ["reject"] == [command.name for command in caller.commands]
    assert 1 == sum(isinstance(entry.what, CallRefused) for entry in entries)


async def test_a_socket_that_comes_while_leases_are_prolonged(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to that knows nothing of the call yet; taken for "another node has it", the caller would be cut off."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        renew, may_go, late, again = audio.runner.log.renew, asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(node: str, until_unix_ms: int) -> set[SessionId]:
            if may_go.is_set():
                again.set()
            held = await renew(node, until_unix_ms)
            late.set()
            await may_go.wait()
            return held

        monkeypatch.setattr(audio.runner.log, "renew", slow)
        async with asyncio.timeout(WAIT_S_MAX):
            await late.wait()
            caller = await hooks.telnyx.call()
            await caller.heard_for(100)
            may_go.set()
            await again.wait()  # what the first answer said has been heard
        acts = audio.runner.calls[caller.call.leg.call_session_id].acts
        await caller.hangup()
        await caller.ended()

    assert acts


async def test_the_newest_socket_wins(database: str, tmp_path: Path) -> None:
    """Telnyx connects again, and comes out at another replica: the old one must not go on talking to nobody."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, StreamStarted)
        call = hooks.runner.live(session)
        await call.until_ready()
        await call.take_over()
        entries = await hooks.until_kind(session, SocketClosed)

    (closed,) = [entry.what for entry in entries if isinstance(entry.what, SocketClosed)]
    assert ("us", "another server carries this call now") == (closed.by, closed.reason)


async def test_who_takes_a_dead_ones_place_has_its_calls_at_once() -> None:
    """A worker is replaced within a second; until its leases are over nobody would act for its callers."""
    clock, log = ManualClock(), MemoryCallLog()
    log.shared = True
    before, after, other = (Leases(log, clock, name) for name in ("worker-1", "worker-1", "worker-2"))
    await before.claim(SESSION)

    assert [False, True] == [await other.claim(SESSION), await after.claim(SESSION)]


async def test_alone_every_call_is_ours() -> None:
    """A log of one process has no other nodes, and no lease costs it a write."""
    log = MemoryCallLog()
    ours = Leases(log, ManualClock())
    claimed = await ours.claim(SESSION)
    await ours.keep(lambda _, __: None, lambda _: None)  # returns: nothing is to be prolonged

    assert claimed
    assert [] == await log.orphans(10**15)


async def test_a_log_that_fails_loses_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that restarts for a moment is no reason to hand all calls over."""
    clock, log = ManualClock(), MemoryCallLog()
    told: list[set[SessionId]] = []
    log.shared = True
    ours = Leases(log, clock)
    await ours.claim(SESSION)
    renew, failures = log.renew, [True, False]

    async def flaky(node: str, until_unix_ms: int) -> set[SessionId]:
        if failures.pop(0):
            raise StoreError("away")
        return await renew(node, until_unix_ms)

    monkeypatch.setattr(log, "renew", flaky)
    async with asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(ours.keep(lambda held, _: told.append(held), lambda _: None))
        await clock.advance(2 * leases.RENEW_EVERY_MS)
        keeping.cancel()

    assert [{SESSION}] == told
