"""The state of a call is a fold over its timeline: any order, any repetition, one result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.call.leg import LegState
from callpath.call.plan import StreamPlan
from callpath.call.session import CallSession, Stage, fold, missing_stage_sentence
from callpath.timeline import (
    CallChecked,
    CallStuck,
    CallTakenUp,
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FrameRejected,
    HandlerFailed,
    PolicyActed,
    SocketReceived,
    SocketRefused,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.command import Answer, StreamingStart
from callpath.wire.document import write
from callpath.wire.ids import SessionId, StreamId
from tests.telnyx import sample

SESSION = SessionId("aaaa0002-c0de-11f0-9002-02420a000002")
PLAN = StreamPlan(public_url="https://calls.example.com")
STREAM = StreamId("s1")


def event(name: str, **payload: Any) -> WebhookReceived:
    document = json.loads(json.dumps(sample(f"webhooks/{name}.json")))
    document["data"]["payload"].update(payload)
    data = document["data"]
    return WebhookReceived(event_type=data["event_type"], event_id=data["id"], body=document)


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
    other = {"call_leg_id": "leg-b", "call_control_id": "v3:b"}
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


@settings(max_examples=200)
@given(st.data())
def test_any_order_and_any_repetition_lead_to_the_same_state(data: st.DataObject) -> None:
    """Telnyx promises neither order nor single delivery."""
    whole = timeline(
        INITIATED,
        ANSWERED,
        event("streaming.started"),
        SocketReceived(path="/x"),
        StreamStarting(within="streaming_start"),
        StreamAccepted(status=200),
        FirstInbound(stream_id=STREAM, payload_bytes=160),
        HANGUP,
        event("streaming.stopped"),
        event("streaming.failed"),
        event("call.speak.ended"),
        CommandSent(command="answer", command_id="1"),
        CommandSent(command="speak", command_id="2"),
        CommandAnswered(command="answer", command_id="1", status=200),
        StreamMissing(attempt=1, seen="nothing", reason=""),
        PolicyActed(policy="no_socket", number=1, step="speak"),
        CallStuck(reason="no_handler", number=1, after_ms=1),
        CallChecked(alive=False),
        CallTakenUp(fetched=1),
    )
    shuffled = data.draw(st.permutations(whole + data.draw(st.lists(st.sampled_from(whole)))))
    one, other = fold(SESSION, whole), fold(SESSION, shuffled)

    assert other == one
    assert one.state == "ended"


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
                SocketRefused(status=403, reason="wrong_token", detail="not its token", path="/x"),
            ],
            Stage.STREAM_STARTED,
            "refused the upgrade with 403: not its token",
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
    refused = SocketRefused(status=401, reason="no_token", detail="no token", path="/x")
    skipped = FrameRejected(reason=reason, detail=detail)
    other = FrameRejected(reason="wrong_shape", detail="media frame has no media.payload")
    said = [
        missing_stage_sentence(fold(SESSION, timeline(*came, *whats)))
        for whats in ([skipped, other], [refused, skipped], [skipped, refused], [other])
    ]

    what = ("the start frame came, but " + detail, "we refused the upgrade with 401: no token", "no start frame came")
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
