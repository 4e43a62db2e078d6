"""The state of a call is a fold over its timeline: any order, any repetition, one result."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.call.leg import LegState
from callpath.call.plan import StreamPlan
from callpath.call.session import CallSession, Stage, fold, missing_stage_sentence
from callpath.timeline import (
    CallChecked,
    CallRecovered,
    CallStuck,
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MediaCounted,
    PolicyActed,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.command import Answer, StreamingStart
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, StreamId
from tests.call.timelines import SESSION, event, timelines

PLAN = StreamPlan(public_url="https://calls.example.com")
STREAM = StreamId("s1")


def timeline(*whats: What) -> list[Entry]:
    return [Entry(session=SESSION, at_unix_ms=1000 + at, what=what) for at, what in enumerate(whats)]


def sent(command: Answer | StreamingStart) -> CommandSent:
    return CommandSent(command=command.NAME, command_id=command.command_id or "", body=write(command))


INITIATED = event("call.initiated.inbound")
ANSWERED = event("call.answered")
HANGUP = event("call.hangup")


def test_a_ringing_call_is_answered() -> None:
    """With nothing about the stream: it is asked for on its own, once the call is up."""
    session = fold(SESSION, timeline(INITIATED))
    (command,) = session.next_commands(PLAN, "token")

    assert session.state == "ringing"
    assert isinstance(command, Answer)
    assert command.stream_url is None
    assert command.send_silence_when_idle is True


def test_an_answered_call_gets_its_stream() -> None:
    """Each parameter whose default makes a stream one-way is sent."""
    answer = PLAN.answer("v3:x", SESSION, "token")  # type: ignore[arg-type]
    session = fold(SESSION, timeline(INITIATED, sent(answer), ANSWERED))
    (command,) = session.next_commands(PLAN, "token")

    assert session.state == "answered"
    assert write(command) == {
        "command_id": command.command_id,
        "stream_url": f"wss://calls.example.com/api/calls/{SESSION}/audio",
        "stream_track": "inbound_track",
        "stream_codec": "PCMU",
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU",
        "stream_bidirectional_sampling_rate": 8000,
        "stream_bidirectional_target_legs": "self",
        "stream_auth_token": "token",
    }


def test_each_command_is_asked_for_once() -> None:
    """A second streaming_start on the same call is refused (90045), a second answer is a bug of ours."""
    answer, start = PLAN.answer("v3:x", SESSION, "t"), PLAN.streaming_start("v3:x", SESSION, "t")  # type: ignore[arg-type]

    assert fold(SESSION, timeline(INITIATED, sent(answer))).next_commands(PLAN, "t") == []
    assert fold(SESSION, timeline(INITIATED, sent(answer), ANSWERED, sent(start))).next_commands(PLAN, "t") == []


def test_a_doubled_event_gives_a_command_with_the_same_id() -> None:
    """Two nodes may each answer the same webhook; Telnyx carries out one command_id once."""
    one = fold(SESSION, timeline(INITIATED)).next_commands(PLAN, "t")
    two = fold(SESSION, timeline(INITIATED, INITIATED)).next_commands(PLAN, "t")

    assert one == two


def test_a_stream_within_answer_is_not_asked_for_again() -> None:
    """Two streams on one call: two sockets, two greetings."""
    plan = StreamPlan(public_url="https://calls.example.com", with_answer=True, token_in_path=True)
    (answer,) = fold(SESSION, timeline(INITIATED)).next_commands(plan, "tok")
    assert isinstance(answer, Answer)
    after = fold(SESSION, timeline(INITIATED, sent(answer), ANSWERED))

    assert answer.stream_url == f"wss://calls.example.com/api/calls/{SESSION}/audio/tok"
    assert answer.stream_bidirectional_mode == "rtp"
    assert after.next_commands(plan, "tok") == []


def test_answered_may_come_first() -> None:
    """Events are delivered at the same time; the stream must not wait for the late one, nor the call be answered again."""
    early = fold(SESSION, timeline(ANSWERED))
    both = fold(SESSION, timeline(ANSWERED, INITIATED))

    assert [command.NAME for command in early.next_commands(PLAN, "t")] == ["streaming_start"]
    assert [command.NAME for command in both.next_commands(PLAN, "t")] == ["streaming_start"]


def test_a_call_that_is_over_needs_nothing() -> None:
    """A late call.initiated of a call that has ended must not answer anything (90018)."""
    session = fold(SESSION, timeline(HANGUP, INITIATED, ANSWERED))

    assert session.state == "ended"
    assert session.next_commands(PLAN, "t") == []


def test_a_dialled_call_is_not_answered_but_streams() -> None:
    """answer on an outbound call is refused (90102)."""
    dialled = event("call.initiated.outbound")
    answered = event("call.answered", call_leg_id=dialled.body["data"]["payload"]["call_leg_id"])

    assert fold(SESSION, timeline(dialled)).next_commands(PLAN, "t") == []
    assert [c.NAME for c in fold(SESSION, timeline(dialled, answered)).next_commands(PLAN, "t")] == ["streaming_start"]


def test_a_second_leg_of_the_session_is_somebody_elses() -> None:
    """A transfer's new leg must not be streamed to us as well."""
    start = PLAN.streaming_start("v3:x", SESSION, "t")  # type: ignore[arg-type]
    other: dict[str, Any] = {"call_leg_id": "leg-b", "call_control_id": "v3:b"}
    session = fold(
        SESSION,
        timeline(
            INITIATED, ANSWERED, sent(start), event("call.initiated.outbound", **other), event("call.answered", **other)
        ),
    )

    assert len(session.legs) == 2
    assert session.next_commands(PLAN, "t") == []
    assert session.state == "answered"


def test_hangup_is_remembered_with_its_witness() -> None:
    """Packet counts are the best proof of whether audio reached the phone."""
    session = fold(SESSION, timeline(INITIATED, ANSWERED, HANGUP))
    assert session.leg is not None
    assert session.leg.quality is not None
    assert session.leg.quality.outbound is not None

    assert session.leg.state is LegState.ENDED
    assert session.leg.hangup_cause == "normal_clearing"
    assert session.leg.quality.outbound.packet_count == "268"


# --- any order, any repetition ---------------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(timelines(), st.data())
def test_any_order_and_any_repetition_lead_to_the_same_state(entries: list[Entry], data: st.DataObject) -> None:
    """Telnyx promises neither order nor single delivery, nodes write at the same time, and what is applied at once is
    applied again when it is read back, with its number."""
    again = data.draw(st.lists(st.sampled_from(entries))) if entries else []
    numbered = [msgspec.structs.replace(entry, number=number) for number, entry in enumerate(again, 1)]
    shuffled = data.draw(st.permutations([*entries, *numbered]))
    one, other = fold(SESSION, entries), fold(SESSION, shuffled)

    assert one == other
    assert (one.leg, one.state, one.ended_unix_ms) == (other.leg, other.state, other.ended_unix_ms)
    assert one.streaming_failures == other.streaming_failures
    assert one.stream_requests() == other.stream_requests()
    assert one.next_commands(PLAN, "t") == other.next_commands(PLAN, "t")
    assert missing_stage_sentence(one) == missing_stage_sentence(other)


OTHER: dict[str, Any] = {"call_leg_id": "leg-b", "call_control_id": "v3:b"}
"""The leg of somebody to whom the caller is transferred."""


def test_the_leg_is_the_one_that_began_first_whichever_was_stored_first() -> None:
    """After an outage the webhook of a transfer's second leg may be the first that is delivered: taken for the leg, the
    caller's own would never be answered."""
    second = event("call.initiated.outbound", 30, **OTHER)
    alone = fold(SESSION, timeline(second))
    session = fold(SESSION, timeline(second, INITIATED))

    assert alone.leg is not None
    assert alone.leg.leg_id == "leg-b"
    assert session.leg is not None
    assert session.leg.direction == "incoming"
    assert [leg.leg_id for leg in session.other_legs] == ["leg-b"]
    assert ["answer"] == [command.NAME for command in session.next_commands(PLAN, "t")]


def test_answered_and_ended_are_those_of_our_leg() -> None:
    """The second leg answers and hangs up by itself."""
    whats = [
        event("call.initiated.outbound", 30, **OTHER),
        event("call.answered", 31, **OTHER),
        event("call.hangup", 32, **OTHER),
    ]
    before = fold(SESSION, timeline(*whats))
    session = fold(SESSION, timeline(*whats, INITIATED))

    assert (before.answered_unix_ms, before.hangup_unix_ms, before.ended) == (1001, 1002, True)
    assert (session.answered_unix_ms, session.hangup_unix_ms, session.ended) == (0, None, False)
    assert session.state == "ringing"


def test_an_event_without_a_time_is_placed_by_when_it_came() -> None:
    """Logs of other programs leave it out."""
    bodies = [event("call.initiated.inbound", None, "1"), event("call.initiated.outbound", None, "2", **OTHER)]
    for what in bodies:
        what.body["data"]["occurred_at"] = "soon"
    first, second = timeline(*bodies)
    session = fold(SESSION, [second, first])

    assert session.leg is not None
    assert session.leg.leg_id != "leg-b"


def test_equal_failures_of_different_events_count_separately() -> None:
    """Each of two requests failed in the same way. Counted once, the second would be waited for until its time is over."""
    one, two = event("streaming.failed", 6), event("streaming.failed", 9)
    session = fold(SESSION, timeline(one, two, one))

    assert 2 == len(session.streaming_failures)
    assert ["connection_failed"] * 2 == [failed.failure_reason for failed in session.streaming_failures]


# --- the end, as commands tell it ------------------------------------------------------------------------------------


def gone(command: str, about: str | None = None, **answer: Any) -> Entry:
    """Telnyx says that a call is over. `about`: the leg of the entry."""
    what = CommandAnswered(command=command, command_id="c", status=422, error_code="90018", **answer)
    return Entry(session=SESSION, at_unix_ms=1500, what=what, call_control_id=CallControlId(about) if about else None)


CONTROL = CallControlId(INITIATED.body["data"]["payload"]["call_control_id"])


@pytest.mark.parametrize(
    ("entry", "over"),
    [
        (gone("speak"), True),
        (gone("speak", about=CONTROL), True),
        (gone("transfer", about=CONTROL), True),
        (gone("hangup", about=CONTROL, call_control_id=CONTROL), True),
        (gone("hangup", about=CONTROL, call_control_id=CallControlId("v3:b")), False),
        (gone("hangup", about="v3:b"), False),
        (gone("bridge", about=CONTROL), False),
    ],
)
def test_the_end_of_another_call_is_not_ours(entry: Entry, over: bool) -> None:
    """A bridge to somebody who has just hung up is refused with the same code. Taken for the end of our caller's call, its
    handler would be cancelled, its socket closed, and nobody would hang up."""
    session = fold(SESSION, [*timeline(INITIATED, ANSWERED), entry])

    assert (over, 1500 if over else None) == (session.ended, session.over_unix_ms)


def test_a_line_that_was_asked_about_is_over_when_telnyx_says_so() -> None:
    """No call.hangup may ever come."""
    dead = Entry(session=SESSION, at_unix_ms=1900, what=CallChecked(alive=False), call_control_id=CONTROL)
    earlier = Entry(session=SESSION, at_unix_ms=1700, what=CallChecked(alive=False))
    session = fold(SESSION, [*timeline(INITIATED, ANSWERED), dead, earlier])

    assert (True, 1700, 1700) == (session.ended, session.over_unix_ms, session.ended_unix_ms)
    assert session.checked == (1900, CallChecked(alive=False))


def test_the_hangup_says_when() -> None:
    """What a command learnt about the end came later, or earlier: the webhook is the witness."""
    session = fold(SESSION, [*timeline(INITIATED, ANSWERED, HANGUP), gone("speak")])

    assert (1002, 1500, 1002) == (session.hangup_unix_ms, session.over_unix_ms, session.ended_unix_ms)


# --- streams ---------------------------------------------------------------------------------------------------------

FIRST, SECOND = (StreamStarted(stream_id=StreamId(one), encoding="PCMU", sample_rate_hz=8000) for one in ("s1", "s2"))


@pytest.mark.parametrize(
    ("whats", "state"),
    [
        ([FIRST], "streaming"),
        ([FIRST, StreamStopped(stream_id=StreamId("s1"))], "answered"),
        ([FIRST, StreamStopped(stream_id=StreamId("s2"))], "streaming"),
        ([FIRST, StreamStopped(stream_id=None)], "streaming"),
        ([FIRST, SocketClosed(code=1006)], "answered"),
        ([FIRST, SocketClosed(code=1006, stream_id=StreamId("s1"))], "answered"),
        ([FIRST, SocketClosed(code=1006), SECOND], "streaming"),
        ([FIRST, SECOND, SocketClosed(code=1006, stream_id=StreamId("s1"))], "streaming"),
        ([FIRST, SECOND, StreamStopped(stream_id=StreamId("s1"))], "streaming"),
        ([FIRST, SECOND, StreamStopped(stream_id=StreamId("s2"))], "answered"),
        ([FIRST, StreamStopped(stream_id=StreamId("s1")), FIRST], "streaming"),
    ],
)
def test_a_call_streams_while_its_newest_stream_is_open(whats: list[What], state: str) -> None:
    """The socket of a stream that was replaced is closed a while after the new one has started."""
    assert state == fold(SESSION, timeline(INITIATED, ANSWERED, *whats)).state


def test_a_stream_gives_life_to_its_token_and_a_refusal_does_not() -> None:
    """The token in the stream's URL is good for a while after the stream last showed life."""
    alive = [
        StreamStarting(within="streaming_start"),
        FIRST,
        MediaCounted(stream_id=StreamId("s1")),
        StreamStopped(stream_id=StreamId("s1")),
        SocketClosed(code=1000),
    ]
    refused = SocketRejected(status=403, reason="wrong_token", detail="", path="/x")

    assert [1000] * 5 == [fold(SESSION, timeline(what)).stream_unix_ms for what in alive]
    assert 0 == fold(SESSION, timeline(refused, SocketReceived(path="/x"), StreamAccepted(status=200))).stream_unix_ms
    assert 1004 == fold(SESSION, timeline(*alive, refused)).stream_unix_ms


# --- commands --------------------------------------------------------------------------------------------------------


def asked(command_id: str, command: str = "streaming_start", **body: Any) -> CommandSent:
    return CommandSent(command=command, command_id=command_id, body=body)


def answered(command_id: str, status: int | None = 200, **answer: Any) -> CommandAnswered:
    return CommandAnswered(command="streaming_start", command_id=command_id, status=status, **answer)


def test_commands_are_in_the_order_in_which_they_were_sent_first() -> None:
    """Not in that of their ids, or of being read; two of one moment in that of their ids."""
    whats = [
        asked("c", stream_url="wss://x"),
        asked("b", "speak"),
        asked("a", stream_url="wss://x"),
        asked("c", stream_url=""),
    ]
    same = [Entry(session=SESSION, at_unix_ms=1002, what=asked("0", stream_url="wss://x"))]
    session = fold(SESSION, [*timeline(*whats), *same])

    assert ["c", "0", "a"] == session.stream_requests()
    assert ["c", "b", "0", "a"] == [sent.command_id for sent in session.unanswered()]
    assert ["c", "0", "a"] == [sent.command_id for sent in session.sent("streaming_start", "answer")]
    assert ["c", "b", "0", "a"] == [sent.command_id for sent in session.sent("streaming_start", "speak")]
    assert [1000, 1001, 1002] == [session.sent_unix_ms[one] for one in "cba"]
    assert session.commands["c"].body == {"stream_url": "wss://x"}  # as it was sent first


def test_of_two_answers_the_later_is_right() -> None:
    """A restarted server notes that nobody knows the answer, and then it comes."""
    unknown, known = answered("c", None, error_detail="nobody knows"), answered("c", 200)
    session = fold(SESSION, timeline(asked("c"), unknown, known))

    assert session.answers["c"] == known
    assert session.is_accepted("c")
    assert session.unanswered() == []
    assert not fold(SESSION, timeline(asked("c"), known, unknown)).is_accepted("c")
    assert not fold(SESSION, timeline(asked("c"))).is_accepted("c")


def test_a_call_that_was_turned_away_needs_nothing() -> None:
    """It would be answered after all."""
    refused = PolicyActed(policy="refuse", number=1, step="busy")
    session = fold(SESSION, timeline(INITIATED, refused))

    assert session.rejected
    assert session.next_commands(PLAN, "t") == []
    assert not fold(SESSION, timeline(INITIATED, PolicyActed(policy="stuck", number=1, step="hangup"))).rejected


def test_a_leg_is_found_by_its_control_id() -> None:
    """Commands and frames name a call by it."""
    session = fold(SESSION, timeline(INITIATED, event("call.initiated.outbound", 30, **OTHER)))

    assert session.leg_of(CONTROL) is session.leg
    assert (other := session.leg_of(CallControlId("v3:b"))) is not None
    assert other.leg_id == "leg-b"
    assert session.leg_of(CallControlId("v3:c")) is None


# --- what is the last of its kind ------------------------------------------------------------------------------------


def test_the_last_of_each_kind_counts() -> None:
    """Of the same moment, always the same one."""
    one, two = (SocketRejected(status=status, reason="x", detail="x", path="/x") for status in (401, 403))
    probes = [StreamProbed(url="wss://x", healthy=None, decided=False, summary=summary) for summary in "ab"]
    failures = [HandlerFailed(error=error, traceback="") for error in "ab"]
    missing = [StreamMissing(attempt=attempt, seen="nothing", reason="x") for attempt in (2, 1)]
    urls = [StreamUrl(url=url) for url in ("wss://b", "wss://a")]
    whats = [one, two, *probes, *failures, *missing, *urls]
    session, other = fold(SESSION, timeline(*whats)), fold(SESSION, reversed(timeline(*whats)))
    at_once = [Entry(session=SESSION, at_unix_ms=1, what=what) for what in whats]

    assert session == other
    assert (session.rejection, session.rejected_unix_ms) == ((1001, two), 1001)
    assert (session.probed, session.handler_error, session.stream_url) == (probes[1], "b", "wss://a")
    assert session.missing == (1007, missing[1])
    assert fold(SESSION, at_once) == fold(SESSION, reversed(at_once))
    assert fold(SESSION, at_once).stream_url == "wss://b"


def test_a_step_and_a_trouble_are_as_they_were_noted_first() -> None:
    """Two nodes may note the same one; the command that follows is that of the first."""
    steps = [PolicyActed(policy="no_socket", number=1, step=step) for step in ("retry", "hangup")]
    stuck = [CallStuck(reason=reason, number=1, after_ms=1) for reason in ("too_long", "media_idle")]
    session = fold(SESSION, timeline(*steps, *stuck, *steps))
    at_once = [Entry(session=SESSION, at_unix_ms=1, what=what) for what in (*steps, *stuck)]

    assert session.acted == {("no_socket", 1): (1000, steps[0])}
    assert session.stuck == {1: (1002, stuck[0])}
    assert fold(SESSION, at_once).acted == fold(SESSION, reversed(at_once)).acted == {("no_socket", 1): (1, steps[1])}


def test_times_are_the_first_or_the_last_of_their_kind() -> None:
    """Stages are reached once; what may happen again counts by its last time."""
    once = [
        StreamStarting(within="streaming_start"),
        StreamAccepted(status=200),
        SocketReceived(path="/x"),
        FIRST,
        FirstInbound(stream_id=STREAM, payload_bytes=160),
        FirstOutbound(stream_id=STREAM, payload_bytes=160),
        CallRecovered(),
        event("streaming.failed", 6),
        event("call.speak.ended", 7),
    ]
    session = fold(SESSION, timeline(*once, *once))

    assert {stage.value: at for stage, at in session.stages.items()} == {
        1: 1007, 3: 1000, 4: 1001, 5: 1002, 6: 1003, 7: 1004, 8: 1005,
    }  # fmt: skip
    assert (session.accepted_unix_ms, session.received_unix_ms, session.started_unix_ms) == (1010, 1011, 1012)
    assert (session.recovered_unix_ms, session.failed_unix_ms) == (1015, 1016)
    assert list(session.speaks_ended.values()) == [1008]
    assert (session.first_unix_ms, session.last_unix_ms) == (1000, 1017)
    assert len(session.streaming_failures) == 1


def test_frames_are_counted_over_all_streams() -> None:
    """Of each stream by its last counts."""
    counts = [
        MediaCounted(stream_id=StreamId("s1"), frames_in=10, frames_out=9),
        MediaCounted(stream_id=StreamId("s1"), frames_in=30, frames_out=20),
        MediaCounted(stream_id=StreamId("s2"), frames_in=5, frames_out=4),
    ]
    session = fold(SESSION, timeline(*counts))

    assert (35, 24) == (session.frames_in, session.frames_out)
    assert (35, 24) == (fold(SESSION, reversed(timeline(*counts))).frames_in, session.frames_out)


@pytest.mark.parametrize(
    ("whats", "finished"),
    [
        ([], False),
        ([HandlerStarted(name="x")], False),
        ([HandlerStarted(name="x"), HandlerEnded()], True),
        ([HandlerStarted(name="x"), HandlerFailed(error="x", traceback="")], True),
        ([HandlerStarted(name="x"), HandlerEnded(cancelled=True)], False),
        ([HandlerStarted(name="x"), HandlerEnded(), HandlerStarted(name="x")], False),
    ],
)
def test_a_handler_has_finished_when_it_returned_or_raised(whats: list[What], finished: bool) -> None:
    """One that was cancelled by us is entered again on the next stream."""
    assert finished == fold(SESSION, timeline(*whats)).handler_finished


@pytest.mark.parametrize(
    ("whats", "state"),
    [
        ([], "new"),
        ([event("call.speak.ended", 7)], "new"),
        ([INITIATED], "ringing"),
        ([INITIATED, FIRST], "ringing"),
        ([INITIATED, ANSWERED], "answered"),
        ([INITIATED, ANSWERED, FIRST], "streaming"),
        ([INITIATED, ANSWERED, FIRST, HANGUP], "ended"),
        ([CallChecked(alive=False)], "new"),
        ([INITIATED, CallChecked(alive=True)], "ringing"),
        ([INITIATED, CallChecked(alive=None)], "ringing"),
        ([INITIATED, CallChecked(alive=False)], "ended"),
    ],
)
def test_states(whats: list[What], state: str) -> None:
    """The word in every list of calls."""
    assert state == fold(SESSION, timeline(*whats)).state


def test_a_stream_that_telnyx_announces_has_been_started() -> None:
    """streaming.stopped has the same fields, and is none."""
    assert fold(SESSION, timeline(event("streaming.started"))).streaming_started
    assert not fold(SESSION, timeline(event("streaming.stopped"))).streaming_started


# --- which stage was not reached -------------------------------------------------------------------------------------

URL = StreamUrl(url="wss://calls.example.com/x")
ASKED = [INITIATED, ANSWERED, StreamStarting(within="streaming_start"), URL]
REFUSED = CommandAnswered(
    command="streaming_start", command_id="1", status=422, error_code="90034", error_detail="not answered yet"
)


@pytest.mark.parametrize(
    ("whats", "stage", "says"),
    [
        ([INITIATED], Stage.CALL_ANSWERED, "never answered"),
        ([INITIATED, ANSWERED], Stage.STREAM_STARTING, "never asked"),
        ([*ASKED, REFUSED], Stage.STREAM_ACCEPTED, "422 90034 not answered yet"),
        ([*ASKED, StreamAccepted(status=200)], Stage.SOCKET_RECEIVED, "no upgrade request for wss://calls"),
        (
            [*ASKED, StreamAccepted(status=200), event("streaming.failed")],
            Stage.SOCKET_RECEIVED,
            r"streaming\.failed \(connection_failed\)",
        ),
        (
            [
                *ASKED,
                StreamAccepted(status=200),
                StreamProbed(url="wss://x", healthy=False, decided=True, summary="the certificate has expired"),
            ],
            Stage.SOCKET_RECEIVED,
            r"A probe of that URL from here says: the certificate has expired\.$",
        ),
        (
            [
                *ASKED,
                StreamAccepted(status=200),
                SocketReceived(path="/x"),
                SocketRejected(status=403, reason="wrong_token", detail="not its token", path="/x"),
            ],
            Stage.STREAM_STARTED,
            "rejected the upgrade with 403: not its token",
        ),
        (
            [
                *ASKED,
                StreamAccepted(status=200),
                SocketReceived(path="/x"),
                StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000),
                FirstInbound(stream_id=STREAM, payload_bytes=160),
                HandlerFailed(error="ValueError: x", traceback=""),
            ],
            Stage.FIRST_OUTBOUND,
            "handler raised ValueError: x",
        ),
    ],
)
def test_the_missing_stage_is_named(whats: list[What], stage: Stage, says: str) -> None:
    """One plain sentence for whoever looks at two in the morning."""
    import re

    session = fold(SESSION, timeline(*whats))
    sentence = missing_stage_sentence(session)

    assert session.missing_stage() is stage
    assert sentence is not None
    assert re.search(says, sentence), sentence


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        ("encoding", "there is no encoding 'G729'"),
        ("unusable_start", "start frame has no usable start.media_format"),
        ("other_call", "the start frame names another call_session_id than the URL of this socket"),
        ("wrong_shape", "start frame has no usable stream_id"),  # as versions before 2026-12 stored it
    ],
)
def test_a_start_frame_that_came_and_was_skipped_is_not_said_to_be_missing(reason: str, detail: str) -> None:
    """Who reads that none came looks for it on the network, and it stands in the line before."""
    came: list[What] = [*ASKED, StreamAccepted(status=200), SocketReceived(path="/x")]
    refused = SocketRejected(status=401, reason="no_token", detail="no token", path="/x")
    skipped = FrameRejected(reason=reason, detail=detail)
    other = FrameRejected(reason="wrong_shape", detail="media frame has no media.payload")
    said = [
        missing_stage_sentence(fold(SESSION, timeline(*came, *whats)))
        for whats in ([skipped, other], [refused, skipped], [skipped, refused], [other])
    ]

    what = (
        "the start frame came and could not be used: " + detail,
        "we rejected the upgrade with 401: no token",
        "no start frame came",
    )
    assert [sentence and sentence.split(" was not reached: ")[1] for sentence in said] == [
        f"{what[0]}.",
        f"{what[0]}.",
        f"{what[1]}.",
        f"{what[2]}.",
    ]


def test_an_unreadable_stored_webhook_harms_nothing() -> None:
    """A later version may have stored what this one cannot read."""
    session = CallSession(SESSION)
    session.apply(Entry(session=SESSION, at_unix_ms=1, what=WebhookReceived(event_type="x", event_id="1", body={})))

    assert session.state == "new"
