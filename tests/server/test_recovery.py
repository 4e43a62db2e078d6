"""After a start: commands whose answers nobody heard, events that came while nobody listened, calls that are still up."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from callpath.audio.wav import HEADER_BYTES
from callpath.call import watchdog
from callpath.call.overview import CallOverview
from callpath.cli.dashboard import phone_server
from callpath.clock import ManualClock, SystemClock
from callpath.config import Settings
from callpath.control import CommandReply
from callpath.errors import StoreError
from callpath.server import recovery
from callpath.server.builtin import BUILTIN
from callpath.server.calls import Calls
from callpath.server.leases import STEADY_MS
from callpath.server.recovery import Recovery, recover_call
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallQuery
from callpath.store.sql import open_call_log
from callpath.timeline import (
    CallChecked,
    CallRecovered,
    CallStuck,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    Entry,
    HandlerStarted,
    Noted,
    PolicyActed,
    StreamStarted,
    WebhookReceived,
    What,
    kind_of,
)
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.webhook import Webhook
from tests.server.manual import SESSION, Node, event, one_node, two_nodes
from tests.serving import WAIT_S_MAX, process, serving
from tests.telnyx import sample

e2e = pytest.mark.e2e

SECRET = "same-before-and-after"
DEAF = CarrierOptions(webhook_retry_ms=())
"""Telnyx delivers each event once: what comes while no server is there is lost."""


@e2e
async def test_events_that_were_missed_are_fetched(tmp_path: Path) -> None:
    """The caller hung up while we were down for longer than Telnyx repeats: the call must not stay open for ever."""
    async with Simulator(options=DEAF) as telnyx:
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET):
            caller = await telnyx.call()
            await caller.heard_for(100)
            session = caller.call.leg.call_session_id
        await caller.hangup()
        await caller.ended()
        await caller.until(lambda: any(seen.event_type == "call.hangup" for seen in caller.webhooks), 5_000)
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET) as after:
            entries = await after.until(session, lambda what: isinstance(what, WebhookReceived) and what.fetched)
            await after.until(session, lambda what: _is_event(what, "call.hangup"))
            entries = await after.timeline(session)

    events = [entry.what.event_id for entry in entries if isinstance(entry.what, WebhookReceived)]
    fetched = [
        entry.what.event_type for entry in entries if isinstance(entry.what, WebhookReceived) and entry.what.fetched
    ]
    assert "call.hangup" in fetched
    assert "call.answered" not in fetched  # it had been delivered
    assert len(events) == len(set(events))
    assert "call.recovered" not in [kind_of(entry.what) for entry in entries]


@e2e
async def test_a_call_that_is_still_up_goes_on(tmp_path: Path) -> None:
    """A deploy in the middle of a call: the caller waits some seconds and is spoken to again, by a new handler. What was
    recorded before is not written over."""
    kept: dict[str, Any] = {"secret": SECRET, "record": True}
    async with Simulator(options=DEAF) as telnyx:
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, **kept):
            caller = await telnyx.call()
            await caller.heard_for(100)
            session = caller.call.leg.call_session_id
        first = tmp_path / "recordings" / f"{session}.wav"
        before = first.read_bytes()
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, socket_within_ms=200, **kept) as after:
            await after.until_kind(session, StreamStarted, times=2)
            await after.until_kind(session, HandlerStarted, times=2)
            entries = await after.timeline(session)

    (taken,) = (entry.what for entry in entries if isinstance(entry.what, CallRecovered))
    (checked,) = (entry.what for entry in entries if isinstance(entry.what, CallChecked))
    asked = [entry.what.command_id for entry in entries if isinstance(entry.what, CommandSent)]
    assert (checked.alive, taken.detail) == (True, "")
    assert len(before) > HEADER_BYTES
    assert before == first.read_bytes()
    assert 2 == len(list(first.parent.glob(f"{session}*.wav")))
    assert len(asked) == len(set(asked)) == 3  # answer, streaming_start, and that again as a new command


@e2e
async def test_a_long_call_is_found_behind_many_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two thousand newer calls all may be over, while somebody has been talking for an hour."""
    monkeypatch.setattr(recovery, "LIVE_MAX", 1)
    async with Simulator(options=DEAF) as telnyx:
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET) as before:
            caller, short = await telnyx.call(), await telnyx.call()
            await caller.heard_for(100)
            await short.stream_started()
            await short.hangup()
            await short.ended()
            await before.until(short.call.leg.call_session_id, lambda what: _is_event(what, "call.hangup"))
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET) as after:
            entries = await after.until_kind(caller.call.leg.call_session_id, CallRecovered)

    assert 1 == sum(isinstance(entry.what, CallRecovered) for entry in entries)


@e2e
async def test_a_process_that_is_killed_in_the_middle_of_a_call(tmp_path: Path) -> None:
    """kill -9: nothing is said goodbye to, and the caller is spoken to again by the next process."""
    async with Simulator() as telnyx:
        async with process(telnyx, tmp_path) as before:
            caller = await telnyx.call()
            await caller.heard_for(200)
            before.send(signal.SIGKILL)
            assert await before.exit_code() == -signal.SIGKILL
        async with process(telnyx, tmp_path, port=before.port) as after:
            await caller.until(lambda: len(caller.call.streams) == 2 and caller.call.streams[1].opened, 15_000)
            await caller.heard_for(600)
            await caller.hangup()
            await caller.ended()
            after.send(signal.SIGTERM)
            assert await after.exit_code() == 0
        async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
            kinds = [kind_of(entry.what) for entry in await log.read(caller.call.leg.call_session_id)]

    assert kinds.count("handler.started") == 2
    assert kinds.count("handler.ended") == 1
    assert kinds.index("call.recovered") > kinds.index("handler.started")


@e2e
async def test_a_call_that_is_still_up_is_hung_up_where_that_is_wanted(tmp_path: Path) -> None:
    """A handler that cannot begin again in the middle."""
    async with Simulator(options=DEAF) as telnyx:
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET):
            caller = await telnyx.call()
            await caller.heard_for(100)
            session = caller.call.leg.call_session_id
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET, after_restart="hangup") as after:
            entries = await after.until(session, lambda what: _is_event(what, "call.hangup"))

    assert [entry.what.policy for entry in entries if isinstance(entry.what, PolicyActed)] == ["restart"]


@e2e
async def test_a_command_without_an_answer_goes_out_again_as_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died between writing the command down and hearing Telnyx's answer. Whether it was carried out nobody
    knows; with the same command_id that does not matter."""
    async with Simulator() as telnyx:
        async with serving(BUILTIN["echo"](), tmp_path, telnyx=telnyx, secret=SECRET) as before:
            never = asyncio.Event()

            async def dies(*_: Any, **__: Any) -> CommandReply:
                await never.wait()
                raise AssertionError

            monkeypatch.setattr(before.context.control, "send", dies)
            caller = await telnyx.call()
            session = caller.call.leg.call_session_id
            await before.until_kind(session, CommandSent)
        async with serving(BUILTIN["echo"](), tmp_path, telnyx=telnyx, secret=SECRET) as after:
            await caller.stream_started()
            entries = await after.until_kind(session, StreamStarted)

    answers = [seen.document["command_id"] for seen in caller.commands if seen.name == "answer"]
    sent = [entry.what.command_id for entry in entries if isinstance(entry.what, CommandSent)]
    (again,) = (entry.what for entry in entries if isinstance(entry.what, CommandRetried))
    assert answers == [sent[0]] == [again.command_id]


@e2e
async def test_after_telnyxs_minute_a_command_is_not_sent_again(tmp_path: Path) -> None:
    """It would be carried out twice. That nobody knows its fate is written down, and the call is asked about."""
    async with Simulator("http://127.0.0.1:9/nobody", options=DEAF) as telnyx:
        leg = (await telnyx.call()).call.leg
        document = sample("webhooks/call.initiated.inbound.json")
        document["data"]["payload"] |= {
            "call_session_id": leg.call_session_id,
            "call_leg_id": leg.call_leg_id,
            "call_control_id": leg.call_control_id,
        }
        received = WebhookReceived(event_type="call.initiated", event_id="e1", body=document)
        sent = CommandSent(command="answer", command_id="c1", body={"command_id": "c1"})
        async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
            for what in (received, sent):
                long_ago = SystemClock().now_unix_ms() - 90_000
                await log.append(Entry(session=leg.call_session_id, at_unix_ms=long_ago, what=what))
        async with serving(BUILTIN["echo"](), tmp_path, telnyx=telnyx) as served:
            entries = await served.until_kind(leg.call_session_id, CommandAnswered)

    (answered,) = (entry.what for entry in entries if isinstance(entry.what, CommandAnswered))
    (checked,) = (entry.what for entry in entries if isinstance(entry.what, CallChecked))
    assert (answered.status, answered.command_id, checked.alive) == (None, "c1", True)
    assert "s have passed" in (answered.error_detail or "")
    assert "command.retried" not in [kind_of(entry.what) for entry in entries]


@e2e
@pytest.mark.parametrize("then", ["stays", "hangs up"])
async def test_webhooks_that_were_lost_in_mid_call_are_fetched(
    then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No process died; a disk was full for a minute, or a proxy answered 502. The caller would hear silence until he
    gave up, and the call would stand in the list as live for ever."""
    lost = {"call.answered", "call.hangup"}
    monkeypatch.setattr(watchdog, "NO_EVENTS_MS_MIN", 400)
    async with (
        Simulator(options=DEAF) as telnyx,
        serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, no_handler_ms=400) as served,
    ):
        receive = served.calls.receive_webhook

        async def loses(webhook: Webhook, body: Any) -> bool:
            if webhook.event_type in lost:
                raise StoreError("the disk is full")
            return await receive(webhook, body)

        monkeypatch.setattr(served.calls, "receive_webhook", loses)
        caller = await telnyx.call()
        session = caller.call.leg.call_session_id
        await caller.answered()
        if then == "hangs up":
            await caller.hang_up()
        else:
            await caller.heard_for(100)
            await caller.hang_up()
            lost.clear()
        entries = await served.until(session, lambda what: _is_event(what, "call.hangup") or _is_over(what))
        async with asyncio.timeout(20):
            while session in served.calls.live:
                await asyncio.sleep(0.01)
        (overview,) = await served.context.log.overviews(CallQuery())

    stuck = [entry.what.reason for entry in entries if isinstance(entry.what, CallStuck)]
    assert "no_events" == stuck[0]
    assert "live" != overview.outcome
    if then == "stays":
        assert "call.answered" in [
            entry.what.event_type for entry in entries if isinstance(entry.what, WebhookReceived) and entry.what.fetched
        ]


class AtOnce:
    """In the place of `recover_call`: how many calls are recovered at a time, and how often each."""

    def __init__(self) -> None:
        self.started = Counter[SessionId]()
        self.running = self.most = 0
        self.may_end = asyncio.Event()
        self.failing: dict[SessionId, Exception] = {}

    async def __call__(self, _calls: object, session: SessionId, _then: str) -> None:
        self.started[session] += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await self.may_end.wait()
        self.running -= 1
        if error := self.failing.pop(session, None):
            raise error


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> AtOnce:
    instead = AtOnce()
    monkeypatch.setattr(recovery, "recover_call", instead)
    return instead


@asynccontextmanager
async def recovering(clock: ManualClock, log: MemoryCallLog) -> AsyncIterator[Recovery]:
    context: Any = SimpleNamespace(clock=clock, log=log)
    recovery = Recovery(context, "resume")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(recovery.run(cast(Calls, None)))
        yield recovery
        running.cancel()


async def test_the_calls_of_a_dead_node_are_recovered_a_few_at_a_time(at_once: AtOnce) -> None:
    """500 at once would fill the connections to Telnyx and its rate limit, just when new calls need an answer. Every scan
    names them all again."""
    clock = ManualClock()
    log = MemoryCallLog(clock)
    webhook = WebhookReceived(
        event_type="call.initiated", event_id="e", body=sample("webhooks/call.initiated.inbound.json")
    )
    for number in range(100):
        at = clock.now_unix_ms() - 1_000
        await log.append(Entry(session=SessionId(f"from before {number}"), at_unix_ms=at, what=webhook))
    async with recovering(clock, log) as calls:
        for _ in range(5):
            for number in range(400):
                calls.add(SessionId(f"orphan {number}"))
            await clock.advance(1_000)
        first = at_once.most, len(at_once.started)
        at_once.may_end.set()
        async with asyncio.timeout(WAIT_S_MAX):
            while len(at_once.started) < 500 or at_once.running:
                await asyncio.sleep(0)

    assert (4, 4) == first
    assert (4, {1}) == (at_once.most, set(at_once.started.values()))


@pytest.mark.parametrize(("error", "times"), [(StoreError("away"), 2), (ValueError("a fault of ours"), 1)])
async def test_a_call_that_cannot_be_recovered_keeps_no_other_waiting(
    error: Exception, times: int, at_once: AtOnce
) -> None:
    """The lease may be ours already, so that no other node would try: while the log is away, it is tried again."""
    clock = ManualClock()
    broken, other = SessionId("broken"), SessionId("other")
    at_once.failing[broken] = error
    at_once.may_end.set()
    async with recovering(clock, MemoryCallLog(clock)) as calls:
        calls.add(broken)
        await clock.advance(3 * recovery.RETRY_MS)
        calls.add(other)
        await clock.advance(1_000)

    assert {broken: times, other: 1} == at_once.started


async def test_a_log_that_is_away_at_the_start_is_asked_again(at_once: AtOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database fails over just when the server is deployed: its calls would be left to nobody."""
    clock = ManualClock()
    log = MemoryCallLog(clock)
    webhook = WebhookReceived(
        event_type="call.initiated", event_id="e", body=sample("webhooks/call.initiated.inbound.json")
    )
    await log.append(Entry(session=SessionId("up"), at_unix_ms=clock.now_unix_ms() - 1_000, what=webhook))
    overviews, away = log.overviews, [True, True, False]

    async def flaky(query: CallQuery) -> list[CallOverview]:
        if away.pop(0):
            raise StoreError("away")
        return await overviews(query)

    monkeypatch.setattr(log, "overviews", flaky)
    async with recovering(clock, log):
        await clock.advance(3 * recovery.RETRY_MS)

    assert {"up": 1} == at_once.started


def _is_over(what: What) -> bool:
    return isinstance(what, CallChecked) and what.alive is False


@e2e
async def test_a_start_without_calls_asks_nothing(tmp_path: Path) -> None:
    """An empty log, and one whose calls have all ended."""
    async with Simulator() as telnyx:
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET) as before:
            caller = await telnyx.call()
            await caller.heard_for(100)
            await caller.hangup()
            session = caller.call.leg.call_session_id
            await before.until(session, lambda what: _is_event(what, "call.hangup"))
            ended = await before.timeline(session)
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, secret=SECRET) as after:
            other = await telnyx.call()
            await other.stream_started()
            entries = await after.timeline(session)

    assert not any(isinstance(entry.what, CallChecked | CallRecovered) for entry in entries)
    assert len(entries) >= len(ended)


def _is_event(what: Any, event_type: str) -> bool:
    return isinstance(what, WebhookReceived) and what.event_type == event_type


@e2e
async def test_the_browser_phone_takes_no_real_call_for_its_own(tmp_path: Path) -> None:
    """Its server shares the call log, and asks a simulator that knows of no other call: "not found" would be the end of
    everybody who is on the line."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.heard_for(100)
        settings = Settings(public_url="https://calls.example.com", data_dir=tmp_path)
        async with Simulator() as stand_in, phone_server(BUILTIN["tone"](), settings)(stand_in, "PCMU") as webhook_url:
            stand_in.webhook_url = webhook_url
            phone = await stand_in.call()
            await phone.heard_for(300)
            await phone.hangup()
            await phone.ended()
        await caller.heard_for(20 * caller.stream.packets_played + 100)
        entries = await served.timeline(caller.call.leg.call_session_id)
        await caller.hangup()

    assert [] == [entry.what for entry in entries if isinstance(entry.what, CallChecked)]


# --- one call, on a manual clock -------------------------------------------------------------------------------------


async def before(node: Node, *whats: What | str, ago_ms: int = 60_000) -> None:
    """The timeline that the dead process left: events by their names, and other entries."""
    for number, what in enumerate(whats):
        if isinstance(what, str):
            document = event(what, event_id=f"before-{number}", direction="incoming", state="parked")
            what = WebhookReceived(event_type=what, event_id=f"before-{number}", body=document)
        at = node.clock.now_unix_ms() - ago_ms + number
        await node.log.append(Entry(session=SESSION, at_unix_ms=at, what=what, key=f"before-{number}"))


ANSWER = (
    CommandSent(command="answer", command_id="c1", call_control_id=CallControlId("v3:leg-1")),
    CommandAnswered(command="answer", command_id="c1", call_control_id=CallControlId("v3:leg-1"), status=200),
)
UP = ("call.initiated", *ANSWER, "call.answered")


@pytest.mark.parametrize(("alive", "recovered"), [(True, True), (None, True), (False, False)])
async def test_a_call_goes_on_unless_telnyx_says_that_it_is_over(alive: bool | None, recovered: bool) -> None:
    """Where Telnyx does not say, the caller may be on the line."""
    async with one_node() as node:
        node.telnyx.alive = alive
        await before(node, *UP)
        await recover_call(node.calls, SESSION, "resume")
        await node.clock.advance(0)
        entries = await node.log.read(SESSION)
        ours = [entry for entry in entries if isinstance(entry.what, (CallChecked, CallRecovered))]

        assert ["v3:leg-1"] == node.telnyx.asked
        assert [alive] == [what.alive for what in node.log.whats(CallChecked)]
        assert [CallRecovered(fetched=0, detail="")] * recovered == node.log.whats(CallRecovered)
        assert {("leg-1", "v3:leg-1")} == {(entry.leg, entry.call_control_id) for entry in ours}
        assert ["streaming_start"] * recovered == node.telnyx.sent
        assert [] == node.log.whats(PolicyActed)


async def test_what_was_missed_is_counted_and_what_is_of_another_call_is_not() -> None:
    """Whoever reads the timeline sees why an event of a minute ago stands behind the crash."""
    async with one_node() as node:
        await before(node, "call.initiated", *ANSWER)
        node.telnyx.missed += [
            event("call.answered", event_id="m1"),
            event("call.speak.started", event_id="m2"),
            event("call.speak.started", event_id="other", session="other"),
        ]
        await recover_call(node.calls, SESSION, "resume")
        await recover_call(node.calls, SESSION, "resume")

        assert [2, 0] == [what.fetched for what in node.log.whats(CallRecovered)]
        assert [] == await node.log.read(SessionId("other"))


async def test_a_call_whose_end_was_missed_is_not_asked_about() -> None:
    """It is over: a call.recovered would tell of a call that nobody recovered."""
    async with one_node() as node:
        await before(node, *UP)
        node.telnyx.missed.append(event("call.hangup", event_id="m1", hangup_cause="normal_clearing"))
        await recover_call(node.calls, SESSION, "resume")
        await node.clock.advance(0)

        assert [] == node.telnyx.asked
        assert [] == node.log.whats(CallRecovered)
        assert SESSION not in node.calls.live


async def test_a_list_of_events_that_cannot_be_had_is_said_and_stops_nothing() -> None:
    """The caller waits, and Telnyx's API has an outage of its own."""
    async with one_node() as node:
        node.telnyx.lists_events = False
        await before(node, *UP)
        await recover_call(node.calls, SESSION, "resume")

        assert [
            CallRecovered(fetched=0, detail="events that were missed could not be fetched: refused by the test")
        ] == node.log.whats(CallRecovered)


async def test_each_restart_hangs_up_with_a_command_of_its_own() -> None:
    """The second would be taken for the first, and the call would stay up."""
    async with one_node() as node:
        await before(node, *UP)
        node.telnyx.refuses.add("hangup")
        for _ in range(2):
            await recover_call(node.calls, SESSION, "hangup")
            await node.clock.advance(0)

        assert [("restart", 1, "hangup"), ("restart", 2, "hangup")] == [
            (what.policy, what.number, what.step) for what in node.log.whats(PolicyActed)
        ]
        ids = [what.command_id for what in node.log.whats(CommandSent) if what.command == "hangup"]
        assert len(ids) == len(set(ids)) >= 2


@pytest.mark.parametrize("then", ["resume", "hangup"])
async def test_a_call_that_only_rang_is_answered(then: Any) -> None:
    """Nobody has spoken to the caller: there is nothing to begin again in the middle of."""
    async with one_node() as node:
        await before(node, "call.initiated", ago_ms=1_000)
        await recover_call(node.calls, SESSION, then)
        await node.clock.advance(0)

        assert [CallRecovered(detail="it only rang, and no node had taken it")] == node.log.whats(CallRecovered)
        assert [] == node.log.whats(PolicyActed)
        assert ["answer"] == node.telnyx.sent


@pytest.mark.parametrize(("served", "recovered"), [(True, True), (False, False)])
async def test_a_full_node_recovers_no_call_that_only_rings(served: bool, recovered: bool) -> None:
    """It would reject what another node has room for. A call that was answered has no other place to go."""
    async with two_nodes(calls_max=1) as (node, _):
        await node.webhook("call.initiated", session="other", leg="other", direction="incoming", state="parked")
        await before(node, *(UP if served else ("call.initiated",)))
        await recover_call(node.calls, SESSION, "resume")

        assert recovered == bool(node.log.whats(CallRecovered)) == (node.log.holder() == "a")


async def test_a_full_server_of_one_process_recovers_all_of_its_calls() -> None:
    """There is no other."""
    async with one_node(calls_max=1) as node:
        await node.webhook("call.initiated", session="other", leg="other", direction="incoming", state="parked")
        await before(node, "call.initiated")
        await recover_call(node.calls, SESSION, "resume")

        assert 1 == len(node.log.whats(CallRecovered))


async def test_a_living_node_s_call_is_left_to_it() -> None:
    """Its lease has not run out. Once it has, this node has the call, and acts at once."""
    async with two_nodes() as (a, _):
        await before(a, *UP)
        await a.log.claim(SESSION, "dead", 20_000)
        await a.clock.advance(STEADY_MS)
        await recover_call(a.calls, SESSION, "resume")
        early = a.log.whats(CallRecovered), list(a.telnyx.asked)
        await a.webhook("call.speak.started")  # heard of, and another's: not to be claimed for a while
        await a.clock.advance(6_000)
        await recover_call(a.calls, SESSION, "resume")
        await a.clock.advance(0)

        assert ([], []) == early
        assert 1 == len(a.log.whats(CallRecovered))
        assert (True, "a") == (a.call.acts, a.log.holder())


@pytest.mark.parametrize(
    ("whats", "ago_ms", "found"),
    [
        (UP, 60_000, True),
        (UP, 4 * 3_600_000 + 2, True),  # its last event is 3 ms newer than its first
        (UP, 4 * 3_600_000 + 3, False),
        (("call.initiated",), 60_000, True),
        ((*UP, "call.hangup"), 60_000, False),
        ((Noted(text="of no call"),), 60_000, False),
        (UP, 0, False),
    ],
)
async def test_which_calls_a_start_recovers(whats: tuple[Any, ...], ago_ms: int, found: bool, at_once: AtOnce) -> None:
    """Those that were up before it began, and are not over; Telnyx lets none last for longer than four hours."""
    async with one_node() as node:
        await before(node, *whats, ago_ms=ago_ms)
        with capture_logs() as logs:
            async with recovering(node.clock, node.log):
                await node.clock.advance(1)

    assert ([SESSION] if found else []) == list(at_once.started)
    assert ["1 calls in the log are not over: those without a process are recovered"] * found == [
        line["event"] for line in logs
    ]


async def test_calls_that_wait_are_bounded(at_once: AtOnce, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of a hundred thousand open calls fills no memory: what does not fit is found by the next scan."""
    monkeypatch.setattr(recovery, "WAITING_MAX", 10)
    clock = ManualClock()
    at_once.may_end.set()
    async with recovering(clock, MemoryCallLog(clock)) as calls:
        for _ in range(2):
            for number in range(30):
                calls.add(SessionId(f"call-{number}"))
            await clock.advance(1)

    assert {SessionId(f"call-{number}"): 2 for number in range(10)} == at_once.started


async def test_a_call_is_recovered_again_where_its_node_dies_again(at_once: AtOnce) -> None:
    """It was recovered once, and that is no reason never to do it again."""
    clock = ManualClock()
    at_once.may_end.set()
    async with recovering(clock, MemoryCallLog(clock)) as calls:
        for _ in range(2):
            calls.add(SESSION)
            await clock.advance(1)

    assert {SESSION: 2} == at_once.started


@pytest.mark.parametrize(("error", "pause_ms"), [(StoreError("away"), 2_000), (ValueError("a fault of ours"), None)])
async def test_a_call_that_could_not_be_recovered_is_tried_again_after_a_pause(
    error: Exception, pause_ms: int | None, at_once: AtOnce
) -> None:
    """A log that is away is not asked in a busy loop. After a fault of ours the next scan names the call again."""
    clock = ManualClock()
    at_once.failing[SESSION] = error
    at_once.may_end.set()
    async with recovering(clock, MemoryCallLog(clock)) as calls:
        calls.add(SESSION)
        await clock.advance((pause_ms or 10_000) - 1)
        early = at_once.started[SESSION]
        await clock.advance(1)
        later = at_once.started[SESSION]
        calls.add(SESSION)
        await clock.advance(1)

    assert (1, 2 if pause_ms else 1) == (early, later)
    assert later + 1 == at_once.started[SESSION]
