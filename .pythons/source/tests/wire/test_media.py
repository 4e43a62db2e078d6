"""Frames on the audio socket: what is kept, what is refused, and with which reason."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.errors import RemoteProtocolError
from callpath.wire.media import (
    Clear,
    Mark,
    Media,
    Start,
    Unknown,
    encode_media,
    encode_message,
    parse_message,
)
from tests.telnyx import sample, sample_text


def test_an_unknown_frame_is_kept_whole() -> None:
    """Telnyx adds kinds without notice; a call must not end because of one."""
    text = '{"event":"transcript","stream_id":"s","transcript":{"text":"hi"}}'
    message = parse_message(text)

    assert isinstance(message, Unknown)
    assert message.event == "transcript"
    assert json.loads(encode_message(message)) == json.loads(text)


def test_an_unknown_field_of_a_media_frame_is_kept() -> None:
    """The quick way knows only documented fields; the slow way must take over, not drop."""
    document = sample("ws/t-media-inbound.json")
    document["media"]["energy"] = 3
    message = parse_message(json.dumps(document))

    assert isinstance(message, Media)
    assert message.extra == {"media": {"energy": 3}}
    assert json.loads(encode_message(message)) == document


def test_the_quick_and_the_slow_way_read_alike() -> None:
    """Else a call would sound different once Telnyx adds a field."""
    quick = parse_message(sample_text("ws/t-media-inbound.json"))
    document = sample("ws/t-media-inbound.json") | {"new": 1}
    slow = parse_message(json.dumps(document))

    assert isinstance(quick, Media) and isinstance(slow, Media)
    assert (quick.payload, quick.chunk, quick.track, quick.timestamp, quick.sequence_number, quick.stream_id) == (
        slow.payload,
        slow.chunk,
        slow.track,
        slow.timestamp,
        slow.sequence_number,
        slow.stream_id,
    )


def test_custom_parameters_come_in_two_shapes() -> None:
    """Their shape is not documented: an object and a list of {name, value} are both taken."""
    document = sample("ws/t-start-custom-parameters.json")
    as_object = parse_message(json.dumps(document))
    document["start"]["custom_parameters"] = [{"name": "tenant", "value": "demo"}, {"name": "lang", "value": "en"}]
    as_list = parse_message(json.dumps(document))

    assert isinstance(as_object, Start) and isinstance(as_list, Start)
    assert as_object.custom_parameters == {"tenant": "demo", "lang": "en"}
    assert as_list.custom_parameters == as_object.custom_parameters


def test_numbers_may_come_as_numbers() -> None:
    """They are decimal strings today. If that changes, audio must go on."""
    document = sample("ws/t-media-inbound.json")
    document["sequence_number"] = 2
    document["media"]["chunk"] = 7
    message = parse_message(json.dumps(document))

    assert isinstance(message, Media)
    assert (message.sequence_number, message.chunk) == (2, 7)


def test_a_track_may_have_the_suffix_that_some_programs_saw() -> None:
    """`inbound_track` is how the command spells it; taken for another track, the caller would be mute."""
    document = sample("ws/t-media-inbound.json") | {"new": 1}
    document["media"]["track"] = "inbound_track"
    message = parse_message(json.dumps(document))

    assert isinstance(message, Media)
    assert message.track == "inbound"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not_json"),
        ("hello", "not_json"),
        ("[1]", "wrong_shape"),
        ("{}", "wrong_shape"),
        ('{"event": 7}', "wrong_shape"),
        ('{"event":"media"}', "wrong_shape"),
        ('{"event":"media","media":{"payload":"not base64!"}}', "invalid_media"),
        ('{"event":"media","media":{"payload":"_-_-"}}', "invalid_media"),
        ('{"event":"start","stream_id":"s","start":{}}', "wrong_shape"),
        ('{"event":"start","start":{"call_control_id":"v3:x"}}', "wrong_shape"),
        ('{"event":"mark"}', "wrong_shape"),
        ('{"event":"dtmf","dtmf":{}}', "wrong_shape"),
        ("[" * 100_000, "not_json"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(text: str, reason: str) -> None:
    """The reason is what the timeline shows; a traceback would tell nobody anything."""
    with pytest.raises(RemoteProtocolError) as caught:
        parse_message(text)

    assert caught.value.reason == reason


def test_what_we_send_is_as_documented() -> None:
    """To the letter: Telnyx answers anything else with 100003 and plays nothing."""
    assert encode_media(b"\xff\x7f") == '{"event":"media","media":{"payload":"/38="}}'
    assert encode_message(Clear()) == '{"event":"clear"}'
    assert encode_message(Mark(name="a")) == '{"event":"mark","mark":{"name":"a"}}'


@given(st.binary(max_size=2000))
def test_any_payload_survives(payload: bytes) -> None:
    """Audio is arbitrary bytes."""
    message = parse_message(encode_media(payload))

    assert isinstance(message, Media)
    assert message.payload == payload


@given(st.text() | st.binary())
def test_no_text_makes_the_parser_fail_otherwise(text: str | bytes) -> None:
    """The socket is open to the world: only RemoteProtocolError may come out."""
    try:
        parse_message(text)
    except RemoteProtocolError as error:
        assert error.reason in ("not_json", "wrong_shape", "invalid_media")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    event=st.sampled_from(["connected", "start", "media", "dtmf", "mark", "clear", "error", "stop", "x"]),
    stream_id=_json,
    inner=_json,
    number=_json,
)
def test_a_frame_of_any_shape_is_read_or_refused(event: str, stream_id: object, inner: object, number: object) -> None:
    """And what is read is written back whole."""
    document = {"event": event, "stream_id": stream_id, event: inner, "sequence_number": number}
    try:
        message = parse_message(json.dumps(document))
    except RemoteProtocolError:
        return
    written = json.loads(encode_message(message))

    assert {key: written[key] for key in document} == document
