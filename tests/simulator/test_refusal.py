"""Which bodies are taken, and with which words others are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.simulator.api import ACTIONS
from callpath.simulator.refusal import Refused, accept_command, refuse, refuse_connection_id
from callpath.wire.api import ApiError, encode_errors
from callpath.wire.document import Json, parse_json, write
from tests.telnyx import sample, validate


def refusal(name: str, body: Json) -> Json:
    """The error document that this body gets."""
    with pytest.raises(Refused) as caught:
        accept_command(name, body)
    assert 422 == caught.value.status
    return parse_json(encode_errors(*caught.value.errors), "errors")


@pytest.mark.parametrize("name", ["answer", "dial", "streaming_start"])
def test_documented_bodies_are_taken_whole(name: str) -> None:
    """A simulator that refuses what Telnyx takes is worse than none."""
    body = sample(f"api/{name}.request.json")

    assert body == write(accept_command(name, body))


def test_unknown_fields_are_let_through() -> None:
    """Telnyx has many more fields than callpath has names for."""
    body = {"record": "record-from-answer", "anything": {"deep": [1]}}

    assert body == write(accept_command("answer", body))


@pytest.mark.parametrize("name", sorted({"dial", *ACTIONS}))
def test_null_counts_as_absent(name: str) -> None:
    """Programs serialise unset options as null."""
    whole: dict[str, Json] = {
        "dial": {"connection_id": "1", "to": "+15555550123", "from": "+15555550199"},
        "reject": {"cause": "USER_BUSY"},
        "speak": {"payload": "x", "voice": "female"},
        "playback_start": {"media_name": "x"},
        "transfer": {"to": "sip:someone@example.com"},
        "streaming_start": {"stream_url": "ws://127.0.0.1/x"},
        "send_dtmf": {"digits": "1"},
        "gather_using_audio": {"media_name": "x"},
        "gather_using_speak": {"payload": "x", "voice": "female"},
        "record_start": {"format": "wav", "channels": "dual"},
        "switch_supervisor_role": {"role": "barge"},
        "enqueue": {"queue_name": "support"},
        "refer": {"sip_address": "sip:desk@pbx.example.com"},
        "conversation_relay_start": {"url": "wss://voice.example.com/relay"},
        "fork_start": {"target": "udp:192.0.2.1:9000"},
        "bridge": {"call_control_id": "v3:x"},
    }
    if name == "client_state_update":
        return  # its one field is required

    accept_command(name, whole.get(name, {}) | {"client_state": None, "stream_codec": None, "stop": None})


def test_both_instead_of_both_tracks() -> None:
    """The most frequent slip; the words and pointer are Telnyx's."""
    body = {"stream_url": "wss://example.com/x", "stream_track": "both"}

    assert sample("api/error-422-10032-bad-enum.json") == refusal("streaming_start", body)


def test_a_bad_connection_id_has_telnyxs_words() -> None:
    """A doctor tells by them that the application is not set up."""
    refused = refuse_connection_id()

    assert sample("api/error-422-10015-bad-connection-id.json") == parse_json(encode_errors(*refused.errors), "errors")


@pytest.mark.parametrize(
    ("name", "body", "code", "pointer"),
    [
        ("streaming_start", {"stream_url": "https://example.com/x"}, "10003", "/stream_url"),
        ("streaming_start", {"stream_url": "example.com/x"}, "10003", "/stream_url"),
        ("streaming_start", {"stream_url": "wss:///x"}, "10003", "/stream_url"),
        ("streaming_start", {"stream_url": " wss://example.com/x"}, "10003", "/stream_url"),
        ("streaming_start", {"stream_url": "wss://example.com:99999/x"}, "10003", "/stream_url"),
        ("streaming_start", {"stream_url": "wss://example.com/" + "x" * 2000}, "10003", "/stream_url"),
        ("streaming_start", {}, "10004", "/stream_url"),
        ("streaming_start", {"stream_url": "wss://e.com", "stream_bidirectional_codec": "pcmu"}, "10032", None),
        ("streaming_start", {"stream_url": "wss://e.com", "stream_bidirectional_sampling_rate": 44100}, "10032", None),
        ("streaming_start", {"stream_url": "wss://e.com", "stream_bidirectional_sampling_rate": "8k"}, "10026", None),
        ("streaming_start", {"stream_url": 5}, "10026", "/stream_url"),
        ("streaming_start", {"stream_url": "wss://e.com", "stream_auth_token": "x" * 4001}, "10033", None),
        (
            "streaming_start",
            {"stream_url": "wss://e.com", "custom_parameters": [{"name": "a", "value": 1}]},
            "10026",
            "/custom_parameters/0/value",
        ),
        ("answer", {"client_state": "not base64!"}, "90017", "/client_state"),
        ("answer", {"stream_url": "http://example.com"}, "10003", "/stream_url"),
        ("answer", {"webhook_url": "example.com"}, "10003", "/webhook_url"),
        ("answer", {"webhook_urls": {"call_answered": "https://e.com"}}, "90057", "/webhook_urls/call_answered"),
        ("hangup", {"reason": 'he said "no"'}, "10015", "/reason"),
        ("hangup", {"reason": "a\nb"}, "10015", "/reason"),
        ("hangup", {"reason": "bye \U0001f44b"}, "10015", "/reason"),
        ("hangup", {"reason": 5}, "10026", "/reason"),
        ("transfer", {"to": "+15555550123", "media_encryption": "SRTP"}, "10011", None),
        ("speak", {"payload": "x", "voice": "female", "loop": 101}, "10032", "/loop"),
        ("reject", {}, "10004", "/cause"),
        ("reject", {"cause": "BUSY"}, "10032", "/cause"),
        ("speak", {"voice": "female"}, "10004", "/payload"),
        ("speak", {"payload": "", "voice": "female"}, "10004", "/payload"),
        ("speak", {"payload": "x" * 3001, "voice": "female"}, "90010", "/payload"),
        ("playback_start", {}, "10004", "/audio_url"),
        ("dial", {"to": "+15555550123", "from": "+15555550199"}, "10004", "/connection_id"),
        ("dial", {"connection_id": "1", "to": "5555550123", "from": "+15555550199"}, "10016", "/to"),
        ("dial", {"connection_id": "1", "to": "+15555550123", "from": "me"}, "10016", "/from"),
        ("dial", {"connection_id": "1", "to": [], "from": "+15555550199"}, "10004", "/to"),
        (
            "dial",
            {"connection_id": "1", "to": "+15555550123", "from": "+15555550199", "timeout_secs": 601},
            "10033",
            "/timeout_secs",
        ),
        ("transfer", {}, "10004", "/to"),
        (
            "dial",
            {"connection_id": "1", "to": "+15555550123", "from": "+15555550199", "bridge_on_answer": True},
            "10004",
            "/link_to",
        ),
        ("transfer", {"to": "+15555550123", "send_digits_on_answer": "2-3"}, "10032", "/send_digits_on_answer"),
        ("send_dtmf", {"digits": "12x"}, "10032", "/digits"),
        ("send_dtmf", {"digits": "1", "duration_millis": 99}, "10033", "/duration_millis"),
        ("gather", {"maximum_digits": 129}, "10033", "/maximum_digits"),
        ("gather", {"minimum_digits": "1"}, "10026", "/minimum_digits"),
        ("gather_using_audio", {}, "10004", "/audio_url"),
        ("gather_using_audio", {"audio_url": "http://e.com/a.wav", "media_name": "a"}, "10015", "/media_name"),
        ("gather_using_speak", {"payload": "x", "voice": "f", "invalid_payload": "x" * 3001}, "90010", None),
        ("gather_using_speak", {"payload": "x", "voice": "f", "language": "tlh"}, "10032", "/language"),
        ("record_start", {"format": "wav"}, "10004", "/channels"),
        ("record_start", {"format": "ogg", "channels": "dual"}, "10032", "/format"),
        ("record_start", {"format": "wav", "channels": "dual", "max_length": 14_401}, "10033", "/max_length"),
        ("answer", {"record_custom_file_name": "x" * 41}, "10033", "/record_custom_file_name"),
        ("answer", {"custom_headers": [{"name": "X"}]}, "10026", "/custom_headers/0"),
        ("answer", {"webhook_urls": {"call.hangup": "nowhere"}}, "10003", "/webhook_urls/call.hangup"),
        (
            "answer",
            {"webhook_retries_policies": {"call.hangup": {"retries_ms": [1] * 6}}},
            "10033",
            "/webhook_retries_policies/call.hangup/retries_ms",
        ),
        (
            "answer",
            {"webhook_retries_policies": {"call.hangup": {"retries_ms": [60_001]}}},
            "10033",
            "/webhook_retries_policies/call.hangup/retries_ms",
        ),
        ("playback_start", {"audio_url": "a.wav"}, "10003", "/audio_url"),
        ("playback_start", {"media_name": "a", "loop": "often"}, "10032", "/loop"),
        ("playback_start", {"media_name": "a", "overlay": True, "target_legs": "both"}, "10032", "/target_legs"),
        ("playback_stop", {"stop": "now"}, "10032", "/stop"),
        ("fork_start", {"rx": "udp:192.0.2.1:9"}, "10004", "/target"),
        ("transcription_start", {"transcription_tracks": "all"}, "10032", "/transcription_tracks"),
        ("client_state_update", {}, "10004", "/client_state"),
        ("bridge", {}, "10004", "/call_control_id"),
    ],
)
def test_wrong_bodies_get_the_documented_code(name: str, body: Json, code: str, pointer: str | None) -> None:
    """Each of these would fail with Telnyx; the pointer must lead to the field."""
    document = refusal(name, body)

    assert [] == validate(document, "openapi-subset.json#/components/schemas/call-control_Errors")
    assert [code] == [error["code"] for error in document["errors"]]
    if pointer is not None:
        assert pointer == document["errors"][0]["source"]["pointer"]


def test_all_wrong_fields_are_named_at_once() -> None:
    """Correcting one field after the other would cost a call each."""
    errors = refusal("dial", {"timeout_secs": "x", "stream_track": "both"})["errors"]

    assert {"/connection_id", "/to", "/from", "/timeout_secs", "/stream_track"} == {
        error["source"]["pointer"] for error in errors
    }


@pytest.mark.parametrize(
    ("code", "pointer", "name"),
    [
        ("10009", None, "api/error-401-10009.json"),
        ("10005", None, "api/error-404-10005.json"),
        ("90015", "/call_control_id", "api/error-422-90015-bad-call-control-id.json"),
        ("90018", None, "api/error-422-90018-call-ended.json"),
        ("90034", None, "api/error-422-90034-not-answered.json"),
        ("90045", None, "api/error-422-90045-streaming-in-use.json"),
        ("90046", None, "api/error-422-90046-streaming-failed.json"),
        ("90048", None, "api/error-422-90048-streaming-not-used.json"),
    ],
)
def test_the_words_of_refusals_are_telnyxs(code: str, pointer: str | None, name: str) -> None:
    """Programs match on code and title; the status stands in the sample's name."""
    refused = refuse(code, pointer)

    assert sample(name) == parse_json(encode_errors(*refused.errors), "errors")
    assert str(refused.status) in name


@given(
    st.sampled_from(sorted({"dial", *ACTIONS})),
    st.dictionaries(
        st.sampled_from(
            ["stream_url", "client_state", "to", "from", "cause", "timeout_secs", "custom_parameters", "x"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
            max_leaves=4,
        ),
    ),
)
def test_no_body_breaks_the_check(name: str, body: dict[str, Any]) -> None:
    """Whatever a program sends, it gets an answer in Telnyx's shape."""
    errors: list[ApiError] = []
    try:
        accept_command(name, body)
    except Refused as refused:
        errors += refused.errors
    document = parse_json(encode_errors(*errors), "errors")

    assert [] == validate(document, "openapi-subset.json#/components/schemas/call-control_Errors")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("hangup", {"reason": "Call completed elsewhere; cause=200"}),
        ("transfer", {"to": "sip:someone@example.com", "media_encryption": "SRTP"}),
        ("transfer", {"to": "+15555550123", "media_encryption": "disabled"}),
        ("answer", {"webhook_urls": {"call.answered": "https://e.com", "streaming.started": "https://e.com"}}),
        ("speak", {"payload": "x", "voice": "female", "loop": 100}),
        ("reject", {"cause": "TEMPORARILY_UNAVAILABLE"}),
    ],
)
def test_what_telnyx_takes_is_taken(name: str, body: Json) -> None:
    """A simulator that refuses what Telnyx takes is worse than none."""
    assert accept_command(name, body).NAME == name


def test_a_leg_that_stays_after_a_bridge_needs_one() -> None:
    """`park_after_unbridge` at dial works only with link_to."""
    body = {"connection_id": "1", "to": "+15555550123", "from": "+15555550199", "park_after_unbridge": "self"}

    assert "/link_to" == refusal("dial", body)["errors"][0]["source"]["pointer"]


def test_encryption_is_refused_for_the_telephone_network() -> None:
    """The same code as too many requests, at another status: only the pointer tells them apart."""
    body = {"connection_id": "1", "to": "+15555550123", "from": "+15555550199", "media_encryption": "SRTP"}

    assert sample("api/error-422-10011-media-encryption.json") == refusal("dial", body)
    assert "dial" == accept_command("dial", body | {"to": "sip:agent@example.com"}).NAME
