"""Whether a node acts for a call, where several share one log: two processes on a manual clock."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from callpath.server.leases import LEASE_MS, OFFER_MS, RENEW_EVERY_MS, STEADY_MS
from callpath.server.line import SILENT_SOCKET_MS
from callpath.timeline import HandlerEnded, StreamStarted
from callpath.wire.ids import StreamId
from tests.server.manual import SESSION, one_node, two_nodes


async def test_alone_every_call_is_ours_and_is_claimed_once() -> None:
    """A server of one process pays nothing for the others that it does not have."""
    async with one_node() as node:
        await node.talk()
        await node.clock.advance(3 * LEASE_MS)

        assert node.call.acts
        assert [] == node.log.claims
        assert ["answer", "streaming_start"] == node.telnyx.sent


async def test_alone_no_stream_is_another_node_s() -> None:
    """Two sockets that start in the same millisecond: the timeline's newest need not be the one that is here."""
    async with one_node() as node:
        await node.talk()
        since_ms = node.call.ownership.since_ms
        await node.clock.advance(100)
        node.call.note(elsewhere("stream-9"))
        node.call.wake()
        await node.clock.advance(1)

        assert node.call.acts
        assert since_ms == node.call.ownership.since_ms


async def test_a_call_that_is_ours_already_is_no_failure_of_the_log() -> None:
    """Each turn of the call asks; one that fails is repeated after a second, for ever."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        asked = len(a.log.claims)

        assert [True, True] == [await node.call.ownership.claim() for node in (a, b)]
        assert asked == len(a.log.claims)
        assert [False, False] == [node.call.ownership.was_offered for node in (a, b)]


async def test_the_node_that_heard_of_a_call_first_acts_for_it() -> None:
    """Two that act would answer twice. The other asks again when the lease would have run out, and not with every event."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        for _ in range(3):
            await b.webhook("call.speak.started")
        await a.clock.advance(LEASE_MS - 1)
        await a.frame(driver)
        await b.webhook("call.speak.started")
        early = [node for node, _ in a.log.claims]
        await b.clock.advance(1)
        await b.webhook("call.speak.started")

        assert (True, False) == (a.call.acts, b.call.acts)
        assert ["a", "b"] == early
        assert ["a", "b", "b"] == [node for node, _ in a.log.claims]
        assert ["answer", "streaming_start"] == a.telnyx.sent


async def test_a_log_that_is_away_is_asked_again() -> None:
    """The database fails over just when a call comes in: it is answered as soon as the log is back."""
    async with two_nodes() as (a, _):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await a.calls.live[SESSION].ownership.release()
        a.call.ownership.acts, a.call.ownership.claim_again_ms = False, 0.0
        a.log.away = True
        with capture_logs() as logs:
            asked = [await a.call.ownership.claim(), await a.call.ownership.claim()]
        a.log.away = False
        asked.append(await a.call.ownership.claim())

        assert [False, False, True] == asked
        assert ["lease.not_claimed"] * 2 == [line["event_name"] for line in logs]
        assert [SESSION] * 2 == [line["call_session_id"] for line in logs]
        assert a.call.acts


async def test_since_when_it_acts() -> None:
    """A socket that was another node's counts as lost from then on: the caller is not given up at once."""
    async with two_nodes() as (a, b):
        await a.clock.advance(5_000)
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        await a.clock.advance(3_000)
        await b.call.ownership.claim_for_socket()

        assert (5_000.0, 8_000.0) == (a.call.ownership.since_ms, b.call.ownership.since_ms)


# --- a call that is left to the others -------------------------------------------------------------------------------


async def test_an_offered_call_is_anybodys_and_comes_back() -> None:
    """This node cannot take it. Where no other does either, it rejects the call itself, after OFFER_MS and not before."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await a.call.ownership.offer()
        offered = a.call.acts, a.call.ownership.was_offered, a.log.holder()
        await a.clock.advance(OFFER_MS - 1)
        await a.call.ownership.claim()
        early = a.call.acts
        await a.clock.advance(1)
        await a.call.ownership.claim()

        assert (False, True, "") == offered
        assert (False, True) == (early, a.call.acts)
        assert SESSION not in b.calls.live


async def test_an_offer_that_cannot_be_made_is_logged() -> None:
    """The log is away: the call is ours again after a while."""
    async with two_nodes() as (a, _):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        a.log.away = True
        with capture_logs() as logs:
            await a.call.ownership.offer()

        assert [("lease.not_offered", SESSION)] == [(line["event_name"], line["call_session_id"]) for line in logs]
        assert not a.call.acts


# --- the socket decides ----------------------------------------------------------------------------------------------


async def test_the_socket_s_node_takes_the_call_from_the_other() -> None:
    """The audio cannot be moved, and the call can."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        taken = await b.call.ownership.claim_for_socket()

        assert (True, True, "b") == (taken, b.call.acts, b.log.holder())


async def test_a_socket_that_may_not_be_forced_is_left_to_the_other() -> None:
    """A node that stops takes only what nobody else has. One that believed itself to act learns here that it does not."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        refused = await b.call.ownership.claim_for_socket(by_force=False)
        mine = await a.call.ownership.claim_for_socket(by_force=False)
        await b.call.ownership.claim_for_socket()
        with capture_logs() as logs:
            lost = await a.call.ownership.claim_for_socket(by_force=False)

        assert (False, True, False) == (refused, mine, lost)
        assert not a.call.acts
        assert ["lease.lost"] == [line["event_name"] for line in logs]


async def test_a_recovered_call_is_claimed_at_once() -> None:
    """Its lease is ours already; the actor must not wait for the time at which the dead node's would have run out."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        b.call.ownership.recovered()
        b.call.wake()
        await b.clock.advance(0)

        assert b.call.acts


# --- a lease that is another's ---------------------------------------------------------------------------------------


async def test_a_call_whose_lease_another_has_is_left_and_its_handler_cancelled() -> None:
    """Both would talk to the caller. That this node asks again is not before the lease may have run out."""
    async with two_nodes() as (a, b):
        await a.webhook("call.initiated", direction="incoming", state="parked")
        await b.webhook("call.answered")
        await b.call.ownership.claim_for_socket()
        asked = len(a.log.claims)
        await a.clock.advance(RENEW_EVERY_MS)
        lost_ms = a.clock.now_ms()

        assert not a.call.acts
        assert lost_ms + LEASE_MS == a.call.ownership.claim_again_ms
        assert asked == len(a.log.claims)


async def test_the_node_that_hears_the_caller_claims_the_call_back() -> None:
    """Another took this node for dead: its process stood still, or its renewals were lost. The caller talks here."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await b.webhook("call.speak.started")
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        with capture_logs() as logs:
            for _ in range(int(RENEW_EVERY_MS // 500)):
                await a.clock.advance(500)
                await a.frame(driver)

        assert (True, "a") == (a.call.acts, a.log.holder())
        assert "lease.claimed_back" in [line["event_name"] for line in logs]
        assert not any(line["event_name"] == "lease.lost" for line in logs)


@pytest.mark.parametrize("how", ["silent", "closed"])
async def test_a_node_that_hears_nobody_claims_nothing_back(how: str) -> None:
    """Its socket is dead, or gone: the other node's claim stands."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await b.webhook("call.speak.started")
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        if how == "closed":
            await a.lose(driver)
        await a.clock.advance(SILENT_SOCKET_MS)
        a.call.ownership.lease_lost()
        await a.clock.advance(0)

        assert (False, "b") == (a.call.acts, a.log.holder())


async def test_a_newer_stream_at_another_node_is_not_claimed_back() -> None:
    """Telnyx opened a second socket there, while the first still brings audio: the newest counts."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await a.clock.advance(100)
        await b.webhook("call.speak.started")
        assert await b.call.ownership.claim_for_socket()
        await b.connect()
        await a.frame(driver)
        a.call.ownership.lease_lost()
        await a.clock.advance(0)

        assert (False, True, "b") == (a.call.acts, b.call.acts, a.log.holder())
        assert ["another node carries the call now"] == [what.reason for what in a.log.whats(HandlerEnded)]


async def test_a_claim_back_that_fails_is_logged_and_the_call_goes_on() -> None:
    """The next renewal says again that it is another node's."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        await a.frame(driver)
        a.log.away = True
        with capture_logs() as logs:
            a.call.ownership.lease_lost()
            await a.clock.advance(0)

        assert a.call.acts
        told = [(line["event_name"], line["call_session_id"]) for line in logs]
        assert ("lease.not_claimed", SESSION) in told
        assert "lease.claimed_back" not in [name for name, _ in told]


async def test_a_stream_elsewhere_is_asked_about_once() -> None:
    """The timeline tells of it before the next renewal does: a command of this node's would come too late. Where the call
    is ours all the same, that is asked once for each such stream."""
    async with two_nodes() as (a, b):
        await a.talk()
        asked = len(a.log.claims)
        await a.clock.advance(1_000)
        a.call.note(elsewhere("stream-1 of b"))
        for _ in range(3):
            a.call.wake()
            await a.clock.advance(1)
        once, ours = len(a.log.claims) - asked, a.call.acts
        await b.log.claim(SESSION, "b", LEASE_MS, steal="always")
        await a.clock.advance(1)
        a.call.note(elsewhere("stream-2 of b"))
        a.call.wake()
        await a.clock.advance(1)

        assert (1, True) == (once, ours)
        assert ["a", "b", "a"] == [node for node, _ in a.log.claims[asked:]]
        assert not a.call.acts


def elsewhere(stream_id: str) -> StreamStarted:
    return StreamStarted(stream_id=StreamId(stream_id), encoding="PCMU", sample_rate_hz=8000)


async def test_a_stream_of_our_own_is_no_reason_to_ask() -> None:
    """Each event of the call would cost a query."""
    async with two_nodes() as (a, _):
        await a.talk()
        asked = len(a.log.claims)
        for _ in range(3):
            await a.webhook("call.speak.started")
        await a.clock.advance(100)

        assert asked == len(a.log.claims)
        assert a.call.acts


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_a_call_that_is_over_leaves_no_lease() -> None:
    """It would be an orphan for ever; and a node that did not act for it takes none away."""
    async with two_nodes() as (a, b):
        driver = await a.talk()
        await b.webhook("call.speak.started")
        await b.call.ownership.release()
        kept = a.log.holder()
        await a.webhook("call.hangup", hangup_cause="normal_clearing")
        await a.lose(driver)
        await a.clock.advance(1_000)

        assert "a" == kept
        assert SESSION not in a.calls.live
        assert a.log.holder() is None


async def test_an_orphan_is_told_to_the_recovery() -> None:
    """The call of a node that died: its lease runs out, and whoever is alive recovers it."""
    async with two_nodes() as (_, b):
        await b.clock.advance(STEADY_MS)
        await b.log.claim(SESSION, "dead", 1_000)
        await b.clock.advance(500)
        early = list(b.orphans)
        await b.clock.advance(3_000)

        assert [] == early
        assert {SESSION} == set(b.orphans)
