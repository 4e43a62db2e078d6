"""A call told to somebody who was not there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.call.session import fold
from callpath.call.story import Story, hung_up_by, tell_story
from callpath.timeline import (
    CallDecided,
    CommandAnswered,
    CommandSent,
    ConsultEnded,
    ConsultStarted,
    Entry,
    HandlerFailed,
    WebhookReceived,
    What,
)
from callpath.wire.ids import CallControlId
from tests.call.timelines import SESSION, timelines

CALLER, NUMBER, SALES = "+15555550123", "+15555550199", "+15555550777"


def told(name: str, leg: str = "a", **payload: Any) -> WebhookReceived:
    ids = {"call_control_id": f"v3:{leg}", "call_leg_id": leg, "call_session_id": SESSION}
    parties = {"from": CALLER, "to": NUMBER} if leg == "a" else {"from": NUMBER, "to": SALES}
    key = f"{name} {leg} {payload}"
    data = {"event_type": name, "id": key, "record_type": "event", "payload": ids | parties | payload}
    return WebhookReceived(event_type=name, event_id=key, body={"data": data})


def sent(command: str, command_id: str = "1", **body: Any) -> CommandSent:
    return CommandSent(command=command, command_id=command_id, call_control_id=CallControlId("v3:a"), body=body)


def answered(command: str, status: int = 200, command_id: str = "1", **how: Any) -> CommandAnswered:
    return CommandAnswered(command=command, command_id=command_id, status=status, **how)


def entries_of(*happened: tuple[float, What]) -> list[Entry]:
    return [Entry(session=SESSION, at_unix_ms=round(1_000_000 + at * 1000), what=what) for at, what in happened]


def story_of(*happened: tuple[float, What]) -> Story:
    entries = entries_of(*happened)
    return tell_story(fold(SESSION, entries), entries)


def sentences(story: Story) -> list[str]:
    return [step.text for step in story.steps]


RINGS = (0, told("call.initiated", direction="incoming"))
UP = (0.3, told("call.answered"))
TRANSFER = [(1, sent("transfer", to=SALES)), (1.1, answered("transfer"))]
B_RINGS = (1.2, told("call.initiated", "b", direction="outgoing"))
B_UP = (5.2, told("call.answered", "b"))
JOINED = [(5.3, told("call.bridged", "b")), (5.3, told("call.bridged"))]


def ends(at: float, leg: str = "a", cause: str = "normal_clearing", source: str = "caller") -> tuple[float, What]:
    return at, told("call.hangup", leg, hangup_cause=cause, hangup_source=source)


def test_a_transferred_call_reads_as_it_happened() -> None:
    """Who called, answered, transferred to whom, rang how long, what came of it, who hung up."""
    story = story_of(
        RINGS, UP, *TRANSFER, B_RINGS, B_UP, *JOINED, ends(28, "b", source="callee"), ends(28, source="callee")
    )

    assert sentences(story) == [
        f"{CALLER} called {NUMBER}.",
        "Answered after 0.3 s.",
        f"Transferring to {SALES}: it rings.",
        f"{SALES} answered after 4.0 s.",
        f"The caller and {SALES} were joined.",
        "The other party hung up 27.7 s after the answer.",
    ]
    assert [(one.letter, one.role, one.number, one.words) for one in story.parties] == [
        ("A", "caller", CALLER, "rang 0.3 s, answered, joined for 22.7 s, up for 27.7 s"),
        ("B", "transfer", SALES, "rang 4.0 s, answered, joined for 22.7 s, up for 22.8 s"),
    ]


def test_a_busy_transfer_and_the_one_after_it() -> None:
    """Each has its own leg."""
    second = [(4, sent("transfer", "2", to="+15555550778")), (4.1, answered("transfer", command_id="2"))]
    third = told("call.initiated", "c", direction="outgoing", to="+15555550778")
    story = story_of(
        RINGS, UP, *TRANSFER, B_RINGS, ends(3, "b", "user_busy", "unknown"), *second, (4.2, third),
        (6, told("call.answered", "c")), ends(20), ends(20, "c"),
    )  # fmt: skip

    assert f"{SALES} rang for 1.8 s and did not answer: the line was busy (user_busy)." in sentences(story)
    assert [(one.letter, one.role, one.number) for one in story.parties] == [
        ("A", "caller", CALLER), ("B", "transfer", SALES), ("C", "transfer", "+15555550778"),
    ]  # fmt: skip


SAID: dict[str, tuple[list[tuple[float, What]], str]] = {
    "a refused transfer": (
        [RINGS, UP, (1, sent("transfer", to=SALES)),
         (1.1, answered("transfer", 403, error_code="10010", error_detail="Unverified origination number D51"))],
        "The transfer was refused by Telnyx: the number shown as caller ID is not yours and not verified (10010 "
        "Unverified origination number D51)."),
    "an outgoing call": (
        [(0, told("call.initiated", direction="outgoing"))], f"{NUMBER} was dialled from {CALLER}."),
    "an outgoing call that is answered": (
        [(0, told("call.initiated", direction="outgoing")), (6, told("call.answered"))], "Somebody answered after 6.0 s."),
    "a voicemail": (
        [(0, told("call.initiated", direction="outgoing")), (6, told("call.answered")),
         (9, told("call.machine.premium.detection.ended", result="machine")),
         (12, told("call.machine.premium.greeting.ended", result="beep_detected"))],
        "Telnyx detected a machine (voicemail); the beep was heard."),
    "a busy number": (
        [(0, told("call.initiated", direction="outgoing")), (4, told("call.hangup", hangup_cause="user_busy",
                                                                     sip_hangup_cause="486"))],
        "It was not answered: the line was busy (user_busy, SIP 486)."),
    "a rejection": (
        [RINGS, (0.1, CallDecided(decision="reject", cause="USER_BUSY"))], "The application rejected it as busy."),
    "a rejection that was carried out": (
        [RINGS, (0.1, sent("reject")), (0.2, answered("reject")), ends(0.3, cause="user_busy", source="unknown")],
        "callpath rejected it: the line was busy (user_busy)."),
    "a forward that was taken": (
        [RINGS, *TRANSFER, B_RINGS, B_UP, *JOINED, ends(28, "b", source="callee"), ends(28, source="callee")],
        "The other party hung up 22.7 s after the two were joined."),
    "a forward": (
        [RINGS, (0.1, CallDecided(decision="forward", to=SALES))], f"The application forwarded it to {SALES}."),
    "keys": (
        [RINGS, UP, (5, told("call.gather.ended", digits="12", status="valid"))],
        "Keys were gathered: 2 keys, entered as asked."),
    "a conference": (
        [RINGS, UP, (5, told("conference.participant.joined"))], "The caller joined the conference."),
    "a handler that raised": (
        [RINGS, UP, (2, HandlerFailed(error="ValueError: x", traceback=""))], "The handler failed: ValueError: x."),
    "a consult": (
        [RINGS, UP, (2, ConsultStarted(command_id="c", to=SALES, connection_id="1", from_=NUMBER))],
        f"A second call goes to {SALES}, to ask somebody about this one."),
    "a consult that was declined": (
        [RINGS, UP, (9, ConsultEnded(command_id="c", status="declined", reason="busy with another caller"))],
        "The second party declined: busy with another caller."),
    "a consult that joined the two": (
        [RINGS, UP, (9, ConsultEnded(command_id="c", status="joined"))], "The caller and the second party were joined."),
    "a time limit": (
        [RINGS, UP, ends(60, cause="time_limit", source="unknown")],
        "The call ended 59.7 s after the answer: the call's time limit was reached (time_limit)."),
    "our own hang-up": (
        [RINGS, UP, (8, sent("hangup")), (8.1, answered("hangup")), ends(8.2, source="callee")],
        "callpath hung up 7.9 s after the answer."),
    "a caller who gave up": (
        [RINGS, ends(20, cause="originator_cancel")],
        "The caller hung up before it was answered: cancelled before anybody answered (originator_cancel)."),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_each_thing_that_can_happen_has_a_sentence(name: str) -> None:
    """Words, not JSON."""
    happened, sentence = SAID[name]

    assert sentence in sentences(story_of(*happened))


HANGS_UP: dict[str, tuple[list[tuple[float, What]], str]] = {
    "the caller": ([RINGS, UP, ends(9)], "the caller"),
    "the dialled party": (
        [(0, told("call.initiated", direction="outgoing")), UP, ends(9, source="callee")], "the called party"),
    "the caller, of a transferred call": (
        [RINGS, UP, *TRANSFER, B_RINGS, B_UP, *JOINED, ends(9), ends(9, "b", source="caller")], "the caller"),
    "nobody said": ([RINGS, UP, ends(9, cause="unspecified", source="unknown")], ""),
    "nobody yet": ([RINGS, UP], ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HANGS_UP)
def test_who_hung_up(name: str) -> None:
    """The first question about a call that ended early."""
    happened, who = HANGS_UP[name]

    assert hung_up_by(fold(SESSION, entries_of(*happened))) == who


@given(timelines(), st.data())
@settings(deadline=None, max_examples=60)
def test_any_timeline_has_a_story_in_order(entries: list[Entry], data: st.DataObject) -> None:
    """Webhooks come late, twice and out of order; the legs are the same in each order."""
    story = tell_story(fold(SESSION, entries), entries)
    mixed = data.draw(st.permutations(entries))

    assert [step.at_unix_ms for step in story.steps] == sorted(step.at_unix_ms for step in story.steps)
    assert tell_story(fold(SESSION, mixed), mixed).parties == story.parties
