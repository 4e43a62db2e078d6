"""Frames on the audio socket: what is kept, what is refused, and with which reason."""

from __future__ import annotations

import json
from typing import Any

import msgspec
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


NUMBERS = ("sequence_number", "chunk", "timestamp", "sample_rate", "channels", "code", "digit", "name")


def spelt(document: Any, how: type[int] | type[str]) -> Any:
    """The same document with its numbers as numbers, or as texts."""
    if not isinstance(document, dict):
        return document
    return {
        key: how(value) if key in NUMBERS and str(value).isdigit() else spelt(value, how)
        for key, value in document.items()
    }


@pytest.mark.parametrize(
    "name",
    [
        "ws/t-start-pcmu.json",
        "ws/t-start-l16-8k.json",
        "ws/t-media-inbound.json",
        "ws/t-media-outbound.json",
        "ws/t-dtmf.json",
        "ws/t-mark.json",
        "ws/t-error-100004.json",
        "ws/t-stop.json",
    ],
)
def test_numbers_may_come_as_numbers_or_as_texts(name: str) -> None:
    """Counters are documented as texts and rates as numbers. A sender that mixes them must not lose its call."""
    document = sample(name)
    read = [parse_message(json.dumps(spelt(document, how))) for how in (int, str)]

    assert [msgspec.structs.replace(message, extra={}) for message in read] == [parse_message(json.dumps(document))] * 2


def test_a_mark_named_by_a_number_is_found() -> None:
    """Names are the handler's, and a JSON library in between may turn "7" into 7."""
    message = parse_message('{"event":"mark","mark":{"name":7},"sequence_number":3}')

    assert isinstance(message, Mark)
    assert ("7", 3) == (message.name, message.sequence_number)


@pytest.mark.parametrize("where", ["top", "within", "both", "null", "empty", "nowhere"])
def test_a_start_frame_may_have_its_stream_id_elsewhere(where: str) -> None:
    """The id only names the stream in timelines: for want of it no caller is left in silence."""
    document = sample("ws/t-start-pcmu.json")
    given = document.pop("stream_id")
    if where in ("top", "both"):
        document["stream_id"] = given
    if where in ("within", "both"):
        document["start"]["stream_id"] = given if where == "within" else "another"
    if where in ("null", "empty"):
        document["stream_id"] = None if where == "null" else ""
    message = parse_message(json.dumps(document))
    again = parse_message(json.dumps(document))
    document["start"]["call_control_id"] = "v3:other"
    other = parse_message(json.dumps(document))

    assert isinstance(message, Start) and isinstance(again, Start) and isinstance(other, Start)
    if where in ("top", "within", "both"):
        assert given == message.stream_id
    else:
        assert message.stream_id == again.stream_id
        assert message.stream_id != other.stream_id
        assert message.stream_id.startswith("unnamed-")
        assert document["start"]["call_control_id"] not in message.stream_id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"media_format": None}, "no usable start.media_format"),
        ({"media_format": []}, "no usable start.media_format"),
        ({"media_format": {"sample_rate": 8000}}, "no usable start.media_format.encoding"),
        ({"media_format": {"encoding": {}, "sample_rate": 8000}}, "no usable start.media_format.encoding: {}"),
        ({"media_format": {"encoding": "PCMU"}}, "no usable start.media_format.sample_rate"),
        (
            {"media_format": {"encoding": "PCMU", "sample_rate": "8 kHz"}},
            'no usable start.media_format.sample_rate: "8 kHz"',
        ),
        (
            {"media_format": {"encoding": "PCMU", "sample_rate": "x" * 99}},
            f'no usable start.media_format.sample_rate: "{"x" * 39}…',
        ),
        ({"media_format": {"encoding": "PCMU", "sample_rate": True}}, "no usable start.media_format.sample_rate: true"),
        ({"call_control_id": None}, "no usable start.call_control_id"),
        ({"call_control_id": ""}, "no usable start.call_control_id"),
    ],
)
def test_an_unusable_start_frame_says_which_field_is_at_fault(change: dict[str, Any], said: str) -> None:
    """Without it the call is silent, and the timeline is all that anybody has to find out why."""
    document = sample("ws/t-start-pcmu.json")
    document["start"] |= change
    with pytest.raises(RemoteProtocolError) as caught:
        parse_message(json.dumps(document))

    assert "unusable_start" == caught.value.reason
    assert f"start frame has {said}" == str(caught.value)


@pytest.mark.parametrize("channels", [None, "", "two", {}, True])
def test_a_start_frame_without_usable_channels_is_mono(channels: object) -> None:
    """All that Telnyx documents is mono."""
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"]["channels"] = channels
    message = parse_message(json.dumps(document))

    assert isinstance(message, Start)
    assert 1 == message.media_format.channels


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
        ('{"event":"start","stream_id":"s","start":{}}', "unusable_start"),
        ('{"event":"start","start":{"call_control_id":"v3:x"}}', "unusable_start"),
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
        assert error.reason in ("not_json", "wrong_shape", "invalid_media", "unusable_start")


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
