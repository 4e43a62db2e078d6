"""The actor of one call: what wakes it, when it is evicted, what it does without its log; on a manual clock."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callpath import App, Call
from callpath.api.news import News
from callpath.call.policies import CallPolicy
from callpath.errors import LocalProtocolError, StoreError
from callpath.server import live
from callpath.server.events import store_webhook
from callpath.server.leases import LEASE_MS, OFFER_MS
from callpath.server.live import STORE_RETRY_MS
from callpath.timeline import CallRejected, HandlerEnded, HandlerStarted, Noted, WebhookReceived
from callpath.wire.command import Speak
from callpath.wire.webhook import Webhook, read_webhook
from tests.server.manual import SESSION, Node, endless, event, one_node, two_nodes


async def told(node: Node, event_type: str, **more: Any) -> None:
    """An event is stored behind the server's back, as by another node that does not tell of it."""
    document = event(event_type, **more)
    webhook = read_webhook(document)
    assert isinstance(webhook, Webhook)
    await store_webhook(node.context, webhook, document)


# --- how long it lives -----------------------------------------------------------------------------------------------


@pytest.fixture
def evict_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "EVICT_AFTER_MS", 20_000)


async def test_an_idle_call_is_evicted_and_comes_back_with_its_next_event(evict_soon: None) -> None:
    """A thousand calls whose last webhook never comes would stay in memory; and one that rings on must not be forgotten."""
    async with one_node() as node:
        await node.webhook("call.initiated", direction="outgoing", state="bridging")
        node.context.policy = CallPolicy(no_handler_ms=0)
        node.call.wake()
        await node.clock.advance(19_999)
        early = SESSION in node.calls.live
        await node.clock.advance(1)
        evicted = SESSION not in node.calls.live
        await node.webhook("call.answered")

        assert (True, True) == (early, evicted)
        assert node.call.session.leg is not None
        assert 2 == len(node.log.whats(WebhookReceived))


async def test_a_call_with_a_handler_is_not_evicted(evict_soon: None) -> None:
    """Ten minutes without news are nothing to a caller on hold."""
    async with one_node() as node:
        driver = await node.talk()
        node.context.policy = CallPolicy(media_idle_ms=0)
        await node.clock.advance(50_000)
        talks = node.call.application.is_running
        await node.lose(driver)

        assert talks
        assert SESSION in node.calls.live


@pytest.mark.parametrize("waits", ["socket", "command", "nothing"])
async def test_a_call_that_is_over_leaves_memory_with_the_last_of_it(waits: str) -> None:
    """Its socket may be open a little longer, and Telnyx may still have to answer."""
    async with one_node() as node:
        if waits == "socket":
            driver = await node.talk()
        else:
            if waits == "command":
                node.telnyx.answers.clear()
            await node.webhook("call.initiated", direction="incoming", state="parked")
        await node.webhook("call.hangup", hangup_cause="normal_clearing")
        await node.clock.advance(1_000)
        while_waiting = SESSION in node.calls.live
        node.telnyx.answers.set()
        if waits == "socket":
            await node.lose(driver)
        await node.clock.advance(1_000)

        assert while_waiting == (waits != "nothing")
        assert SESSION not in node.calls.live


async def test_a_stopped_server_cancels_the_handler_and_stores_the_rest() -> None:
    """Its end stands in the timeline, and nothing new is begun."""
    async with one_node() as node:
        await node.talk()
        node.call.note(Noted(text="the last word"))
        log = node.log

    assert ["the last word"] == [what.text for what in log.whats(Noted)]
    assert [HandlerEnded(cancelled=True, reason="the server stops")] == log.whats(HandlerEnded)
    assert ["answer", "streaming_start"] == node.telnyx.sent


async def test_a_stop_does_not_wait_for_a_log_that_is_away() -> None:
    """The process would be killed by its supervisor, with every other call in it."""
    async with asyncio.timeout(20), one_node() as node:
        await node.talk()
        node.log.away = True
        node.call.note(Noted(text="lost"))
        node.calls.live[SESSION].stop()
        await node.clock.advance(1)
        node.context.tasks.stop()
        for _ in range(50):
            await node.clock.advance(STORE_RETRY_MS)

        assert SESSION not in node.calls.live


# --- its turns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a call that talks", "a stream that is awaited", "another node's"])
async def test_a_call_of_which_nothing_is_due_rests(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn each millisecond, of a thousand calls, would leave no time for audio."""
    async with two_nodes() as (a, b):
        node = b if what == "another node's" else a
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await a.webhook("call.answered")
        await b.webhook("call.speak.started")
        if what == "a call that talks":
            await a.connect()
        turns: list[News] = []
        monkeypatch.setattr(News, "tell", lambda self: turns.append(self))
        for _ in range(20):
            await node.clock.advance(50)

        assert turns.count(node.call.news) <= 1


async def test_an_event_reaches_the_handler() -> None:
    """Once it was read from the log: so it is the same as after a restart, and in the same order."""
    app, came = App(), list[object]()

    @app.call
    async def handle(call: Call) -> None:
        async for one in call.events:
            came.append(one)

    async with one_node(app) as node:
        await node.talk()
        await node.webhook("call.speak.started")
        await node.webhook("call.something.new")

        assert ["CallSpeakStarted", "Webhook"] == [type(one).__name__ for one in came]


class Traces:
    """In the place of OpenTelemetry: which calls were exported."""

    def __init__(self) -> None:
        self.exported: list[str] = []

    def enter_handler(self, session: str, at_unix_ms: int) -> None: ...

    async def export(self, session: str, log: object, write: object) -> None:
        self.exported.append(session)


@pytest.mark.parametrize(("ends", "ours", "exported"), [(True, True, 1), (True, False, 0), (False, True, 0)])
async def test_the_trace_of_a_call_is_made_once_by_the_node_that_acts(
    ends: bool, ours: bool, exported: int, evict_soon: None
) -> None:
    """When it is over; one that only left memory goes on later."""
    async with two_nodes() as (a, b):
        traces = Traces()
        a.context.traces = b.context.traces = traces  # type: ignore[assignment]
        a.context.policy = CallPolicy(no_handler_ms=0)
        node = a if ours else b
        await a.webhook("call.initiated", direction="outgoing", state="bridging")
        await b.webhook("call.speak.started")
        if ends:
            await node.webhook("call.hangup", hangup_cause="normal_clearing")
        await node.clock.advance(25_000)
        made = list(traces.exported)

        assert SESSION not in node.calls.live
        assert [SESSION] * exported == made


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_a_log_that_is_away_is_asked_again_after_a_while() -> None:
    """Media goes on meanwhile; what was noted is stored when it is back, and not asked for in a busy loop."""
    async with one_node() as node:
        await node.talk()
        node.log.away = True
        node.call.note(Noted(text="kept"))
        await node.clock.advance(0)
        reads = [node.log.reads]
        for ms in (999, 1, 999, 1):
            await node.clock.advance(ms)
            reads.append(node.log.reads)
        still_running = node.call.application.is_running
        node.log.away = False
        await node.clock.advance(1_000)

        assert reads[0] == reads[1] < reads[2] == reads[3] < reads[4]
        assert still_running
        assert ["kept"] == [what.text for what in node.log.whats(Noted)]


async def test_a_call_that_could_not_be_read_is_read_later() -> None:
    """Its first event is stored, and the log fails before it is read back: the caller heard it ring for ever, since the
    call was evicted a second later. Who asked for it is told so at once, and does not wait."""
    async with one_node() as node:
        await told(node, "call.initiated", direction="incoming", state="parked")
        node.log.away = True
        call = node.calls.load(SESSION)
        await node.clock.advance(1)
        async with asyncio.timeout(20):
            await call.until_ready()
        before = call.was_read
        node.log.away = False
        await node.clock.advance(STORE_RETRY_MS)

        assert (False, True) == (before, call.was_read)
        assert ["answer"] == node.telnyx.sent


async def test_whoever_waits_for_a_call_waits_until_it_was_read() -> None:
    """An upgrade is judged by its timeline: unread, it would be an unknown call."""
    async with one_node() as node:
        await told(node, "call.initiated", direction="incoming", state="parked")
        call = node.calls.load(SESSION)
        leg_at_once = call.session.leg
        await call.until_ready()
        await call.until_ready()

        assert leg_at_once is None
        assert call.session.leg is not None and call.was_read


async def test_another_node_s_entries_are_seen_at_the_next_turn() -> None:
    """Notices between nodes may get lost. A log of one process is not read again without a reason."""
    async with two_nodes() as (a, _):
        await a.talk()
        await told(a, "call.hangup", hangup_cause="normal_clearing")
        await a.clock.advance(LEASE_MS)
        over = a.calls.live[SESSION].session.ended if SESSION in a.calls.live else True
    async with one_node() as alone:
        await alone.talk()
        reads = alone.log.reads
        await alone.clock.advance(10_000)

        assert over
        assert reads == alone.log.reads


async def test_a_call_that_could_not_be_claimed_is_claimed_later() -> None:
    """As above, on a log of several nodes, whose leases are asked last."""
    async with two_nodes() as (a, _):
        await told(a, "call.initiated", direction="incoming", state="parked")
        claim, away = a.log.claim, [True, True]

        async def flaky(*given: Any, **more: Any) -> bool:
            if away and away.pop():
                raise StoreError("away")
            return await claim(*given, **more)

        a.log.claim = flaky  # type: ignore[method-assign]
        a.calls.load(SESSION)
        await a.clock.advance(1)
        before = list(a.telnyx.sent)
        await a.clock.advance(2 * STORE_RETRY_MS)

        assert ([], ["answer"]) == (before, a.telnyx.sent)


# --- who acts --------------------------------------------------------------------------------------------------------


async def test_a_node_that_does_not_act_sends_nothing() -> None:
    """The handler's command would reach a call that another node's handler talks to."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await b.webhook("call.speak.started")
        with pytest.raises(
            LocalProtocolError, match="speak is not possible here any more: another node carries the call"
        ):
            await b.call.send(Speak(payload="Hello", voice="female"))
        await a.call.send(Speak(payload="Hello", voice="female"))

        assert ["answer", "streaming_start", "speak"] == a.telnyx.sent
        await a.lose(driver)


async def test_a_node_that_takes_a_call_over_sends_again_what_has_no_answer() -> None:
    """The process that sent it is gone; Telnyx carries one command_id out once."""
    async with two_nodes() as (a, b):
        a.telnyx.answers.clear()
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.speak.started")
        before = list(b.telnyx.sent)
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        b.call.ownership.recovered()
        b.call.wake()
        await b.clock.advance(1)

        assert ["answer"] == before
        assert ["answer", "answer"] == b.telnyx.sent


@pytest.mark.parametrize("taken", [True, False])
async def test_a_full_node_leaves_a_new_call_to_the_other(taken: bool) -> None:
    """Only where the other does not take it is it rejected; and while it waits it is no call that is served here."""
    async with two_nodes() as (a, b):
        a.context.calls_max = 1
        await a.webhook("call.initiated", session="other", leg="other", direction="incoming", state="parked")
        await a.webhook("call.initiated", direction="incoming", state="parked")
        offered = a.call.is_offered, a.call.is_served, a.calls.offered(), a.log.holder()
        if taken:
            await b.webhook("call.speak.started")
        await a.clock.advance(OFFER_MS)
        await a.clock.advance(OFFER_MS)

        assert (True, False, 1, "") == offered
        assert 0 == a.calls.offered()
        assert (
            [] == a.log.whats(CallRejected)
            if taken
            else ["full"] == [what.reason for what in a.log.whats(CallRejected)]
        )
        assert ("b" if taken else "a") == a.log.holder()


async def test_a_full_server_of_one_process_rejects_at_once() -> None:
    """There is no other to leave the call to."""
    async with one_node(calls_max=1) as node:
        await node.webhook("call.initiated", session="other", leg="other", direction="incoming", state="parked")
        await node.webhook("call.initiated", direction="incoming", state="parked")

        assert ["full"] == [what.reason for what in node.log.whats(CallRejected)]
        assert ["answer", "reject"] == node.telnyx.sent
        assert (True, False) == (node.calls.live["other"].is_served, node.call.is_served)  # type: ignore[index]


async def test_what_holds_up_a_stop() -> None:
    """Who talks, or is about to; a call that only waits for its last webhook does so for a while, as that one may go to the
    new server."""
    async with one_node() as node:
        await node.webhook("call.speak.started", session="seen", leg="seen")
        driver = await node.talk()
        talking = node.calls.busy()
        node.telnyx.refuses.add("hangup")
        node.context.policy = CallPolicy(no_socket_then=(), no_handler_ms=0)
        await node.lose(driver)
        await node.clock.advance(10_000)  # the handler is cancelled, and that is the last of it
        await node.clock.advance(14_999)
        waits = node.call.is_busy
        await node.clock.advance(1)

        assert [SESSION] == talking
        assert waits
        assert [] == node.calls.busy()


async def test_a_socket_holds_up_a_stop_whoever_acts_for_its_call() -> None:
    """The lease is another node's by now; the caller is still heard here, and the socket is closed in good order."""
    async with two_nodes() as (a, _):
        driver = await a.talk()
        a.call.ownership.acts = False
        a.call.ownership.claim_again_ms = a.clock.now_ms() + LEASE_MS
        with_socket = a.call.is_busy
        await a.lose(driver)
        await a.clock.advance(0)

        assert with_socket
        assert [] == a.calls.busy()


async def test_a_call_that_is_being_rejected_holds_up_a_stop() -> None:
    """Telnyx refused the rejection: the next step is due, and the caller would hear it ring until they give up."""
    async with one_node(calls_max=1) as node:
        node.telnyx.answers.clear()
        await node.webhook("call.initiated", session="other", leg="other", direction="incoming", state="parked")
        await node.webhook("call.initiated", direction="incoming", state="parked")
        being_rejected = SESSION in node.calls.busy()
        node.telnyx.answers.set()
        await node.webhook("call.hangup", hangup_cause="user_busy")
        await node.clock.advance(100)

        assert being_rejected
        assert SESSION not in node.calls.busy()


# --- sockets ---------------------------------------------------------------------------------------------------------


async def test_the_newest_socket_is_the_call_s() -> None:
    """Telnyx gave the first up and opened another: the first is closed, its late end changes nothing, and the handler
    carries on."""
    async with one_node() as node:
        before, socket = await node.connect_after_answer()
        stream = node.call.stream
        after, _ = await node.connect()
        feed = node.call.feed
        await node.lose(before)

        assert [(1000, "replaced by a newer socket of this call")] == socket.closed
        assert stream is not node.call.stream is not None
        assert feed is not None and feed.stream is node.call.stream
        assert 1 == len(node.log.whats(HandlerStarted))
        await node.lose(after)
        assert node.call.stream is None and feed.stream is None


async def test_a_socket_that_is_accepted_takes_the_handler_off_the_one_before() -> None:
    """Between the upgrade and the start frame there is no stream that could take audio."""
    async with one_node() as node:
        await node.talk()
        feed = node.call.feed
        await node.upgrade()

        assert feed is not None and feed.stream is None


async def test_a_handler_whose_socket_stays_away_is_cancelled_in_time() -> None:
    """By the time since the socket was lost, and without any news."""
    async with one_node(endless()) as node:
        driver = await node.talk()
        within_ms = node.context.policy.reconnect_ms
        await node.lose(driver)
        await node.clock.advance(within_ms - 1)
        early = node.log.whats(HandlerEnded)
        await node.clock.advance(1)

        assert [] == early
        assert ["its socket was lost, and not back within 10 s"] == [
            what.reason for what in node.log.whats(HandlerEnded)
        ]
