"""Frames on the audio socket: what is kept, what is refused, and with which reason."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.errors import RemoteProtocolError
from callpath.wire.ids import CallControlId, StreamId
from callpath.wire.media import (
    FRAME_BYTES_MAX,
    AudioBody,
    Clear,
    Dtmf,
    Error,
    Mark,
    Media,
    MediaBody,
    MediaFormat,
    MediaFrame,
    Message,
    Start,
    Stop,
    Unknown,
    encode_media,
    encode_message,
    parse_message,
    read_audio,
    read_media,
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


# --- fields that are absent ------------------------------------------------------------------------------------------

FORM = MediaFormat(encoding="PCMU", sample_rate=8000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"event":"start","stream_id":"s","start":{"call_control_id":"c","media_format":'
            '{"encoding":"PCMU","sample_rate":8000}}}',
            Start(stream_id=StreamId("s"), call_control_id=CallControlId("c"), media_format=FORM, sequence_number=0),
        ),
        ('{"event":"media","media":{"payload":"AAEC"}}', Media(payload=b"\x00\x01\x02")),
        ('{"event":"dtmf","dtmf":{"digit":"#"}}', Dtmf(digit="#")),
        ('{"event":"mark","mark":{"name":"m"}}', Mark(name="m")),
        ('{"event":"error","payload":{"code":100002}}', Error(code=100002)),
        ('{"event":"stop"}', Stop()),
    ],
)
def test_a_frame_without_its_counters_has_zeros(text: str, message: Message) -> None:
    """0 is no number that counts: the jitter buffer and the order of keys leave such frames as they came."""
    assert message == msgspec.structs.replace(parse_message(text), extra={})


def test_what_we_make_has_no_counters_either() -> None:
    """Telnyx numbers its frames; ours have nothing to say about that."""
    media = Media(payload=b"")
    start = Start(stream_id=StreamId("s"), call_control_id=CallControlId("c"), media_format=FORM)

    assert (0, 0, 0, "inbound") == (media.chunk, media.timestamp, media.sequence_number, media.track)
    assert (0, 0, None) == (Dtmf(digit="1").sequence_number, Stop().sequence_number, Mark(name="m").sequence_number)
    assert (1, 1) == (FORM.channels, start.sequence_number)  # a start frame is the first that has a number


@pytest.mark.parametrize("number", [True, False, "soon", 1.5, [], {}, None, ""])
def test_what_is_no_number_counts_as_absent(number: object) -> None:
    """A frame is not lost for a counter that means nothing."""
    document = {
        "event": "media",
        "sequence_number": number,
        "media": {"payload": "AA==", "chunk": number, "timestamp": number},
    }
    message = parse_message(json.dumps(document))

    assert isinstance(message, Media)
    assert (0, 0, 0) == (message.chunk, message.timestamp, message.sequence_number)


def test_rows_of_custom_parameters_that_are_none_are_left_out() -> None:
    """Their shape is not documented, so anything may stand there."""
    document = sample("ws/t-start-custom-parameters.json")
    document["start"]["custom_parameters"] = [{"name": "a", "value": 1}, {"value": "b"}, "name", None, {"name": "c"}]
    message = parse_message(json.dumps(document))

    assert isinstance(message, Start)
    assert {"a": "1", "c": ""} == message.custom_parameters


def test_a_value_that_an_error_quotes_is_cut() -> None:
    """It came from outside: 40 characters show what it is."""
    for characters, quoted in ((38, '"' + "x" * 38 + '"'), (39, '"' + "x" * 39 + "…")):
        document = sample("ws/t-start-pcmu.json")
        document["start"]["media_format"]["sample_rate"] = "x" * characters
        with pytest.raises(RemoteProtocolError, match="sample_rate") as caught:
            parse_message(json.dumps(document))

        assert str(caught.value).endswith(f": {quoted}")


def test_an_id_that_was_made_up_is_short() -> None:
    """It stands in timelines and on pages beside the ids of others."""
    document = sample("ws/t-start-pcmu.json")
    del document["stream_id"]
    message = parse_message(json.dumps(document))

    assert isinstance(message, Start)
    assert len("unnamed-") + 16 == len(message.stream_id)


# --- the quick ways --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [int, str])
def test_the_quick_ways_read_numbers_and_texts(how: type[int] | type[str]) -> None:
    """What they cannot read goes the slow way, at twenty times the price, for every frame of the call."""
    text = json.dumps(spelt(sample("ws/t-media-inbound.json"), how))
    frame, body = read_media(text), read_audio(text.encode())

    assert frame is not None and body is not None
    assert (2, 1, 20, "inbound") == (frame.sequence_number, frame.media.chunk, frame.media.timestamp, frame.media.track)
    assert (1, "inbound", frame.media.payload) == (body.chunk, body.track, body.payload)


@pytest.mark.parametrize("text", [b"", b"{", b'{"event":"mark","mark":{"name":"m"}}', b"\xff", b"[" * 100_000])
def test_the_quick_ways_leave_everything_else(text: bytes) -> None:
    """None, and no exception: the slow way says what it is."""
    assert read_media(text) is None
    assert read_audio(text) is None


def test_what_is_made_for_every_frame_does_not_wake_the_garbage_collector() -> None:
    """With hundreds of calls it would run dozens of times a second, and hold all of them up."""
    assert not any(kind.__struct_config__.gc for kind in (MediaBody, MediaFrame, AudioBody))


def test_the_longest_frame_has_room_for_any_packet() -> None:
    """A second of 48 kHz L16 in base64 is 128 kB, 30 s of PCMU are 320 kB."""
    assert 1_048_576 == FRAME_BYTES_MAX
