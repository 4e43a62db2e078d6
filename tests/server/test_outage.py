"""The database is away while people talk: nobody is cut off, and nobody is greeted twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.audio.tone import tone
from callpath.server import leases
from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.timeline import CallRecovered, HandlerStarted, SocketClosed, StreamMissing, WebhookReceived, What
from tests import postgres
from tests.serving import WAIT_S_MAX, Served, serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(postgres.programs() is None, reason="no Postgres on this machine"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the server's processes in /proc"),
]

LEASE_MS, RENEW_MS, SCAN_MS, SLOW_MS = 3_000, 500.0, 100.0, 500.0
"""A fifth of the real ones."""

CALLS = 4


def endless() -> App:
    """The caller hears a tone for as long as the call lasts."""
    app = App()

    @app.call
    async def play(call: Call) -> None:
        second = tone(440, duration_ms=1_000, sample_rate_hz=call.sample_rate_hz)
        while True:
            await call.play(second)

    return app


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    with postgres.controlled() as server:
        yield server


@pytest.mark.parametrize("how", ["stopped", "frozen"])
async def test_an_outage_of_the_database_ends_no_call(
    how: str, server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Webhooks come to one node and audio to the other, as behind a balancer. The outage lasts for longer than a lease, and
    afterwards the node without audio looks for calls that nobody has."""
    for name, value in {"LEASE_MS": LEASE_MS, "RENEW_EVERY_MS": RENEW_MS, "SCAN_EVERY_MS": SCAN_MS, "STEADY_MS": LEASE_MS,
                        "SLOW_MS": SLOW_MS}.items():  # fmt: skip
        monkeypatch.setattr(leases, name, value)
    database = postgres.new_database(server.url)
    options = CarrierOptions(webhook_retry_ms=(1_000, 2_000, 4_000, 8_000, 8_000))
    async with (
        Simulator(options=options) as telnyx,
        serving(endless(), tmp_path / "audio", telnyx=telnyx, database_url=database) as audio,
        serving(endless(), tmp_path / "hooks", telnyx=telnyx, database_url=database, public_url=audio.url) as hooks,
    ):
        callers = [await telnyx.call() for _ in range(CALLS)]
        for caller in callers:
            await caller.heard_for(200)
        for caller in callers:  # the node of the socket holds the lease
            await audio.until_kind(caller.call.leg.call_session_id, HandlerStarted)
        await _until(lambda: hooks.calls.context.leases.may_steal)
        await asyncio.to_thread(server.stop if how == "stopped" else server.freeze)
        for caller in callers:
            await caller.press("1")  # an event for each, in the middle of the outage
        await asyncio.sleep(1.5 * LEASE_MS / 1000)
        await asyncio.to_thread(server.start if how == "stopped" else server.thaw)
        await _until(lambda: not hooks.calls.context.leases.may_steal)
        await _until(lambda: hooks.calls.context.leases.may_steal)  # from here on it would steal
        await asyncio.sleep(2 * SCAN_MS / 1000)
        for caller in callers:
            await caller.heard_for(20.0 * caller.stream.packets_played + 200)
        commands = [[command.name for command in caller.commands] for caller in callers]
        streams = [len(caller.call.streams) for caller in callers]
        for caller in callers:
            await caller.hangup()
            await caller.ended()
        timelines = [await _to_the_end(hooks, caller) for caller in callers]

    assert [["answer", "streaming_start"]] * CALLS == commands
    assert [1] * CALLS == streams
    for caller, whats in zip(callers, timelines, strict=True):
        assert 1 == sum(isinstance(what, HandlerStarted) for what in whats)
        assert not any(isinstance(what, (CallRecovered, StreamMissing)) for what in whats)
        assert not any(isinstance(what, SocketClosed) and what.by == "us" and what.code != 1000 for what in whats)
        stored = {what.event_id for what in whats if isinstance(what, WebhookReceived)}
        assert {seen.webhook.id for seen in caller.webhooks} == stored
    answers = {
        attempt.http.response.status
        for delivery in telnyx.deliveries()
        for attempt in delivery.attempts or ()
        if attempt.http is not None and attempt.http.response is not None
    }
    assert {200, 503} == answers


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S_MAX):
        while not happened():
            await asyncio.sleep(0.02)


async def _to_the_end(served: Served, caller: Caller) -> list[What]:
    """The whole timeline, once each event that Telnyx has sent is in it."""
    session = caller.call.leg.call_session_id
    async with asyncio.timeout(WAIT_S_MAX):
        while True:
            whats = [entry.what for entry in await served.timeline(session)]
            stored = {what.event_id for what in whats if isinstance(what, WebhookReceived)}
            if {seen.webhook.id for seen in caller.webhooks} <= stored:
                return whats
            await asyncio.sleep(0.05)
