"""Several servers on one call log: webhook here, audio there, and one of them dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from callpath.call.address import GOES_ON_HEADER
from callpath.call.session import Stage, fold
from callpath.clock import Clock, ManualClock
from callpath.errors import StoreError
from callpath.server import leases, ownership
from callpath.server.builtin import BUILTIN
from callpath.server.leases import LEASE_MS, STEADY_MS, Leases
from callpath.simulator.simulator import Simulator
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallLog
from callpath.timeline import (
    CallRecovered,
    CallRejected,
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
from callpath.wire.ids import SessionId, StreamId
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
    monkeypatch.setattr(leases, "STEADY_MS", 0.0)
    monkeypatch.setattr(ownership, "OFFER_MS", 60_000.0)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'callpath.db'}"
    return new_database(request.getfixturevalue("postgres_server"))


async def test_webhook_here_and_audio_there(database: str, tmp_path: Path) -> None:
    """Platforms send each request to any replica. The call works, is one timeline, and its end reaches the handler."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(400)
        session = caller.call.leg.call_session_id
        acting = {served is audio for served in (hooks, audio) if served.calls.live[session].acts}
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
        call = hooks.calls.live[session]
        journal = call._journal
        call.session = journal.session = fold(session, [e for e in known if not isinstance(e.what, STREAM)])
        journal._number, journal.has_news, call.ownership.acts = 0, False, True
        call._wake.set()
        async with asyncio.timeout(WAIT_S_MAX):
            while Stage.STREAM_STARTED not in call.session.stages:
                await asyncio.sleep(0.01)
        found = [type(entry.what) for entry in await hooks.context.log.read(session)]
        await caller.hangup()
        await caller.ended()

    assert StreamMissing not in found


STREAM = (SocketReceived, StreamStarted, FirstInbound, FirstOutbound, HandlerStarted)


def _number_of(entries: list[Entry], kind: type[What]) -> int:
    return next(entry.number for entry in entries if isinstance(entry.what, kind))


class _OfADeadNode(ownership.Ownership):
    __slots__ = ()

    def lease_lost(self) -> None:
        """Nobody is there to notice it."""


def die(served: Served, session: SessionId) -> None:
    """The node does nothing about it when another one has its call."""
    served.calls.live[session].ownership.__class__ = _OfADeadNode


async def test_a_dead_nodes_call_is_recovered(database: str, tmp_path: Path) -> None:
    """Nobody else would ever hang up, or ask what became of it."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, StreamStarted)
        # As if the node with the audio had died a while ago: its lease is over, and nobody prolongs it.
        die(audio, session)
        await hooks.context.log.claim(session, "dead", -1, steal="always")
        entries = await hooks.until_kind(session, CallRecovered)

    assert 1 == sum(isinstance(entry.what, CallRecovered) for entry in entries)


async def test_the_node_that_recovers_a_call_acts_for_it(database: str, tmp_path: Path) -> None:
    """The living node has heard of the call while the dead one's lease was good (Telnyx tells of the lost stream at once);
    the lease alone would keep everybody from the caller."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        async with asyncio.timeout(WAIT_S_MAX):
            while hooks.calls.load(session).acts:  # until it learns that the node of the socket does
                await asyncio.sleep(0.01)
            audio.calls._recover = None
            die(audio, session)
            await hooks.context.log.claim(session, "dead", -1, steal="always")
            while not ((call := hooks.calls.live.get(session)) and call.acts):
                await asyncio.sleep(0.01)


async def test_a_node_that_stops_leaves_new_calls_to_the_other(database: str, tmp_path: Path) -> None:
    """A balancer goes on sending it events; "busy" would be a lie while the node beside it is free."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        hooks.calls.capacity.draining = True
        caller = await hooks.telnyx.call()
        await caller.heard_for(200)
        session = caller.call.leg.call_session_id
        held_up = len(hooks.calls.busy()) + hooks.calls.offered()
        entries = await audio.until_kind(session, StreamStarted)
        await caller.hangup()
        await caller.ended()

    assert ["answer", "streaming_start"] == [command.name for command in caller.commands]
    assert [] == [entry.what for entry in entries if isinstance(entry.what, CallRejected)]
    assert 0 == held_up


async def test_a_call_that_comes_at_the_very_moment_of_the_stop(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken a moment before, it would have been refused a moment after."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        claim = hooks.context.leases.claim

        async def claim_and_stop(session: SessionId, *, by_force: bool = False) -> bool:
            took = await claim(session, by_force=by_force)
            hooks.calls.capacity.draining = True
            return took

        monkeypatch.setattr(hooks.context.leases, "claim", claim_and_stop)
        caller = await hooks.telnyx.call()
        await caller.heard_for(200)
        entries = await audio.until_kind(caller.call.leg.call_session_id, StreamStarted)
        await caller.hangup()
        await caller.ended()

    assert ["answer", "streaming_start"] == [command.name for command in caller.commands]
    assert [] == [entry.what for entry in entries if isinstance(entry.what, CallRejected)]


async def test_a_node_that_stops_leaves_sockets_to_the_other(database: str, tmp_path: Path) -> None:
    """Under a balancer that does not ask /readyz it would never run empty. Only who asks the other one then may be sent
    away, and the call knows nothing of it."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, FirstOutbound)
        hooks.calls.capacity.draining = True
        token = with_token(hooks, session)
        left = await upgraded(hooks, session, **token, **{GOES_ON_HEADER: "503"})
        acted = audio.calls.live[session].acts, hooks.calls.live[session].acts
        entries = await hooks.timeline(session)
        counted = hooks.context.metrics.text().decode()
        taken = [await upgraded(hooks, session, **token, **headers) for headers in ({}, {GOES_ON_HEADER: "502"})]

    assert 503 == left
    assert (True, False) == acted
    assert 1 == sum(isinstance(entry.what, SocketReceived) for entry in entries)
    assert 'callpath_refused_total{reason="draining",what="upgrade"} 1.0' in counted
    assert [101, 101] == taken


async def test_a_node_that_stops_takes_a_socket_that_no_other_would(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call was its own, or that of a node that is gone."""

    async def gone(*_: Any, **__: Any) -> bool:
        return False

    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, FirstOutbound)
        hooks.calls.capacity.draining = True
        monkeypatch.setattr(audio.context.log, "claim", gone)  # else it claims its call back, sooner or later
        await hooks.context.log.release(SessionId(session), audio.context.leases.node)
        taken = await upgraded(hooks, session, **with_token(hooks, session), **{GOES_ON_HEADER: "503"})

    assert 101 == taken


def with_token(served: Served, session: str) -> dict[str, str]:
    tokens = served.context.tokens
    assert tokens is not None
    return {AUTH_TOKEN_HEADER: tokens.of(SessionId(session))}


async def test_where_no_node_has_room_the_caller_is_told(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, by the node that could not take the call; until then it holds up its stop."""
    monkeypatch.setattr(ownership, "OFFER_MS", 300.0)
    async with two_nodes(database, tmp_path) as (hooks, audio):
        hooks.calls.capacity.draining = audio.calls.capacity.draining = True
        caller = await hooks.telnyx.call()
        async with asyncio.timeout(WAIT_S_MAX):
            while not hooks.calls.offered():
                await asyncio.sleep(0.01)
        await caller.ended()
        entries = await hooks.until_kind(caller.call.leg.call_session_id, CallRejected)

    assert ["reject"] == [command.name for command in caller.commands]
    assert 1 == sum(isinstance(entry.what, CallRejected) for entry in entries)


async def test_a_socket_that_comes_while_leases_are_prolonged(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to that knows nothing of the call yet; taken for "another node has it", the caller would be cut off."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        renew, may_go, late, again = audio.context.log.renew, asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(node: str, lease_ms: int) -> set[SessionId]:
            if may_go.is_set():
                again.set()
            held = await renew(node, lease_ms)
            late.set()
            await may_go.wait()
            return held

        monkeypatch.setattr(audio.context.log, "renew", slow)
        async with asyncio.timeout(WAIT_S_MAX):
            await late.wait()
            caller = await hooks.telnyx.call()
            await caller.heard_for(100)
            may_go.set()
            await again.wait()  # what the first answer said has been heard
        acts = audio.calls.live[caller.call.leg.call_session_id].acts
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
        call = hooks.calls.load(session)
        await call.until_ready()
        call.note(StreamStarted(stream_id=StreamId("a newer one"), encoding="PCMU", sample_rate_hz=8000))
        await hooks.until_kind(session, StreamStarted, times=2)  # else the other one may still count as the newest
        await call.ownership.claim_for_socket()
        entries = await hooks.until_kind(session, SocketClosed)

    (closed,) = [entry.what for entry in entries if isinstance(entry.what, SocketClosed)]
    assert ("us", "another server carries this call now") == (closed.by, closed.reason)


async def test_the_node_that_hears_the_caller_claims_its_call_back(database: str, tmp_path: Path) -> None:
    """It was cut off from the database for a while, and another node took it for dead. That one has no audio: closing the
    socket would leave the caller in silence, and greet him again."""
    async with two_nodes(database, tmp_path) as (hooks, audio):
        caller = await hooks.telnyx.call()
        await caller.heard_for(100)
        session = caller.call.leg.call_session_id
        await audio.until_kind(session, StreamStarted)
        log, node = audio.context.log, audio.context.leases.node
        await log.claim(session, hooks.context.leases.node, LEASE_MS, steal="always")
        there = hooks.calls.load(session)
        there.ownership.recovered()
        there.wake()
        async with asyncio.timeout(WAIT_S_MAX):
            while session not in await log.renew(node, LEASE_MS):
                await asyncio.sleep(0.01)
            while hooks.calls.load(session).acts:
                await asyncio.sleep(0.01)
        await caller.heard_for(20.0 * caller.stream.packets_played + 200)
        acts = audio.calls.live[session].acts
        await caller.hangup()
        await caller.ended()
        entries = await hooks.until_kind(session, HandlerEnded)

    assert acts
    assert ["answer", "streaming_start"] == [command.name for command in caller.commands]
    assert 1 == len(caller.call.streams)
    assert 1 == sum(isinstance(entry.what, HandlerStarted) for entry in entries)


# --- one node's leases, on a manual clock ----------------------------------------------------------------------------


class Log(MemoryCallLog):
    """A log that other nodes share. It can be away, or stand still."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.shared = True
        self.away = False
        self.breaks = False
        self.running = asyncio.Event()
        self.running.set()

    async def _answers(self) -> None:
        await self.running.wait()
        if self.away:
            raise StoreError("away")
        if self.breaks:
            raise ValueError("a fault of ours")

    async def renew(self, node: str, lease_ms: int) -> set[SessionId]:
        await self._answers()
        return await super().renew(node, lease_ms)

    async def orphans(self, limit: int, *, expired: bool = True) -> list[SessionId]:
        await self._answers()
        return await super().orphans(limit, expired=expired)

    async def release(self, session: SessionId, node: str) -> None:
        await self._answers()
        await super().release(session, node)


@dataclass
class Node:
    """One node's leases, and what they told it."""

    leases: Leases
    held: list[set[SessionId]] = field(default_factory=list)
    orphans: list[SessionId] = field(default_factory=list)

    async def run(self) -> None:
        await self.leases.keep(lambda held, _: self.held.append(held), self.orphans.append)


@asynccontextmanager
async def nodes(log: CallLog, clock: ManualClock, *names: str) -> AsyncIterator[list[Node]]:
    """Nodes that renew their leases while this is entered."""
    running = [Node(Leases(log, clock, name)) for name in names]
    async with asyncio.TaskGroup() as tasks:
        keeping = [tasks.create_task(node.run()) for node in running]
        yield running
        for task in keeping:
            task.cancel()


async def test_the_worker_in_a_dead_ones_place_has_its_calls_at_once() -> None:
    """A worker is replaced within a second; until its leases have run out nobody would act for its callers."""
    clock = ManualClock()
    log = Log(clock)
    before, after, other = (Leases(log, clock, name) for name in ("worker-1", "worker-1", "worker-2"))
    await before.claim(SESSION)

    assert [False, True] == [await other.claim(SESSION), await after.claim(SESSION)]


async def test_alone_every_call_is_ours() -> None:
    """A log of one process has no other nodes, and no lease costs it a write."""
    log = MemoryCallLog()
    ours = Leases(log, ManualClock())
    claimed = await ours.claim(SESSION)
    await ours.keep(lambda _, __: None, lambda _: None)  # returns: there is nothing to renew
    await ours.follow(lambda _: None)

    assert claimed
    assert [] == await log.orphans(10)


async def test_a_call_whose_lease_ran_out_is_taken_by_recovery_alone() -> None:
    """An event for it may reach us before the scan finds it. A node that took it then would act on a timeline with holes,
    and no entry would tell that the call's node is gone."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "b") as (b,):
        await clock.advance(STEADY_MS)
        await log.claim(SESSION, "dead", -1)
        taken = await b.leases.claim(SESSION), await b.leases.claim_orphan(SESSION), await b.leases.claim(SESSION)

    assert (False, True, True) == taken


async def test_a_dead_nodes_call_is_an_orphan_to_the_others() -> None:
    """Once its lease has run out, and not before."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "a", "b") as (a, b):
        await clock.advance(STEADY_MS)
        await log.claim(SESSION, "dead", LEASE_MS)
        await clock.advance(LEASE_MS - 2_000)
        early = [*a.orphans, *b.orphans]
        await clock.advance(4_000)

    assert [] == early
    assert {SESSION} == set(a.orphans) == set(b.orphans)


@pytest.mark.parametrize("how", ["stopped", "frozen"])
@pytest.mark.parametrize("seconds", [5, 15, 60, 180])
async def test_an_outage_of_the_log_takes_no_call_from_a_living_node(how: str, seconds: int) -> None:
    """All leases have run out when the database is back. The node that asks first must not take the calls of those whose
    renewal comes a moment later: their callers are talking."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "a", "b") as (a, b):
        await a.leases.claim(SESSION)
        await b.leases.claim(SessionId("b's"))
        await clock.advance(2 * STEADY_MS + 300)
        log.away = how == "stopped"
        if how == "frozen":
            log.running.clear()
        await clock.advance(1_000.0 * seconds)
        log.away = False
        log.running.set()
        stolen = [await node.leases.claim_orphan(SESSION) for node in (b, Node(Leases(log, clock, "just started")))]
        await clock.advance(2_000.0)
        last = a.held[-1], b.held[-1]
        await clock.advance(60_000.0)

    assert [] == [*a.orphans, *b.orphans]
    assert [False, False] == stolen
    assert ({SESSION}, {"b's"}) == last == (a.held[-1], b.held[-1])


async def test_a_node_that_died_in_an_outage_is_noticed_after_it() -> None:
    """The wait for the others must end."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "b") as (b,):
        await log.claim(SESSION, "a", LEASE_MS)
        await clock.advance(STEADY_MS)
        log.away = True
        await clock.advance(60_000.0)
        log.away = False
        await clock.advance(STEADY_MS - 2_000)
        early = list(b.orphans)
        await clock.advance(4_000.0)

    assert ([], {SESSION}) == (early, set(b.orphans))


async def test_an_offered_call_is_found_at_once() -> None:
    """It rings. Its node has said that it will not take it, so there is no living node to wait for."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "a", "b") as (a, b):
        await a.leases.claim(SESSION)
        await a.leases.offer(SESSION)
        await clock.advance(1_500.0)
        found, claimed = list(b.orphans), await b.leases.claim(SESSION)

    assert ([SESSION], True) == (found, claimed)


class Frozen(ManualClock):
    """The clock of a process that is stopped and continued: it sleeps for longer than it asked."""

    frozen_ms = 0.0

    async def sleep_ms(self, duration_ms: float) -> None:
        late_ms, self.frozen_ms = self.frozen_ms, 0.0
        await super().sleep_ms(duration_ms + late_ms)


async def test_a_process_that_stood_still_takes_no_calls() -> None:
    """A laptop that slept, a virtual machine that was moved: others may have stood still with it."""
    clock = Frozen()
    log = Log(clock)
    async with nodes(log, clock, "b") as (b,):
        await clock.advance(STEADY_MS)
        await log.claim(SESSION, "a", LEASE_MS)
        clock.frozen_ms = 60_000.0
        await clock.advance(62_000.0)
        after = list(b.orphans), await b.leases.claim_orphan(SESSION)

    assert ([], False) == after


async def test_a_log_that_fails_loses_no_lease() -> None:
    """A database that restarts for a moment is no reason to hand all calls over."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "a") as (a,):
        await a.leases.claim(SESSION)
        log.away = True
        await clock.advance(leases.RENEW_EVERY_MS + 500)
        log.away = False
        await clock.advance(leases.SCAN_EVERY_MS)

    assert [{SESSION}] == a.held


async def test_a_fault_of_ours_ends_no_renewals() -> None:
    """15 s after the loop had died, every call of the node would be another's; one line in the log would be all."""
    clock = ManualClock()
    log = Log(clock)
    async with nodes(log, clock, "a") as (a,):
        await a.leases.claim(SESSION)
        log.breaks = True
        await clock.advance(leases.RENEW_EVERY_MS + 500)
        log.breaks = False
        await clock.advance(2 * leases.RENEW_EVERY_MS)

    assert {SESSION} == a.held[-1]


async def test_a_fault_of_ours_does_not_make_a_node_deaf() -> None:
    """Nobody would wake it for what others write; and it must look at everything that it may have missed."""
    clock = ManualClock()
    log = Log(clock)
    told: list[SessionId | None] = []
    answers: list[list[SessionId] | None] = [[SESSION], None, [SESSION]]

    async def watch(_clock: Clock) -> AsyncIterator[SessionId | None]:
        answer = answers.pop(0)
        for session in answer or []:
            yield session
        if answers:
            raise ValueError("a fault of ours")

    log.watch = watch  # type: ignore[method-assign,assignment]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Leases(log, clock).follow(told.append))
        await clock.advance(4 * leases.RENEW_EVERY_MS)

    assert [SESSION, None, None, SESSION] == told


async def test_a_release_on_its_way_leaves_a_later_claim_alone() -> None:
    """The call's actor ends, and the next webhook starts another one while the log still carries out the release."""
    clock = ManualClock()
    log = Log(clock)
    ours = Leases(log, clock, "a")
    await ours.claim(SESSION)
    log.running.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ours.release(SESSION))
        await asyncio.sleep(0)
        claim = tasks.create_task(ours.claim(SESSION))
        await asyncio.sleep(0)
        log.running.set()

    assert claim.result()
    assert {SESSION} == await log.renew("a", LEASE_MS)


async def test_a_release_that_fails_keeps_nobody_waiting() -> None:
    """The lease runs out by itself."""
    clock = ManualClock()
    log = Log(clock)
    ours = Leases(log, clock, "a")
    await ours.claim(SESSION)
    log.away = True
    await ours.release(SESSION)

    assert await ours.claim(SESSION)
