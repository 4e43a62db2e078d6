"""A call as a row of a list: the same as the fold of its timeline, without the fold."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.call.overview import STREAMS_MAX, CallOverview, encode_overview, fold_overview, parse_overview
from callpath.call.session import Stage, fold
from callpath.timeline import (
    CallChecked,
    CallDecided,
    CommandAnswered,
    ConsultEnded,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerEnded,
    HandlerFailed,
    MediaCounted,
    MediaSymptom,
    RecordingNotStored,
    RecordingSaved,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    WebhookReceived,
    What,
)
from callpath.wire.ids import SessionId, StreamId
from tests.call.test_session import ANSWERED, HANGUP, INITIATED
from tests.call.timelines import SESSION, event, timelines

STREAM = StreamId("s1")
WORKED: list[What] = [
    INITIATED,
    ANSWERED,
    StreamStarting(within="streaming_start"),
    StreamAccepted(status=200),
    SocketReceived(path="/api/calls/x/audio"),
    StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000),
    FirstInbound(stream_id=STREAM, payload_bytes=160),
    FirstOutbound(stream_id=STREAM, payload_bytes=160),
]
OVER: list[What] = [
    MediaCounted(stream_id=STREAM, frames_in=100, frames_out=90, lost=2, late=1),
    StreamStopped(stream_id=STREAM),
    SocketClosed(code=1000),
    HANGUP,
]


def overview_of(*whats: What) -> CallOverview:
    return kept([Entry(session=SESSION, at_unix_ms=1000 + at, what=what) for at, what in enumerate(whats, 1)])


def kept(entries: list[Entry]) -> CallOverview:
    """As a store keeps it: entry by entry, and from the whole timeline where one came late."""
    overview, timeline = CallOverview(session=SESSION), list[Entry]()
    for number, entry in enumerate(entries, 1):
        timeline.append(msgspec.structs.replace(entry, number=number))
        if not overview.apply(timeline[-1]):
            overview = fold_overview(SESSION, timeline)
    return overview


ENDED_UNHEARD: list[What] = [
    CallChecked(alive=False),
    CallChecked(alive=True),
    CommandAnswered(command="answer", command_id="c", status=422, error_code="90018"),
]


@given(timelines(), st.data())
@settings(deadline=None, max_examples=200)
def test_a_row_does_not_depend_on_the_order(entries: list[Entry], data: st.DataObject) -> None:
    """Two nodes store what they have at the same time. Only the last line is that of the last number."""
    one, other = kept(entries), kept(data.draw(st.permutations(entries)))

    assert msgspec.structs.replace(one, last_line="") == msgspec.structs.replace(other, last_line="")


@given(timelines())
@settings(deadline=None, max_examples=400)
def test_it_says_what_the_fold_says(entries: list[Entry]) -> None:
    """The list and the call's own page must never disagree, in whichever order entries came."""
    overview, session = kept(entries), fold(SESSION, entries)
    leg = session.leg

    assert (session.state, session.missing_stage()) == (overview.state, overview.missing_stage)
    assert {stage for stage in Stage if overview.stages >> stage & 1} == set(session.stages)
    assert (session.frames_in, session.frames_out) == (overview.frames_in, overview.frames_out)
    assert (session.ended_unix_ms, session.ended and leg is not None) == (
        overview.ended_unix_ms,
        overview.leg is not None and overview.outcome != "live",
    )
    assert session.answered_unix_ms == (overview.answered_unix_ms or 0)
    assert session.handler_error == overview.handler_error
    assert (session.first_unix_ms or 0, session.last_unix_ms or 0) == (overview.first_unix_ms, overview.last_unix_ms)
    if leg is not None:
        assert (leg.leg_id, leg.direction, leg.from_, leg.to, leg.hangup_cause) == (
            overview.leg,
            overview.direction,
            overview.from_,
            overview.to,
            overview.hangup_cause,
        )
    assert (len(entries), len(entries)) == (overview.entries, overview.number)
    assert (session.leg is not None and session.ended) == (overview.state == "ended")


def test_the_outcome_of_a_call() -> None:
    """What an operator filters by: a call that carried audio badly is neither good nor failed."""
    symptom = MediaSymptom(code="MEDIA101", slug="x", meaning="choppy")

    assert "live" == overview_of(*WORKED).outcome
    assert ["failed"] * 2 == [overview_of(INITIATED, what).outcome for what in (ENDED_UNHEARD[0], ENDED_UNHEARD[2])]
    assert "good" == overview_of(*WORKED, *OVER).outcome
    assert "flawed" == overview_of(*WORKED, symptom, *OVER).outcome
    held_up = overview_of(*WORKED, MediaCounted(stream_id=STREAM, loop_lag_ms=100.1), *OVER)
    assert ("flawed", ["SYM013"]) == (held_up.outcome, held_up.symptoms)
    assert Stage.STREAM_STARTING is overview_of(INITIATED, ANSWERED, HANGUP).missing_stage


def accepted(command: str, command_id: str = "c") -> CommandAnswered:
    return CommandAnswered(command=command, command_id=command_id, status=200)


def told(name: str, leg: str = "leg-a", **payload: Any) -> WebhookReceived:
    """An event of one leg; all of them occurred in the order in which they came."""
    ids = {"call_control_id": f"v3:{leg}", "call_leg_id": leg, "call_session_id": SESSION}
    key = f"{name} {leg} {payload}"
    data = {"event_type": name, "id": key, "record_type": "event", "payload": ids | payload}
    return WebhookReceived(event_type=name, event_id=key, body={"data": data})


def other(name: str, leg: str = "leg-b", **payload: Any) -> WebhookReceived:
    """An event of another leg, which was dialled."""
    return told(name, leg, **({"direction": "outgoing"} | payload))


def ended(cause: str = "normal_clearing", source: str = "caller") -> WebhookReceived:
    return told("call.hangup", hangup_cause=cause, hangup_source=source)


CRASH = HandlerFailed(error="ValueError: x", traceback="")
RINGS, UP = told("call.initiated", direction="incoming"), told("call.answered")
RINGS_OUT = told("call.initiated", direction="outgoing")
WORKS: list[What] = [RINGS, UP, *WORKED[2:]]
HEARD = WORKS[:-1]  # all but our own audio
B_UP = [other("call.initiated"), other("call.answered"), other("call.bridged"), told("call.bridged")]

GRADES: dict[str, tuple[list[What | int], str, str]] = {
    # name: (what happened; a number is a wait in ms), grade, result
    "talked": ([*WORKS, 9_000, ended()], "good", "talked"),
    "talked, and the bot hung up": ([*WORKS, 9_000, ended(source="callee")], "good", "talked"),
    "only played": ([*WORKS, 9_000, HandlerEnded(), ended(source="callee")], "good", "talked"),
    "Telnyx spoke": ([*HEARD, accepted("speak"), 5_000, ended(source="callee")], "good", "spoken to"),
    "Telnyx spoke, before the caller was heard": (
        [*WORKS[:-2], accepted("speak"), 5_000, ended(source="callee")], "good", "spoken to"),
    "Telnyx played": ([*HEARD, accepted("playback_start"), 5_000, ended(source="callee")], "good", "spoken to"),
    "transferred": ([*HEARD, accepted("transfer"), *B_UP, 9_000, ended()], "good", "transferred"),
    "transferred, without a bridge event": (
        [*HEARD, accepted("transfer"), other("call.initiated"), other("call.answered"), 9_000, ended()],
        "good", "transferred"),
    "transferred, and hung up while it rang": (
        [*HEARD, accepted("transfer"), other("call.initiated"), 9_000, ended()], "good", "transferred"),
    "transfer to a busy number, and no word": (
        [*HEARD, accepted("transfer"), other("call.initiated"), other("call.hangup", hangup_cause="user_busy"), 9_000,
         ended()], "failed", "no audio"),
    "transfer to a busy number, then Telnyx spoke": (
        [*HEARD, accepted("transfer"), other("call.initiated"), other("call.hangup", hangup_cause="user_busy"),
         accepted("speak"), 9_000, ended()], "good", "spoken to"),
    "the second of two transfers": (
        [*HEARD, accepted("transfer", "1"), other("call.hangup", hangup_cause="user_busy"), accepted("transfer", "2"),
         other("call.answered", leg="leg-c"), 9_000, ended()], "good", "transferred"),
    "transferred to a voicemail, and back": (
        [*HEARD, accepted("transfer"), *B_UP, other("call.machine.detection.ended", result="machine"),
         other("call.hangup"), accepted("speak"), 4_000, ended(source="callee")], "good", "spoken to"),
    "transferred to a voicemail, and left there": (
        [*HEARD, accepted("transfer"), *B_UP, other("call.machine.detection.ended", result="machine"), 30_000, ended()],
        "failed", "no audio"),
    "bridged": ([*HEARD, accepted("bridge"), 9_000, ended()], "good", "transferred"),
    "a refused transfer": (
        [*WORKS, CommandAnswered(command="transfer", command_id="t", status=403, error_code="10010", error_detail="x D51"),
         9_000, ended()], "flawed", "talked"),
    "a refused transfer, and another that worked": (
        [*WORKS, CommandAnswered(command="transfer", command_id="t", status=403, error_code="10010", error_detail="x D51"),
         accepted("transfer", "2"), *B_UP, 9_000, ended()], "good", "transferred"),
    "a transfer that came too late": (
        [*WORKS, CommandAnswered(command="transfer", command_id="t", status=422, error_code="90018"), 9_000, ended()],
        "good", "talked"),
    "consulted, and joined": (
        [*HEARD, ConsultEnded(command_id="c", status="joined"), 9_000, ended()], "good", "transferred"),
    "consulted, declined, and no word": (
        [*HEARD, ConsultEnded(command_id="c", status="declined"), 9_000, ended()], "failed", "no audio"),
    "in a conference": ([*HEARD, told("conference.participant.joined"), 9_000, ended()], "good", "transferred"),
    "referred": ([*HEARD, told("call.refer.completed"), 9_000, ended()], "good", "transferred"),
    "a handler that raised": ([*WORKS, CRASH, 100, ended(source="callee")], "failed", "handler crashed"),
    "a handler that raised, and said sorry": (
        [*HEARD, CRASH, accepted("speak"), 4_000, ended(source="callee")], "failed", "handler crashed"),
    "a handler that raised, and transferred": (
        [*HEARD, CRASH, accepted("transfer"), *B_UP, 9_000, ended()], "failed", "handler crashed"),
    "raised after the end": ([*WORKS, 9_000, ended(), 100, CRASH], "flawed", "talked"),
    "rejected by decision": (
        [RINGS, CallDecided(decision="reject", cause="USER_BUSY"), accepted("reject"), 10, ended("user_busy")],
        "unconnected", "rejected"),
    "left to ring by decision": (
        [RINGS, CallDecided(decision="ignore"), 30_000, ended("originator_cancel")], "unconnected", "left ringing"),
    "forwarded by decision": (
        [RINGS, CallDecided(decision="forward", to="+15555550142"), accepted("transfer"), *B_UP, 9_000, ended()],
        "good", "forwarded"),
    "forwarded to nobody": (
        [RINGS, CallDecided(decision="forward", to="+15555550142"), accepted("transfer"), other("call.initiated"),
         other("call.hangup", hangup_cause="timeout"), 100, ended("timeout", "unknown")], "unconnected", "no answer"),
    "busy": ([RINGS_OUT, 4_000, ended("user_busy", "unknown")], "unconnected", "busy"),
    "no answer": ([RINGS_OUT, 30_000, ended("timeout", "unknown")], "unconnected", "no answer"),
    "no answer, one route": ([RINGS_OUT, 30_000, ended("no_answer", "unknown")], "unconnected", "no answer"),
    "declined": ([RINGS_OUT, 4_000, ended("call_rejected", "callee")], "unconnected", "declined"),
    "no such number": ([RINGS_OUT, 4_000, ended("not_found", "unknown")], "unconnected", "unreachable"),
    "cancelled by us": ([RINGS_OUT, 4_000, ended("originator_cancel")], "unconnected", "cancelled"),
    "a carrier's fault": ([RINGS_OUT, 4_000, ended("unspecified", "unknown")], "failed", "not answered"),
    "voicemail, and the bot left": (
        [RINGS_OUT, *HEARD[1:], told("call.machine.detection.ended", result="machine"), 9_000,
         ended(source="caller")], "unconnected", "voicemail"),
    "voicemail, with a message": (
        [RINGS_OUT, *WORKS[1:], told("call.machine.detection.ended", result="machine"), 9_000, ended()],
        "good", "talked"),
    "a fax": (
        [RINGS_OUT, *HEARD[1:], told("call.machine.premium.detection.ended", result="fax_detected"), 9_000,
         ended()], "unconnected", "fax"),
    "the caller gave up ringing": ([RINGS, 1_500, ended("originator_cancel")], "unconnected", "caller gave up"),
    "the caller gave up at the answer": ([RINGS, UP, 400, ended()], "unconnected", "caller gave up"),
    "nobody answered the webhook": ([RINGS, 30_000, ended("originator_cancel")], "failed", "not answered"),
    "the answer was refused": (
        [RINGS, CommandAnswered(command="answer", command_id="c", status=403, error_code="20012"), 900,
         ended("originator_cancel")], "failed", "not answered"),
    "answered, and no stream": ([RINGS, UP, 9_000, ended()], "failed", "no audio"),
    "answered, and the socket did not open": (
        [*WORKS[:4], told("streaming.failed", failure_reason="connection_failed"), 300, ended()], "failed", "no audio"),
    "the handler said nothing": ([*HEARD, 9_000, ended()], "failed", "no audio"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRADES)
def test_the_grade_of_a_call(name: str) -> None:
    """Busy, voicemail and a rejection on purpose are outcomes; a call that was served is good, by whatever means."""
    happened, outcome, result = GRADES[name]
    at, entries = 1_000, []
    for what in happened:
        if isinstance(what, int):
            at += what
        else:
            at += 1
            entries.append(Entry(session=SESSION, at_unix_ms=at, what=what))
    overview = kept(entries)

    assert (overview.outcome, overview.result) == (outcome, result)
    assert fold_overview(SESSION, reversed(entries)).result == result


def test_what_went_wrong_stands_in_the_row() -> None:
    """It is read off the list, without opening each call."""
    refused = SocketRejected(status=401, reason="no_token", detail="", path="/")
    overview = overview_of(INITIATED, refused, event("streaming.failed"))

    assert "upgrade rejected: 401 no_token" == overview_of(INITIATED, refused).stream_failure
    assert overview.stream_failure is not None
    assert overview.stream_failure.startswith("streaming.failed: ")
    assert 3 == overview_of(*WORKED, *OVER).frames_in_trouble
    assert overview_of(RecordingSaved(path="/x.wav", duration_ms=1.0)).recorded
    for recorded_ms, there in ((1.0, True), (0.0, False), (None, False)):
        ended = RecordingNotStored(path="/x.wav", code="REC007", slug="", detail="", recorded_ms=recorded_ms)
        assert there == overview_of(ended).recorded


def test_a_second_leg_changes_nothing() -> None:
    """After a transfer the other party's hang-up is not the end of our leg."""
    other = event("call.hangup", call_leg_id="another-leg", call_control_id="v3:other")

    assert "answered" == overview_of(INITIATED, ANSWERED, other).state


def test_it_comes_back_from_a_store_as_it_was() -> None:
    """Each append reads it, changes it and writes it again."""
    overview = overview_of(*WORKED, MediaSymptom(code="M1", slug="x", meaning="y"), *OVER)

    assert overview == parse_overview(encode_overview(overview))
    assert parse_overview(b"[]") is None
    assert parse_overview(b"") is None


def test_it_does_not_grow_with_the_call() -> None:
    """A socket that reconnects for hours must not make the row larger and larger."""
    counted = [MediaCounted(stream_id=StreamId(f"s{number}"), frames_in=1) for number in range(500)]

    assert STREAMS_MAX == len(overview_of(*counted).counts)
    assert SessionId(SESSION) == overview_of(*counted).session
