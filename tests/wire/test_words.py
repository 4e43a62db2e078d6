"""Events and commands in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.wire.command import COMMANDS
from callpath.wire.webhook import EVENTS
from callpath.wire.words import HANGUP_CAUSES, command_words, event_words, hangup_words

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("event", "payload", "words"),
    [
        ("call.initiated", {"direction": "incoming"}, "a call comes in"),
        ("call.initiated", {"direction": "outgoing"}, "a number is dialled"),
        ("call.answered", {}, ""),
        ("call.bridged", {}, "joined with another leg"),
        (
            "call.hangup",
            {"hangup_cause": "user_busy", "sip_hangup_cause": "486", "hangup_source": "unknown"},
            "the line was busy (user_busy, SIP 486)",
        ),
        (
            "call.hangup",
            {"hangup_cause": "normal_clearing", "sip_hangup_cause": "200", "hangup_source": "callee"},
            "a normal end (normal_clearing), by the callee",
        ),
        ("call_hangup", {"hangup_cause": "timeout"}, "not answered in time (timeout)"),
        (
            "call.hangup",
            {"hangup_cause": "call_rejected", "telnyx_error": {"error_code": "D51"}},
            "rejected (call_rejected), Telnyx says D51",
        ),
        ("call.hangup", {"hangup_cause": "brand_new", "sip_hangup_cause": "unspecified"}, "ended (brand_new)"),
        ("call.hangup", {}, "ended"),
        ("call.machine.detection.ended", {"result": "human"}, "a person"),
        ("call.machine.premium.detection.ended", {"result": "fax_detected"}, "a fax"),
        ("call.machine.premium.greeting.ended", {"result": "no_beep_detected"}, "no beep was heard"),
        ("call.machine.detection.ended", {"result": "brand_new"}, "brand_new"),
        ("call.gather.ended", {"digits": "4711", "status": "valid"}, "4 keys, entered as asked"),
        ("call.gather.ended", {"digits": "", "status": "timeout"}, "the time ran out"),
        ("call.speak.ended", {"status": "completed"}, "to its end"),
        ("call.playback.ended", {"status": "failed", "status_detail": "404"}, "failed (404)"),
        ("call.transcription", {"transcription_data": {"transcript": "my pin", "is_final": True}}, ""),
        ("call.recording.saved", {"format": "wav", "channels": "dual"}, "wav, each side on its own channel"),
        ("call.refer.failed", {"sip_notify_response": 405}, "SIP 405"),
        ("call.enqueued", {"current_position": 2}, "at place 2"),
        ("call.dequeued", {"reason": "timeout", "wait_time_secs": 40}, "waited too long after 40 s"),
        ("conference.ended", {"reason": "host_left"}, "its host left"),
        ("streaming.failed", {"failure_reason": "connection_failed"}, "connection_failed"),
        ("an.event.of.tomorrow", {"result": "x"}, ""),
    ],
)
def test_what_an_event_says(event: str, payload: dict[str, Any], words: str) -> None:
    """A stranger reads the timeline without opening its JSON."""
    assert event_words(event, payload) == words


@pytest.mark.parametrize(
    ("command", "body", "words"),
    [
        ("transfer", {"to": "+15555550142", "timeout_secs": 20}, "to another number, ringing 20 s at most"),
        ("transfer", {"to": "sip:agent@example.com", "answering_machine_detection": "premium"},
            "to a SIP address, with answering machine detection"),
        ("dial", {"to": "+15555550142", "answering_machine_detection": "disabled"}, "to another number"),
        ("reject", {"cause": "USER_BUSY"}, "user busy"),
        ("bridge", {"call_control_id": "v3:b"}, "with another leg"),
        ("gather", {"maximum_digits": 1, "timeout_millis": 5000}, "1 key at most, within 5 s"),
        ("speak", {"payload": "Hello"}, "a text of 5 characters"),
        ("join", {"call_control_id": "v3:a", "mute": True, "end_conference_on_exit": True},
            "muted, the conference ends when this leg leaves"),
        ("send_dtmf", {"digits": "12#"}, "3 tones"),
        ("hangup", {"command_id": "1"}, ""),
        ("of_tomorrow", {"payload": "x"}, ""),
        ("transfer", {}, ""),
    ],
)  # fmt: skip
def test_what_a_command_asks_for(command: str, body: dict[str, Any], words: str) -> None:
    """The name alone says too little."""
    assert command_words(command, body) == words


_ODD = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(max_size=3), max_size=2)


@given(
    event=st.sampled_from(sorted({*EVENTS, "conference.recording.saved"})),
    payload=st.dictionaries(st.sampled_from(["result", "status", "digits", "telnyx_error", "transcription_data",
                                             "hangup_cause", "sip_hangup_cause", "wait_time_secs"]), _ODD),
)  # fmt: skip
def test_no_shape_of_a_payload_raises(event: str, payload: dict[str, Any]) -> None:
    """A line is made of whatever was stored."""
    assert isinstance(event_words(event, payload), str)


@given(
    command=st.sampled_from(sorted(COMMANDS)),
    body=st.dictionaries(
        st.sampled_from(["to", "payload", "digits", "maximum_digits", "timeout_millis", "loop"]), _ODD
    ),
)
def test_no_shape_of_a_body_raises(command: str, body: dict[str, Any]) -> None:
    """The same for commands, those of other versions included."""
    assert isinstance(command_words(command, body), str)


SECRETS = {"to": "+15555550142", "from": "+15555550143", "digits": "4711", "digit": "7",
           "transcription_data": {"transcript": "my secret", "is_final": True}}  # fmt: skip


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_no_words_of_an_event_tell_a_secret(event: str) -> None:
    """Lines go to logs; callers type card numbers."""
    words = event_words(event, SECRETS)

    assert not any(secret in words for secret in ("+1555", "4711", "secret"))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("telnyx/samples/webhooks/*.json")), ids=lambda path: path.stem)
def test_documented_events_have_words_or_a_plain_name(path: Path) -> None:
    """Telnyx's own samples."""
    data = json.loads(path.read_text()).get("data", {})

    words = event_words(str(data.get("event_type", "")), data.get("payload") or {})

    assert "{" not in words and "None" not in words


def test_every_documented_cause_has_words() -> None:
    """The list of the OpenAPI file."""
    documented = {"call_rejected", "normal_clearing", "originator_cancel", "timeout", "time_limit", "user_busy",
                  "not_found", "no_answer", "unspecified"}  # fmt: skip

    assert documented <= set(HANGUP_CAUSES)
    assert hangup_words("no_answer", "480") == "nobody answered (no_answer, SIP 480)"
