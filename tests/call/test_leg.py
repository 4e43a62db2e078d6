"""One party's side: no transition goes backwards."""

from __future__ import annotations

from itertools import permutations
from typing import cast

import msgspec
import pytest

from callpath.call.leg import Leg, LegState, main_leg, stamp_of
from callpath.timeline import WebhookReceived
from callpath.wire.ids import CallControlId, LegId
from callpath.wire.webhook import Webhook, read_webhook
from tests.call.timelines import event
from tests.telnyx import sample


def leg_after(*names: str) -> Leg:
    leg = Leg(LegId("l"), CallControlId("c"), (0, ""))
    for name in names:
        webhook = read_webhook(sample(f"webhooks/{name}.json"))
        assert isinstance(webhook, Webhook)
        leg.apply(webhook.payload, (0, ""), 1_000)
    return leg


def test_the_numbers_of_the_states_are_permanent() -> None:
    """Rows of the list of calls are stored with them."""
    assert [("SEEN", 0), ("INITIATED", 1), ("ANSWERED", 2), ("ENDED", 3)] == [(one.name, one.value) for one in LegState]


def test_a_late_event_does_not_wake_a_dead_leg() -> None:
    """A call that has ended stays ended, whatever still arrives."""
    assert leg_after("call.hangup", "call.answered", "call.initiated.inbound").state is LegState.ENDED


def test_who_calls_whom_is_learnt_from_any_event() -> None:
    """call.initiated may be the one that is lost."""
    leg = leg_after("call.answered")

    assert (leg.from_, leg.to, leg.codec) == ("+15555550123", "+15555550199", "PCMU")


def test_other_events_say_nothing_about_the_leg() -> None:
    """A speak that ended is no state of a call."""
    assert leg_after("call.speak.ended").state is LegState.SEEN


INITIATED, ANSWERED, HANGUP = (event(name, second) for name, second in
                               (("call.initiated.inbound", 1), ("call.answered", 2), ("call.hangup", 20)))  # fmt: skip


def leg_of(*whats: WebhookReceived) -> Leg:
    """A leg after these, which came here a second after each other, from 1000 on."""
    leg: Leg | None = None
    for number, what in enumerate(whats, 1):
        webhook = read_webhook(what.body)
        assert isinstance(webhook, Webhook)
        at = 1_000 * number
        stamp = stamp_of(webhook, at)
        leg = leg or Leg(LegId("l"), CallControlId("c"), stamp)
        leg.apply(webhook.payload, stamp, at)
    assert leg is not None
    return leg


@pytest.mark.parametrize(
    ("whats", "state", "answered", "hangup"),
    [
        ([INITIATED], LegState.INITIATED, 0, 0),
        ([INITIATED, ANSWERED], LegState.ANSWERED, 2_000, 0),
        ([INITIATED, ANSWERED, HANGUP], LegState.ENDED, 2_000, 3_000),
        ([HANGUP, ANSWERED, ANSWERED, HANGUP], LegState.ENDED, 2_000, 1_000),
    ],
)
def test_states_and_when_they_were_told(
    whats: list[WebhookReceived], state: LegState, answered: int, hangup: int
) -> None:
    """By the first delivery of each."""
    leg = leg_of(*whats)

    assert (state, answered, hangup) == (leg.state, leg.answered_unix_ms, leg.hangup_unix_ms)


def test_when_a_leg_was_seen_first() -> None:
    """By what came here first, whichever event occurred first; a transfer's leg is told from one of before by it."""
    leg = leg_of(HANGUP, INITIATED, ANSWERED)
    late = Leg(LegId("l"), CallControlId("c"), (0, ""))
    for at in (3_000, 2_000, 4_000):
        webhook = read_webhook(ANSWERED.body)
        assert isinstance(webhook, Webhook)
        late.apply(webhook.payload, (at, "x"), at)

    assert leg.seen_unix_ms == 1_000
    assert (late.seen_unix_ms, late.answered_unix_ms) == (2_000, 2_000)
    assert Leg(LegId("l"), CallControlId("c"), (0, "")).seen_unix_ms == 0


def test_a_hangup_brings_its_cause_and_its_witness() -> None:
    """What a verdict stands on."""
    leg = leg_of(HANGUP)

    assert ("normal_clearing", "caller", "200") == (leg.hangup_cause, leg.hangup_source, leg.sip_hangup_cause)
    assert leg.quality is not None


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_what_the_last_event_says_is_right(order: tuple[int, ...]) -> None:
    """Whichever was delivered last. An event that says nothing of it changes nothing."""
    whats = [
        event("call.answered", 2, client_state="Yg==", codec="PCMA"),
        event("call.answered", 3, client_state="Yw==", codec="OPUS"),
        event("call.answered", 4, client_state=None, codec=None),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert ("Yw==", "OPUS") == (leg.client_state, leg.codec)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_what_a_leg_was_dialled_with_is_its_first_client_state(order: tuple[int, ...]) -> None:
    """A command may set another one later; the handler and the variables of a dialled call stand in the first. Whichever
    was delivered first, and whatever says nothing of it."""
    whats = [
        event("call.initiated.inbound", 1, client_state=None),
        event("call.answered", 2, client_state="Yg=="),
        event("call.answered", 3, client_state="Yw=="),
        event("call.hangup", 4, client_state="ZA=="),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert ("Yg==", "ZA==") == (leg.made_with, leg.client_state)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_what_only_a_call_initiated_says_is_that_of_the_last_one(order: tuple[int, ...]) -> None:
    """Headers, and whether Telnyx could validate the caller's number. One that says nothing takes nothing back."""
    whats = [
        event(
            "call.initiated.inbound",
            1,
            sip_headers=[{"name": "X-Old", "value": "1"}],
            custom_headers=None,
            shaken_stir_validated=True,
        ),
        event(
            "call.initiated.inbound",
            2,
            sip_headers=[{"name": "X-A", "value": "2"}],
            custom_headers=[{"name": "X-B", "value": "3"}],
            shaken_stir_validated=False,
        ),
        event("call.initiated.inbound", 3, sip_headers=None, custom_headers=[], shaken_stir_validated=None),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert {"X-A": "2", "X-B": "3"} == leg.headers
    assert leg.attested is False


@pytest.mark.parametrize(("at", "bridged"), [((), 0), ((3_000,), 3_000), ((3_000, 2_000, 4_000), 2_000)])
def test_when_a_leg_was_bridged_first(at: tuple[int, ...], bridged: int) -> None:
    """By what came here first: a transfer is a success from then on."""
    webhook = read_webhook(event("call.bridged", 3).body)
    assert isinstance(webhook, Webhook)
    leg = Leg(LegId("l"), CallControlId("c"), (0, ""))
    for at_unix_ms in at:
        leg.apply(webhook.payload, (at_unix_ms, "x"), at_unix_ms)

    assert bridged == leg.bridged_unix_ms


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_numbers_are_those_of_the_call_initiated(order: tuple[int, ...]) -> None:
    """Of several, of the last; the other events stand in for it until one comes."""
    whats = [
        event("call.initiated.inbound", 5, direction="outgoing", **{"from": "+15555550105", "to": "+15555550106"}),
        event("call.initiated.inbound", 4, direction="incoming", **{"from": "+15555550103", "to": "+15555550104"}),
        event("call.answered", 3, **{"from": "+15555550101", "to": "+15555550102"}),
        event("call.hangup", 6, **{"from": "+15555550107", "to": "+15555550108"}),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert ("outgoing", "+15555550105", "+15555550106") == (leg.direction, leg.from_, leg.to)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_without_a_call_initiated_numbers_are_those_of_the_first_event(order: tuple[int, ...]) -> None:
    """A transfer changes them later."""
    whats = [
        event("call.answered", 3, **{"from": "+15555550101", "to": "+15555550102"}),
        event("call.hangup", 6, **{"from": "+15555550107", "to": "+15555550108"}),
        event("call.answered", 2, **{"from": None, "to": None}),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert ("+15555550101", "+15555550102") == (leg.from_, leg.to)


@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
def test_of_two_hangups_the_later_is_right(order: tuple[int, ...]) -> None:
    """With all that it says: half of one and half of the other would be a cause that nobody reported."""
    whats = [
        event("call.hangup", 6, hangup_cause="user_busy", hangup_source="callee", sip_hangup_cause="486"),
        event(
            "call.hangup", 7, hangup_cause="timeout", hangup_source=None, sip_hangup_cause=None, call_quality_stats=None
        ),
    ]
    leg = leg_of(*(whats[number] for number in order))

    assert ("timeout", None, None, None) == (leg.hangup_cause, leg.hangup_source, leg.sip_hangup_cause, leg.quality)


def test_the_first_event_of_a_leg_is_kept() -> None:
    """By it the leg of the caller is told from others."""
    leg = leg_of(ANSWERED, HANGUP, INITIATED)
    first = leg.first[0]

    assert first == stamp_of(cast("Webhook", read_webhook(INITIATED.body)), 0)[0]


def test_the_main_leg_is_the_one_that_began_first() -> None:
    """Of two that began at the same moment, always the same one."""
    a, b, c = (
        Leg(LegId(name), CallControlId(name), first)
        for name, first in (("a", (5, "x")), ("b", (4, "y")), ("c", (4, "y")))
    )

    assert b is main_leg([a, b, c]) is main_leg([c, b, a])
    assert main_leg([]) is None


@pytest.mark.parametrize("known", [LegState.INITIATED, LegState.ANSWERED, LegState.ENDED])
def test_a_by_product_makes_no_leg_the_main_one(known: LegState) -> None:
    """A gather or a recording of another leg may be told long after the call, with any time: the call stays what it was."""
    call = Leg(LegId("call"), CallControlId("c"), (5_000, "a"), state=known)
    stray = Leg(LegId("stray"), CallControlId("d"), (1_000, "b"))

    assert call is main_leg([call, stray]) is main_leg([stray, call])
    assert stray is main_leg([stray])


@pytest.mark.parametrize(
    ("occurred_at", "ms"),
    [
        ("2026-01-02T03:04:00.076316Z", 1_767_323_040_076),
        ("2026-01-02T03:04:00Z", 1_767_323_040_000),
        ("2026-01-02T04:04:00.5+01:00", 1_767_323_040_500),
        ("2026-01-02T03:04:00", 1_767_323_040_000),
        ("soon", 77),
        (None, 77),
    ],
)
def test_the_place_of_an_event_among_others(occurred_at: str | None, ms: int) -> None:
    """As Telnyx's clock has it; without one, by when it came."""
    webhook = read_webhook(INITIATED.body)
    assert isinstance(webhook, Webhook)
    placed = stamp_of(msgspec.structs.replace(webhook, occurred_at=occurred_at), 77)

    assert (ms, webhook.id) == placed
