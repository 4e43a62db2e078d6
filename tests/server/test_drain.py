"""Stopping and full houses: calls that are there go on, new ones are refused politely, and it is said so."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from callpath.clock import ManualClock
from callpath.control import CommandReply
from callpath.errors import ControlError
from callpath.server import admission
from callpath.server.builtin import BUILTIN
from callpath.server.drain import GRACE_S, OFFER_GRACE_MS, DrainingServer, stop_warning
from callpath.server.pacer import Pacer
from callpath.simulator.simulator import Simulator
from callpath.store.sql import open_call_log
from callpath.timeline import (
    CallRejected,
    CommandSent,
    HandlerEnded,
    SocketRejected,
    StreamStarted,
    WebhookReceived,
    kind_of,
)
from callpath.wire.command import Command
from tests.serving import PATIENT_MS, WAIT_S_MAX, process, serving, upgraded

e2e = pytest.mark.e2e


# --- as a process ----------------------------------------------------------------------------------------------------


@e2e
async def test_a_deploy_cuts_no_call(tmp_path: Path) -> None:
    """SIGTERM in the middle of a call: it goes on, a new caller hears that the line is busy, and at its end we are gone."""
    async with Simulator() as telnyx, process(telnyx, tmp_path) as served:
        caller = await telnyx.call()
        await caller.heard_for(200, PATIENT_MS)
        served.send(signal.SIGTERM)
        await served.until_draining()
        other = await telnyx.call()
        await other.ended(PATIENT_MS)
        heard_ms = 20 * caller.stream.packets_played
        await caller.heard_for(heard_ms + 300, PATIENT_MS)
        await caller.hangup()
        code = await served.exit_code()
        async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
            refused = [entry.what for entry in await log.read(other.call.leg.call_session_id)]
            kept = [entry.what for entry in await log.read(caller.call.leg.call_session_id)]

    assert code == 0
    assert [what.command for what in refused if isinstance(what, CommandSent)] == ["reject"]
    assert CallRejected(reason="draining", detail="the server is stopping") in refused
    assert any(isinstance(what, WebhookReceived) and what.event_type == "call.hangup" for what in kept)
    assert "stream.missing" not in [kind_of(what) for what in kept]


@e2e
async def test_the_second_signal_stops_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice means it; what happened is stored all the same."""
    async with Simulator() as telnyx, process(telnyx, tmp_path) as served:
        caller = await telnyx.call()
        await caller.heard_for(100, PATIENT_MS)
        served.send(signal.SIGINT)
        await served.until_draining()
        served.send(signal.SIGINT)
        code = await served.exit_code()
        async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
            kinds = [kind_of(entry.what) for entry in await log.read(caller.call.leg.call_session_id)]

    assert code == 130
    assert "handler.ended" in kinds


@e2e
async def test_the_time_to_finish_has_an_end(tmp_path: Path) -> None:
    """A call that never ends must not keep the old version running beside the new one."""
    async with Simulator() as telnyx, process(telnyx, tmp_path, CALLPATH_DRAIN_SECONDS="1") as served:
        caller = await telnyx.call()
        await caller.heard_for(100, PATIENT_MS)
        served.send(signal.SIGTERM)

        assert await served.exit_code() == 0


@e2e
async def test_who_is_being_refused_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transfer that was chosen is on its way, and may be refused: stopped now, the caller would hear it ring for a
    minute, and never that the line is busy."""
    async with serving(BUILTIN["tone"](), tmp_path, refuse_with="transfer:+15555550123") as served:
        served.calls.capacity.draining = True
        send, may_go = served.context.control.send, asyncio.Event()
        sent: list[str] = []

        async def slow(command: Command, *given: Any, **named: Any) -> CommandReply:
            sent.append(command.NAME)
            await may_go.wait()
            if command.NAME == "transfer":
                raise ControlError("This call was not answered", command="transfer", status=422)
            return await send(command, *given, **named)

        monkeypatch.setattr(served.context.control, "send", slow)
        caller = await served.telnyx.call()
        async with asyncio.timeout(WAIT_S_MAX):
            while not sent:
                await asyncio.sleep(0.01)
        busy = served.calls.busy()
        may_go.set()
        await caller.ended(PATIENT_MS)
        await served.until(caller.call.leg.call_session_id, lambda what: isinstance(what, WebhookReceived), times=2)
        async with asyncio.timeout(WAIT_S_MAX):
            while served.calls.busy():
                await asyncio.sleep(0.01)

    assert 1 == len(busy)
    assert ["transfer", "reject"] == sent


async def test_calls_that_go_to_other_nodes_hold_up_no_stop_for_long() -> None:
    """Those that ring when the last call here is over are taken or refused within seconds; while new ones come, there would
    always be some."""
    clock = ManualClock()
    offered = 1
    calls: Any = SimpleNamespace(
        busy=list,
        offered=lambda: offered,
        context=SimpleNamespace(uploads=None),
        upgrades=0,
        capacity=SimpleNamespace(draining=False),
        is_running=True,
    )
    config = uvicorn.Config(lambda: None, log_config=None)
    server, patient = (DrainingServer(config, lambda: calls, clock=clock, drain_s=30) for _ in range(2))
    waits = [server._has_drained(), patient._has_drained()]
    await clock.advance(OFFER_GRACE_MS - 1)
    waits.append(patient._has_drained())
    await clock.advance(1)
    done = patient._has_drained()
    offered = 0

    assert [False, False, False] == waits
    assert done
    assert server._has_drained()


async def test_a_server_that_can_serve_no_calls_any_more_exits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The platform starts a process anew that ends, and not one that answers all webhooks with 503."""
    fails = asyncio.Event()

    async def run(_pacer: Pacer) -> None:
        await fails.wait()
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(Pacer, "run", run)
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        config = uvicorn.Config(lambda: None, log_config=None)
        server = DrainingServer(config, lambda: served.calls, clock=ManualClock(), drain_s=30)
        before = await server.on_tick(1)
        fails.set()
        async with asyncio.timeout(WAIT_S_MAX):
            while not await server.on_tick(1):
                await asyncio.sleep(0.01)

    assert (False, 1) == (before, server.exit_code)


@e2e
async def test_an_upgrade_that_is_being_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds up the stop. Where that has to go on all the same, it is answered so that a balancer asks another node."""
    asked = asyncio.Event()
    async with asyncio.TaskGroup() as tasks, serving(BUILTIN["tone"](), tmp_path) as served:

        async def admit(*_: Any, **__: Any) -> None:
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("callpath.server.media.admit", admit)
        upgrade = tasks.create_task(upgraded(served, "one"))
        await asked.wait()
        under_way = served.calls.upgrades

    assert 1 == under_way
    assert 503 == upgrade.result()
    assert 0 == served.calls.upgrades


# --- no room ---------------------------------------------------------------------------------------------------------


@e2e
async def test_a_full_house_takes_no_more_calls(tmp_path: Path) -> None:
    """One call too many makes all of them stutter."""
    async with serving(BUILTIN["tone"](), tmp_path, calls_max=1) as served:
        first = await served.telnyx.call()
        await first.stream_started(PATIENT_MS)
        second = await served.telnyx.call()
        await second.ended(PATIENT_MS)
        entries = await served.until(
            second.call.leg.call_session_id, lambda what: isinstance(what, WebhookReceived), times=2
        )
        await first.hangup()
        await served.until_kind(first.call.leg.call_session_id, HandlerEnded)
        third = await served.telnyx.call()
        await third.stream_started(PATIENT_MS)
        metrics = served.context.metrics.text().decode()

    assert [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)] == ["reject"]
    assert [entry.what.reason for entry in entries if isinstance(entry.what, CallRejected)] == ["full"]
    assert 'callpath_refused_total{reason="full",what="call"} 1.0' in metrics


@e2e
async def test_an_answered_call_has_its_socket_though_the_house_is_full(tmp_path: Path) -> None:
    """The kernel deals sockets to workers by chance: the caller of an answered call would be on a silent line."""
    async with serving(BUILTIN["tone"](), tmp_path, no_socket_then="nothing") as served:
        first = await served.telnyx.call()
        second = await served.telnyx.call(faults=["connects_late=400"])
        await first.stream_started(PATIENT_MS)
        session = second.call.leg.call_session_id
        await served.until(session, lambda what: isinstance(what, CommandSent), times=2)
        served.context.calls_max = 1
        entries = await served.until_kind(session, StreamStarted)

    assert not any(isinstance(entry.what, SocketRejected) for entry in entries)


@e2e
async def test_sockets_have_a_hard_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer that sends everything to one worker: 503 before 101, and nothing is carried."""
    monkeypatch.setattr(admission, "SOCKETS_EXTRA", -1)
    async with serving(BUILTIN["tone"](), tmp_path, no_socket_then="nothing") as served:
        first = await served.telnyx.call()
        second = await served.telnyx.call(faults=["connects_late=400"])
        await first.stream_started(PATIENT_MS)
        session = second.call.leg.call_session_id
        await served.until(session, lambda what: isinstance(what, CommandSent), times=2)
        served.context.calls_max = 1
        entries = await served.until_kind(session, SocketRejected)

    (refused,) = (entry.what for entry in entries if isinstance(entry.what, SocketRejected))
    assert (refused.status, refused.reason) == (503, "full")
    assert refused.detail.startswith("1 audio sockets are open already")
    assert not any(isinstance(entry.what, StreamStarted) for entry in entries)


@e2e
async def test_a_late_loop_takes_no_more_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something blocks it; each further call would make it worse for those that are there."""
    async with serving(BUILTIN["tone"](), tmp_path, loop_lag_ms_max=500) as served:
        monkeypatch.setattr(served.context.pacer, "lag_ms_lately", lambda _: 501.0)
        caller = await served.telnyx.call()
        await caller.ended(PATIENT_MS)
        entries = await served.until_kind(caller.call.leg.call_session_id, CallRejected)

    assert [entry.what.reason for entry in entries if isinstance(entry.what, CallRejected)] == ["late"]


# --- platforms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"RAILWAY_ENVIRONMENT_ID": "e"}, "Railway kills 0 s .* RAILWAY_DEPLOYMENT_DRAINING_SECONDS=30"),
        ({"RAILWAY_ENVIRONMENT_ID": "e", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "10"}, "Railway kills 10 s"),
        ({"FLY_APP_NAME": "a"}, r"Fly.io kills, unless told otherwise, 5 s .* kill_timeout = 30"),
        ({"K_SERVICE": "a"}, "Cloud Run kills.* 10 s .* cannot be set"),
    ],
)
def test_a_platform_that_kills_too_soon_is_named(environment: dict[str, str], says: str) -> None:
    """At start, where it can be mended; not by the first caller who is cut off."""
    warning = stop_warning(environment, 25)

    assert warning is not None
    assert re.match(says, warning), warning


@pytest.mark.parametrize(
    ("environment", "drain_s"),
    [
        ({}, 25),
        ({"RAILWAY_ENVIRONMENT_ID": "e", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "30"}, 25),
        ({"RAILWAY_ENVIRONMENT_ID": "e"}, 0),
        ({"RENDER": "true"}, 30 - GRACE_S),
    ],
)
def test_a_platform_that_waits_is_not_named(environment: dict[str, str], drain_s: int) -> None:
    """A warning that is always there is read by nobody."""
    assert stop_warning(environment, drain_s) is None
