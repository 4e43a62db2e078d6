"""What is done about a call that goes wrong while this node acts for it, on a manual clock. When one goes wrong, and which
commands follow, is tests/call/test_watchdog.py and tests/call/test_ending.py."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callpath import Call
from callpath.api.ring import Answer, Ring
from callpath.call.policies import CallPolicy, parse_steps
from callpath.server.prober import StreamProber, Verdict
from callpath.timeline import (
    CallChecked,
    CallRejected,
    CallStuck,
    HandlerStarted,
    PolicyActed,
    StreamMissing,
    StreamProbed,
    WebhookReceived,
)
from tests.server.manual import SESSION, Node, endless, event, one_node, two_nodes

ONLY_HANGUP = CallPolicy(no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", "hangup"))


async def ringing(node: Node, **more: Any) -> None:
    await node.webhook("call.initiated", direction="incoming", state="parked", **more)


# --- a stream that does not come -------------------------------------------------------------------------------------


class Doctor:
    """Tries stream URLs, and answers when the test lets it."""

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.answers = asyncio.Event()

    async def examine(self, url: str, token: str | None) -> Verdict:
        self.urls.append(url)
        await self.answers.wait()
        return Verdict(healthy=False, decided=True, summary="the proxy answers 502", code="WS001")


def probing(node: Node) -> Doctor:
    doctor = Doctor()
    node.context.prober = StreamProber(doctor.examine, node.clock, node.context.plan, None)
    return doctor


async def test_the_url_of_a_stream_that_never_came_is_probed_once() -> None:
    """The timeline tells the cause. The retry's absence is not probed again: it is the same URL."""
    policy = CallPolicy(no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", "retry,nothing"))
    async with one_node(policy=policy) as node:
        doctor = probing(node)
        await ringing(node)
        await node.webhook("call.answered")
        await node.clock.advance(policy.socket_within_ms)
        under_way = set(node.context.prober.under_way)  # type: ignore[union-attr]
        doctor.answers.set()
        await node.clock.advance(3 * policy.socket_within_ms)

        assert {SESSION} == under_way
        assert [1, 2] == [what.attempt for what in node.log.whats(StreamMissing)]
        assert 1 == len(doctor.urls)
        assert ["the proxy answers 502"] == [what.summary for what in node.log.whats(StreamProbed)]
        assert ["answer", "streaming_start", "streaming_start"] == node.telnyx.sent


async def test_a_probe_that_is_under_way_is_not_joined_by_another() -> None:
    """It may take half a minute, in which the next request is missing, too."""
    policy = CallPolicy(no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", "retry,nothing"))
    async with one_node(policy=policy) as node:
        doctor = probing(node)
        await ringing(node)
        await node.webhook("call.answered")
        await node.clock.advance(3 * policy.socket_within_ms)
        doctor.answers.set()
        await node.clock.advance(1)

        assert 2 == len(node.log.whats(StreamMissing))
        assert 1 == len(node.log.whats(StreamProbed))


async def test_a_stream_that_was_there_is_not_probed() -> None:
    """Its URL is right: it was lost."""
    async with one_node(policy=ONLY_HANGUP) as node:
        doctor = probing(node)
        driver = await node.talk()
        await node.lose(driver)
        await node.clock.advance(20_000)

        assert ["lost"] == [what.seen for what in node.log.whats(StreamMissing)]
        assert [] == doctor.urls


async def test_without_a_doctor_nothing_is_probed() -> None:
    """A server that may make no such requests hangs up all the same."""
    async with one_node(policy=ONLY_HANGUP) as node:
        await ringing(node)
        await node.webhook("call.answered")
        await node.clock.advance(20_000)

        assert 1 == len(node.log.whats(StreamMissing))
        assert "hangup" in node.telnyx.sent


# --- a call that is stuck --------------------------------------------------------------------------------------------


async def stuck(node: Node) -> None:
    """A call that was answered, and whose socket is open and brings nothing."""
    await node.talk()
    await node.clock.advance(node.context.policy.media_idle_ms)


@pytest.mark.parametrize(("alive", "hangs_up"), [(True, True), (None, True), (False, False)])
async def test_a_call_that_is_stuck_is_hung_up_unless_it_is_over(alive: bool | None, hangs_up: bool) -> None:
    """Telnyx is asked about the line first. Where it does not say, the caller is not kept in silence."""
    async with one_node() as node:
        node.telnyx.alive = alive
        await stuck(node)

        assert ["media_idle"] == [what.reason for what in node.log.whats(CallStuck)]
        assert [alive] == [what.alive for what in node.log.whats(CallChecked)]
        assert ["v3:leg-1"] == node.telnyx.asked
        acted = [(what.policy, what.number, what.step) for what in node.log.whats(PolicyActed)]
        assert ([("stuck", 1, "hangup")] if hangs_up else []) == acted
        assert ("hangup" in node.telnyx.sent) == hangs_up


async def test_a_call_that_another_node_took_meanwhile_is_not_hung_up() -> None:
    """While Telnyx was asked, its socket opened there."""
    async with two_nodes() as (a, b):
        await a.talk()
        status = a.telnyx.call_status

        async def slow(call_control_id: Any) -> Any:
            a.call.ownership.acts = False
            return await status(call_control_id)

        a.telnyx.call_status = slow  # type: ignore[method-assign]
        a.call.note(CallStuck(reason="media_idle", number=1, after_ms=0))
        await a.call._supervisor._check(CallStuck(reason="media_idle", number=1, after_ms=0))

        assert [] == a.log.whats(PolicyActed)
        assert SESSION not in b.calls.live


async def test_events_that_were_missed_come_before_a_hang_up() -> None:
    """A disk was full for a minute when call.answered came. The caller waits on the line; to hang up would be our fault
    twice."""
    async with one_node() as node:
        await ringing(node)
        node.telnyx.missed.append(event("call.answered", event_id="missed"))
        await node.clock.advance(61_000)
        fetched = [what.event_type for what in node.log.whats(WebhookReceived) if what.fetched]

        assert ["no_events"] == [what.reason for what in node.log.whats(CallStuck)][:1]
        assert ["call.answered"] == fetched
        assert "streaming_start" in node.telnyx.sent
        assert [] == node.telnyx.asked


@pytest.mark.parametrize("lists", [True, False])
async def test_a_call_that_rings_for_ever_is_asked_about(lists: bool) -> None:
    """No event was missed, or Telnyx could not say: the line decides."""
    async with one_node() as node:
        node.telnyx.lists_events = lists
        await ringing(node)
        await node.clock.advance(61_000)

        assert ["v3:leg-1"] == node.telnyx.asked
        assert "hangup" in node.telnyx.sent


async def test_a_caller_who_was_handed_on_is_left_there_as_long_as_nothing_else_is_known() -> None:
    """The party rings, and nothing is heard of it, from Telnyx either: a hangup would cut the caller off in the middle of
    a conversation that we only do not know of. When the webhook that was lost says that nobody answered, the caller is not
    kept: it was four hours on a silent line."""
    async with one_node() as node:

        async def transfer(call: Call) -> None:
            await call.transfer("+15555550177")

        node.context.app.routes.clear()
        node.context.app.call(transfer)
        driver = await node.talk()
        await node.lose(driver)
        await node.webhook("call.initiated", leg="leg-2", direction="outgoing", state="bridging")
        await node.clock.advance(100_000)
        left_alone = node.log.whats(CallStuck), node.log.whats(PolicyActed), list(node.telnyx.sent)
        asked = list(node.telnyx.asked)
        node.telnyx.missed.append(event("call.hangup", event_id="lost", leg="leg-2", hangup_cause="timeout"))
        await node.clock.advance(90_000)

        stuck, acted, sent = left_alone
        assert {"no_events"} == {what.reason for what in stuck} and asked
        assert ["transfer"] == sent[2:]
        assert [] == acted
        assert ["hangup"] == node.telnyx.sent[3:4]


# --- what it asks for ------------------------------------------------------------------------------------------------


async def test_a_full_server_rejects_what_it_has_not_begun() -> None:
    """And nothing else: a call that is being served stays, though there is no room for another."""
    async with one_node(calls_max=1) as node:
        await node.talk()
        await node.webhook("call.initiated", session="two", leg="two", direction="incoming", state="parked")
        await node.webhook("call.speak.started")

        assert [] == node.log.whats(CallRejected)
        assert ["full"] == [what.reason for what in node.log.whats(CallRejected, "two")]  # type: ignore[arg-type]
        assert ["answer", "streaming_start", "reject"] == node.telnyx.sent


async def test_nothing_is_answered_before_the_application_has_decided() -> None:
    """A call that it wants to reject would have been answered, and paid for. Where it does not decide, that is noticed
    without news."""
    app, decides = endless(), asyncio.Event()

    @app.incoming
    async def decide(ring: Ring) -> Answer:
        await decides.wait()
        return Answer()

    async with one_node(app) as node:
        await ringing(node)
        await node.clock.advance(4_999)
        before = list(node.telnyx.sent)
        await node.clock.advance(1)

        assert [] == before
        assert ["answer"] == node.telnyx.sent


async def test_a_stream_without_a_handler_gets_one_again() -> None:
    """The handler was cancelled while the socket was away; when it comes back, somebody has to talk to the caller."""
    async with one_node(policy=CallPolicy(no_socket_then=(), no_handler_ms=0)) as node:
        driver = await node.talk()
        await node.lose(driver)
        await node.clock.advance(11_000)
        await node.connect()
        await node.clock.advance(1_000)

        assert 2 == len(node.log.whats(HandlerStarted))
        assert node.call.application.is_running


async def test_a_node_that_does_not_act_watches_over_nothing() -> None:
    """Both would hang up, or both probe."""
    async with two_nodes(policy=ONLY_HANGUP) as (a, b):
        doctor = probing(b)
        await ringing(a)
        await a.webhook("call.answered")
        await b.webhook("call.speak.started")
        for _ in range(20):
            b.calls.load(SESSION).wake()
            await b.clock.advance(1_000)
        missing = a.log.whats(StreamMissing)

        assert 1 == len(missing)
        assert [] == doctor.urls
        assert ["answer", "streaming_start"] == a.telnyx.sent[:2]
        assert {"hangup"} == set(a.telnyx.sent[2:])
