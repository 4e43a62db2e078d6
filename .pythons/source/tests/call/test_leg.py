"""One party's side: no transition goes backwards."""

from __future__ import annotations

from callpath.call.leg import Leg, LegState
from callpath.wire.ids import CallControlId, LegId
from callpath.wire.webhook import Webhook, read_webhook
from tests.telnyx import sample


def leg_after(*names: str) -> Leg:
    leg = Leg(LegId("l"), CallControlId("c"))
    for name in names:
        webhook = read_webhook(sample(f"webhooks/{name}.json"))
        assert isinstance(webhook, Webhook)
        leg.apply(webhook.payload)
    return leg


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
