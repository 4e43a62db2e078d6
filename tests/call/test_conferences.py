"""Which conference a leg is in, and whose hangup it is."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from callpath.call.conferences import CONFERENCE_MS_MAX
from callpath.call.ending import next_ending
from callpath.call.policies import CallPolicy
from callpath.call.session import CallSession, fold
from callpath.call.watchdog import NO_EVENTS, RuntimeState, evaluate
from callpath.timeline import (
    CallStuck,
    CommandAnswered,
    CommandSent,
    Entry,
    HandlerEnded,
    HandlerStarted,
    WebhookReceived,
    What,
)
from callpath.wire.command import Hangup
from tests.call.timelines import LEG_A, LEG_B, SESSION, A, event

ROOM, OTHER = "room-1", "room-2"
UP = [event("call.initiated.inbound", 1, **LEG_A), event("call.answered", 2, **LEG_A), HandlerStarted(name="h")]


def moved(kind: str, second: float, room: str = ROOM, **payload: Any) -> WebhookReceived:
    """`joined`, `left` or `ended`."""
    name = f"conference.{'ended' if kind == 'ended' else f'participant.{kind}'}"
    leg = {**LEG_A, **payload}
    return event(name, second, f"{kind} {room} {second} {leg['call_leg_id']}", conference_id=room, **leg)


def sent(name: str, number: int = 1, room: str | None = ROOM) -> CommandSent:
    return CommandSent(command=f"conference_{name}", command_id=f"{name} {number}", call_control_id=A, conference=room)


def answered(name: str, number: int = 1, *, made: str | None = None, status: int | None = 200) -> CommandAnswered:
    return CommandAnswered(
        command=f"conference_{name}", command_id=f"{name} {number}", call_control_id=A, status=status, conference=made
    )


JOINS, LEAVES = (sent("join"), answered("join")), (sent("leave"), answered("leave"))


def session_of(*whats: What, began_ms: int = 1_000) -> CallSession:
    return fold(
        SESSION, [Entry(session=SESSION, at_unix_ms=at, what=what) for at, what in enumerate([*UP, *whats], began_ms)]
    )


@pytest.mark.parametrize(
    ("whats", "conference"),
    [
        ([], None),
        ([sent("create", room=None)], ""),
        ([sent("create", room=None), answered("create", made=ROOM)], ROOM),
        ([sent("create", room=None), answered("create", status=422)], None),
        ([sent("create", room=None), answered("create", status=422), sent("join"), answered("join")], ROOM),
        ([sent("join"), answered("join"), moved("joined", 3)], ROOM),
        ([sent("join"), answered("join"), moved("joined", 3), moved("left", 4)], None),
        ([sent("join"), answered("join"), moved("left", 4)], None),
        ([sent("join"), answered("join"), moved("left", 4), moved("joined", 3)], None),
        ([moved("joined", 3)], ROOM),
        ([moved("joined", 3), moved("joined", 4, **LEG_B)], ROOM),
        ([moved("joined", 4, **LEG_B)], None),
        ([moved("joined", 3), moved("left", 4, **LEG_B)], ROOM),
        ([moved("joined", 3), moved("ended", 4)], None),
        ([sent("join"), answered("join"), moved("ended", 4)], None),
        ([moved("joined", 3), sent("leave"), answered("leave")], None),
        ([moved("joined", 3), sent("leave")], ROOM),
        ([moved("joined", 3), sent("leave"), answered("leave", status=422)], ROOM),
        ([moved("joined", 3), moved("left", 4), moved("joined", 5)], ROOM),
        ([*JOINS, moved("joined", 3), moved("left", 4), sent("join", 2), answered("join", 2)], ROOM),
        ([moved("joined", 3), sent("join", room=OTHER), answered("join"), moved("joined", 4, OTHER)], OTHER),
        ([moved("joined", 3), moved("joined", 4, OTHER), moved("left", 4)], OTHER),
    ],
)
def test_where_a_leg_is(whats: list[What], conference: str | None) -> None:
    """By what was asked for until Telnyx tells it, by its events from then on."""
    assert conference == session_of(*whats).conference


def test_the_event_alone_tells_it_where_it_has_no_time_of_its_own() -> None:
    """Most events of a conference have their time in the payload, and none beside it."""
    whats = []
    for kind, at in (("left", "2026-01-02T03:04:09Z"), ("joined", "2026-01-02T03:04:05Z")):
        what = moved(kind, 3)
        del what.body["data"]["occurred_at"]
        what.body["data"]["payload"]["occurred_at"] = at
        whats.append(what)

    assert session_of(*whats).conference is None
    assert session_of(*whats[::-1]).conference is None


def test_the_call_is_hung_up_when_it_leaves_and_not_before() -> None:
    """Its handler has returned, and the others go on talking to it."""
    inside = [sent("join"), answered("join"), moved("joined", 3), HandlerEnded()]
    ending = next_ending(session_of(*inside), handler_running=False, now_unix_ms=10**9)
    left = next_ending(session_of(*inside, moved("left", 5)), handler_running=False, now_unix_ms=10**9)

    assert () == ending.commands
    assert [Hangup] == [type(command) for command in left.commands]
    assert (
        () == next_ending(session_of(*inside[:-1], moved("left", 5)), handler_running=True, now_unix_ms=10**9).commands
    )


def test_a_call_of_which_no_event_tells_that_it_has_left_is_asked_about() -> None:
    """The webhook is lost: Telnyx ends each conference after four hours, and the parked leg would be up forever."""
    session = session_of(sent("join"), answered("join"), moved("joined", 3), HandlerEnded())
    last = session.last_unix_ms or 0
    policy = CallPolicy(call_ms_max=0)
    early = evaluate(session, policy, RuntimeState(), last + CONFERENCE_MS_MAX)
    late = evaluate(session, policy, RuntimeState(), early.again_unix_ms or 0)

    assert () == early.entries
    assert [NO_EVENTS] == [what.reason for what in late.entries if isinstance(what, CallStuck)]


def test_ten_thousand_orders_of_a_conferences_webhooks_end_in_one_state() -> None:
    """Three calls meet: the one that made it leaves first, another leaves, joins again and is left alone when the
    conference ends, the third hangs up. Late, twice and out of order: whichever way the webhooks come, each call is in
    no conference at the end, and hung up, by itself or by us; and none is hung up before an event told that it was out."""
    hangup = event(
        "call.hangup.user_busy", 20, "hung up 20", **LEG_A, hangup_cause="normal_clearing", sip_hangup_cause="200"
    )
    asked = [sent("join"), answered("join"), HandlerEnded()]
    calls: dict[str, tuple[list[What], list[WebhookReceived]]] = {
        "creator": (
            [sent("create", room=None), answered("create", made=ROOM), HandlerEnded()],
            [
                event("conference.created", 3, "created it 3", **LEG_A, conference_id=ROOM),
                moved("joined", 3.1),
                moved("left", 9),
            ],
        ),
        "creator of the last": (
            [sent("create", room=None), answered("create", made=ROOM), HandlerEnded()],
            [moved("joined", 3.1), moved("left", 9), moved("ended", 9)],
        ),
        "comes back": (
            [*JOINS, *LEAVES, sent("join", 2), answered("join", 2), HandlerEnded()],
            [moved("joined", 4), moved("left", 5), moved("joined", 6), moved("left", 9)],
        ),
        "hangs up": (asked, [moved("joined", 4), moved("left", 19.9), hangup]),
        "moves on": (
            [*JOINS, *LEAVES, sent("join", 2, OTHER), answered("join", 2), HandlerEnded()],
            [moved("joined", 4), moved("left", 5), moved("joined", 5, OTHER), moved("left", 8, OTHER)],
        ),
    }
    rng = random.Random(0)
    seen: dict[str, set[tuple[bool, str | None, bool]]] = {name: set() for name in calls}
    too_early = []
    for number in range(10_000):
        name = list(calls)[number % len(calls)]
        commands, webhooks = calls[name]
        final = {what.event_id for what in webhooks if what.event_id.split()[2] in ("9", "8", "19.9", "20")}
        order = [*webhooks, *rng.choices(webhooks, k=len(webhooks))]
        rng.shuffle(order)
        session, was_hung_up, told_out = CallSession(SESSION), False, False
        for at_ms, what in enumerate([*UP, *commands, *order], 1_000):
            session.apply(Entry(session=SESSION, at_unix_ms=at_ms, what=what))
            told_out = told_out or getattr(what, "event_id", None) in final
            is_up = not session.ended and not was_hung_up
            if is_up and next_ending(session, handler_running=False, now_unix_ms=10**9).commands:
                was_hung_up = True
                if not told_out:
                    too_early.append((name, what))
        seen[name].add((session.ended or was_hung_up, session.conference, session.ended))

    assert [] == too_early
    assert {
        "creator": {(True, None, False)},
        "creator of the last": {(True, None, False)},
        "comes back": {(True, None, False)},
        "hangs up": {(True, None, True)},
        "moves on": {(True, None, False)},
    } == seen


@pytest.mark.parametrize(
    "whats", list(itertools.permutations([moved("joined", 3), moved("left", 4), moved("joined", 5)]))
)
def test_of_several_stays_the_last_one_counts(whats: tuple[What, ...]) -> None:
    """In whichever order they come."""
    assert ROOM == session_of(*whats).conference
