"""What became of a leg that was dialled, and what its client_state carries."""

from __future__ import annotations

import base64
import itertools
import json
import random
from typing import Any

import pytest

from callpath.call.client_state import ClientState, decode_client_state, encode_client_state
from callpath.call.leg import Leg
from callpath.call.numbers import is_number, same_number
from callpath.call.outcomes import (
    DETECTION_MS_MAX,
    VERDICT_MS_MAX,
    Dialled,
    Transferred,
    dial_outcome,
    leg_status,
    refusal_code,
    transfer_outcome,
)
from callpath.call.session import CallSession
from callpath.timeline import CommandAnswered, CommandSent, Entry, What
from callpath.wire.command import Transfer
from callpath.wire.document import write
from callpath.wire.ids import LegId
from tests.call.timelines import LEG_A, LEG_B, SESSION, A, B, event

COMMAND_ID = "transfer 1"
OURS = encode_client_state(ClientState(leg=COMMAND_ID))
SENT = CommandSent(
    command="transfer", command_id=COMMAND_ID, call_control_id=A, body=write(Transfer(to="+15555550177"))
)
ACCEPTED = CommandAnswered(command="transfer", command_id=COMMAND_ID, status=200)
B_RINGS = event("call.initiated.target-leg", 10, **LEG_B, client_state=OURS)
B_ANSWERS = event("call.answered.target-leg", 12, **LEG_B, client_state=OURS)
BRIDGED = [event("call.bridged.target-leg", 12.1, **LEG_B), event("call.bridged", 12.1, **LEG_A)]
A_UP = [event("call.initiated.inbound", 1, **LEG_A), event("call.answered", 2, **LEG_A)]


def ended(cause: str, sip_code: str | None = None) -> What:
    return event("call.hangup.user_busy", 14, **LEG_B, hangup_cause=cause, sip_hangup_cause=sip_code)


def told(*whats: What, detects: bool = False, after_ms: int = 0) -> Transferred | None:
    session = CallSession(SESSION)
    for at_ms, what in enumerate((*A_UP, SENT, *whats), 1_000):
        session.apply(Entry(session=SESSION, at_unix_ms=at_ms, what=what))
    now = 1_000 + len(A_UP) + 1 + len(whats) + after_ms
    return transfer_outcome(session, COMMAND_ID, detects=detects, now_unix_ms=now)[0]


def test_nothing_is_known_until_the_other_phone_says_so() -> None:
    """Telnyx's 200 means that it will dial."""
    assert told() is None
    assert told(ACCEPTED) is None
    assert told(ACCEPTED, B_RINGS) is None


def test_an_answer_is_an_answer_by_whatever_event() -> None:
    """One of the three may be lost."""
    expected = Transferred("answered", call_control_id=B)

    assert told(ACCEPTED, B_RINGS, B_ANSWERS) == expected
    assert told(ACCEPTED, B_RINGS, BRIDGED[0]) == expected
    assert told(B_ANSWERS) == expected


@pytest.mark.parametrize(
    ("cause", "sip_code", "status"),
    [
        ("user_busy", "486", "busy"),
        ("timeout", None, "no_answer"),
        ("no_answer", "480", "no_answer"),
        ("call_rejected", "603", "rejected"),
        ("not_found", "404", "unreachable"),
        ("unspecified", "480", "unreachable"),
        ("unspecified", "503", "failed"),
        ("something_new", None, "failed"),
    ],
)
def test_why_nobody_answered(cause: str, sip_code: str | None, status: str) -> None:
    """By Telnyx's cause, and by the SIP code where that says nothing."""
    outcome = told(ACCEPTED, B_RINGS, ended(cause, sip_code))

    assert outcome is not None
    assert (outcome.status, outcome.cause, outcome.sip_code) == (status, cause, sip_code or outcome.sip_code)


def test_the_order_of_the_events_does_not_matter() -> None:
    """Webhooks come late, twice and out of order; each order of delivery ends in the same word."""
    for whats in ([ACCEPTED, B_RINGS, B_ANSWERS, *BRIDGED], [ACCEPTED, B_RINGS, ended("user_busy", "486"), B_RINGS]):
        outcomes = {str(told(*order)) for order in itertools.permutations(whats)}

        assert len(outcomes) == 1, outcomes


@pytest.mark.parametrize(
    ("detail", "code", "expected"),
    [
        ("Insufficient funds D17", "10010", "D17"),
        ("This account is inactive D60. Please contact", "10010", "D60"),
        ("The number is invalid", "10016", "10016"),
        (None, None, None),
    ],
)
def test_what_telnyx_refuses_has_its_d_code(detail: str | None, code: str | None, expected: str | None) -> None:
    """It stands in the text."""
    answer = CommandAnswered(
        command="transfer", command_id=COMMAND_ID, status=403, error_code=code, error_detail=detail
    )
    outcome = told(answer)

    assert refusal_code(answer) == expected
    assert outcome is not None and (outcome.status, outcome.code) == ("refused", expected)


def test_an_answer_that_was_lost_is_no_refusal_where_the_phone_rang() -> None:
    """The leg tells that the command was carried out."""
    lost = CommandAnswered(command="transfer", command_id=COMMAND_ID, error_detail="no answer came")

    assert told(lost, B_RINGS) is None
    assert told(lost, B_RINGS, B_ANSWERS) == Transferred("answered", call_control_id=B)


@pytest.mark.parametrize(
    ("result", "status"), [("human_residence", "answered"), ("machine", "voicemail"), ("not_sure", "answered")]
)
def test_a_verdict_is_waited_for_and_not_for_long(result: str, status: str) -> None:
    """Both talk to each other meanwhile; a verdict may never come."""
    verdict = event("call.machine.premium.detection.ended", 13, **LEG_B, result=result)
    up = (ACCEPTED, B_RINGS, B_ANSWERS)

    assert told(*up, detects=True) is None
    outcome = told(*up, verdict, detects=True)
    assert outcome is not None and outcome.status == status
    late = told(*up, detects=True, after_ms=VERDICT_MS_MAX)
    assert late is not None and late.status == "answered"


def test_each_transfer_has_its_own_leg() -> None:
    """The leg of the first one, which was busy, says nothing of the second."""
    second = "transfer 2"
    state = encode_client_state(ClientState(leg=second))
    third: dict[str, Any] = {"call_leg_id": "leg-c", "call_control_id": "v3:c"}
    session = CallSession(SESSION)
    whats = [
        *A_UP,
        SENT,
        ACCEPTED,
        B_RINGS,
        ended("user_busy"),
        CommandSent(command="transfer", command_id=second, call_control_id=A, body=SENT.body),
        event("call.initiated.target-leg", 20, **third, client_state=state),
    ]
    for at_ms, what in enumerate(whats, 1_000):
        session.apply(Entry(session=SESSION, at_unix_ms=at_ms, what=what))
    first, _ = transfer_outcome(session, COMMAND_ID, detects=False, now_unix_ms=2_000)
    other, _ = transfer_outcome(session, second, detects=False, now_unix_ms=2_000)

    assert first is not None and first.status == "busy"
    assert other is None


def test_a_leg_that_nobody_knows_anything_of_has_failed() -> None:
    """Not "busy", and not answered."""
    assert leg_status(Leg(LegId("leg-b"), B, (0, ""))) == "failed"


@pytest.mark.parametrize(
    "state",
    [
        ClientState(),
        ClientState(text="order 42"),
        ClientState(text="order 42", handler="remind", leg="dial 1", variables={"name": "Ada", "n": [1, 2]}),
    ],
)
def test_a_client_state_comes_back_as_it_went(state: ClientState) -> None:
    """Telnyx repeats it in each webhook of the leg."""
    assert decode_client_state(encode_client_state(state)) == state


@pytest.mark.parametrize(
    ("client_state", "text"),
    [
        (None, None),
        (base64.b64encode(b"order 42").decode(), "order 42"),
        (base64.b64encode(b'{"order": 42}').decode(), '{"order": 42}'),
        (base64.b64encode(b"[1]").decode(), "[1]"),
        ("no base64!", "no base64!"),
        (base64.b64encode(b"\xff\xfe").decode(), base64.b64encode(b"\xff\xfe").decode()),
        (base64.b64encode(json.dumps({"callpath": 7}).encode()).decode(), '{"callpath": 7}'),
    ],
)
def test_the_client_state_of_others_is_read_as_it_is(client_state: str | None, text: str | None) -> None:
    """An application that sets its own has it back, decoded."""
    assert decode_client_state(client_state) == ClientState(text=text)


def test_numbers() -> None:
    """In E.164, or a SIP address."""
    good = ["+15555550123", "+4930123456", "sip:me@example.com", "sips:me@example.com:5061"]
    bad = ["", "15555550123", "+0123456789", "+1 555 555 0123", "+1555555012a", "me@example.com", "+15555550123456789"]

    assert [is_number(number) for number in good] == [True] * len(good)
    assert [is_number(number) for number in bad] == [False] * len(bad)
    assert same_number("sip:Me@example.com;transport=tls", "sips:me@example.com")
    assert not same_number(None, None)


def dial_told(*whats: What, detects: bool = False, after_ms: int = 0) -> Dialled | None:
    session = CallSession(SESSION)
    for at_ms, what in enumerate(whats, 1_000):
        session.apply(Entry(session=SESSION, at_unix_ms=at_ms, what=what))
    now = 1_000 + len(whats) + after_ms
    return dial_outcome(session, LegId("leg-b"), detects=detects, now_unix_ms=now)[0]


def test_what_became_of_a_dial() -> None:
    """Nothing is known while it rings; a verdict is waited for where one was asked for, and no longer than Telnyx takes."""
    verdict = event("call.machine.premium.detection.ended", 13, **LEG_B, result="human_business")
    up = (B_RINGS, B_ANSWERS)

    assert dial_told() is None
    assert dial_told(B_RINGS) is None
    assert dial_told(*up) == Dialled("answered", SESSION, B)
    assert dial_told(*up, detects=True) is None
    assert dial_told(*up, verdict, detects=True) == Dialled("human", SESSION, B, answered_by="human_business")
    late = dial_told(*up, detects=True, after_ms=DETECTION_MS_MAX)
    assert late == Dialled("answered", SESSION, B)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("human", "human"),
        ("human_residence", "human"),
        ("machine", "machine"),
        ("silence", "machine"),
        ("fax_detected", "fax"),
        ("not_sure", "answered"),
        ("something_new", "answered"),
    ],
)
def test_every_verdict_has_a_word(result: str, status: str) -> None:
    """One that is not known is none."""
    verdict = event("call.machine.premium.detection.ended", 13, **LEG_B, result=result)
    outcome = dial_told(B_RINGS, B_ANSWERS, verdict, detects=True)

    assert outcome is not None and outcome.status == status


@pytest.mark.parametrize(
    ("result", "greeting", "screens", "beep", "provisional"),
    [
        ("machine", None, False, None, False),
        ("machine", "beep_detected", False, True, False),
        ("machine", "no_beep_detected", False, False, False),
        ("not_sure", None, False, None, True),
        ("machine", None, True, None, True),
        ("machine", "prompt_ended", True, False, False),
        ("human_residence", None, True, None, False),
    ],
)
def test_a_verdict_that_may_change_is_provisional(
    result: str, greeting: str | None, screens: bool, beep: bool | None, provisional: bool
) -> None:
    """Who hangs up on it loses a person. `screens`: detection looks for phones that screen their calls."""
    session = CallSession(SESSION)
    told = [B_RINGS, B_ANSWERS, event("call.machine.premium.detection.ended", 13, **LEG_B, result=result)]
    if greeting is not None:
        told.append(event("call.machine.premium.greeting.ended", 14, **LEG_B, result=greeting))
    for what in told:
        session.apply(Entry(session=SESSION, at_unix_ms=1_000, what=what))
    outcome, _ = dial_outcome(session, LegId("leg-b"), detects=True, now_unix_ms=2_000, screens=screens)

    assert outcome is not None
    assert (outcome.answered_by, outcome.beep, outcome.provisional) == (result, beep, provisional)


def test_a_screening_phone_is_no_machine_and_may_become_a_person() -> None:
    """`machine` before it was provisional, and detection begins again."""
    machine = event("call.machine.premium.detection.ended", 13, "first", **LEG_B, result="machine")
    screening = event("call.machine.premium.call_screening.detected", 14, **LEG_B, result="screening")
    person = event("call.machine.premium.detection.ended", 15, "second", **LEG_B, result="human_residence")
    up = [B_RINGS, B_ANSWERS]
    statuses = {
        dial_told(*order, detects=True).status  # type: ignore[union-attr]
        for order in itertools.permutations([*up, machine, screening])
    }

    assert statuses == {"screening"}
    after = dial_told(*up, machine, screening, person, detects=True)
    assert after is not None and after.status == "human"


def test_ten_thousand_orders_of_a_dials_webhooks_end_in_one_word() -> None:
    """Late, twice and out of order: whichever way they come, the call is in one state, and no leg is left up."""
    ends = event("call.hangup.user_busy", 20, **LEG_B, hangup_cause="normal_clearing", sip_hangup_cause="200")
    verdict = event("call.machine.premium.detection.ended", 13, **LEG_B, result="human_residence")
    greeting = event("call.machine.premium.greeting.ended", 14, **LEG_B, result="no_beep_detected")
    whats = [B_RINGS, B_ANSWERS, verdict, greeting, ends]
    order = [*whats, B_RINGS, B_ANSWERS, ends]
    rng = random.Random(0)
    seen = set()
    for _ in range(10_000):
        rng.shuffle(order)
        session = CallSession(SESSION)
        for at_ms, what in enumerate(order, 1_000):
            session.apply(Entry(session=SESSION, at_unix_ms=at_ms, what=what))
        outcome, _ = dial_outcome(session, LegId("leg-b"), detects=True, now_unix_ms=2_000)
        assert outcome is not None
        seen.add((outcome.status, session.ended, session.state))

    assert seen == {("human", True, "ended")}
