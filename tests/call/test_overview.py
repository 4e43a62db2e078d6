"""A call as a row of a list: the same as the fold of its timeline, without the fold."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.call.overview import STREAMS_MAX, CallOverview, encode_overview, fold_overview, parse_overview
from callpath.call.session import Stage, fold
from callpath.timeline import (
    CallChecked,
    CommandAnswered,
    Entry,
    FirstInbound,
    FirstOutbound,
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
    assert "flawed" == overview_of(*WORKED, HandlerFailed(error="ValueError: x", traceback=""), *OVER).outcome
    assert "failed" == overview_of(INITIATED, ANSWERED, HANGUP).outcome
    assert Stage.STREAM_STARTING is overview_of(INITIATED, ANSWERED, HANGUP).missing_stage


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
