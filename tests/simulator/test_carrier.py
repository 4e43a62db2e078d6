"""Telnyx's side of a stream, by literal exchanges on a time that stands still unless told."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.codec import open_decoder
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.simulator.carrier import (
    AudioIgnored,
    AudioQueued,
    CarrierStream,
    Cleared,
    FrameRefused,
    MarkQueued,
    StreamRequest,
    iso_time,
    payload_ms,
)
from callpath.simulator.options import CarrierOptions
from callpath.wire.ids import CallControlId, SessionId, StreamId
from callpath.wire.media import MediaFormat, encode_media
from tests.simulator.test_sound import file_of
from tests.telnyx import sample, sample_text, validate

STATE = "eyJjYWxsIjoiZGVtby0xIn0="
EPOCH_UNIX_MS = 1_767_323_045_000.0  # 2026-01-02T03:04:05Z
TONE = base64.b64decode(sample("ws/s-media-pcmu-20ms.json")["media"]["payload"])
CLEAR = sample_text("ws/s-clear.json")


def request(**changes: Any) -> StreamRequest:
    """The stream of the samples, asked for so that it works both ways."""
    fields: dict[str, Any] = {
        "url": "wss://voice.example.com/telnyx/media?call=abc%3A123",
        "stream_id": StreamId("00000000-0000-4000-8000-00000000005a"),
        "call_control_id": CallControlId("v3:Zf4k3-SampleCallControlId_0000000000000000000000000000w"),
        "call_session_id": SessionId("aaaa0002-c0de-11f0-9002-02420a000002"),
        "mode": "rtp",
        "target_legs": "self",
        "client_state": STATE,
        "from_": "+15555550123",
        "to": "+15555550199",
    }
    return StreamRequest(**(fields | changes))


def opened(options: CarrierOptions | None = None, **changes: Any) -> CarrierStream:
    """A stream whose socket opened at 0 ms and whose first two frames are gone."""
    stream = CarrierStream(request(**changes), options, epoch_unix_ms=EPOCH_UNIX_MS)
    assert 2 == len(stream.texts_to_send(0))
    return stream


def events(texts: list[str]) -> list[str]:
    """What kinds of frames these are."""
    return [json.loads(text)["event"] for text in texts]


def marks(texts: list[str]) -> list[str]:
    """The marks that come back among these frames."""
    return [frame["mark"]["name"] for frame in map(json.loads, texts) if frame["event"] == "mark"]


def mark(name: str) -> str:
    return json.dumps({"event": "mark", "mark": {"name": name}})


def audio(duration_ms: int) -> str:
    """One media message of that many milliseconds of PCMU."""
    return encode_media(b"\x12" * (8 * duration_ms))


# --- opening ---------------------------------------------------------------------------------------------------------


def test_the_first_two_frames_are_the_documented_ones() -> None:
    """Servers rely on connected, then start: another order or shape would fail where Telnyx works."""
    stream = CarrierStream(request())

    assert [sample("ws/t-connected.json"), sample("ws/t-start-pcmu.json")] == [
        json.loads(text) for text in stream.texts_to_send(0)
    ]


def test_the_token_is_repeated_in_connected() -> None:
    """A server that checks the second place would refuse the simulator and not Telnyx."""
    stream = CarrierStream(request(auth_token="demo-token-not-secret"))

    assert sample("ws/t-connected-with-token.json") == json.loads(stream.texts_to_send(0)[0])


@pytest.mark.parametrize(
    ("media_format", "name"),
    [
        (MediaFormat(encoding="PCMA", sample_rate=8000), "ws/t-start-pcma-call-codec.json"),
        (MediaFormat(encoding="L16", sample_rate=16000), "ws/t-start-l16.json"),
        (MediaFormat(encoding="L16", sample_rate=8000), "ws/t-start-l16-8k.json"),
    ],
)
def test_start_tells_what_the_server_will_receive(media_format: MediaFormat, name: str) -> None:
    """A server that obeys media_format must be told the truth, or it decodes noise."""
    stream = CarrierStream(request(media_format=media_format))

    assert sample(name) == json.loads(stream.texts_to_send(0)[1])


def test_custom_parameters_come_back_in_start() -> None:
    """Routing by a custom parameter would not be testable."""
    stream = CarrierStream(request(custom_parameters={"tenant": "demo", "lang": "en"}))

    assert sample("ws/t-start-custom-parameters.json") == json.loads(stream.texts_to_send(0)[1])


def test_custom_parameters_can_come_as_a_list() -> None:
    """Their shape is unknown: a server must be testable against both."""
    options = CarrierOptions(custom_parameters_as="list")
    stream = CarrierStream(request(custom_parameters={"tenant": "demo"}), options)
    start = json.loads(stream.texts_to_send(0)[1])["start"]

    assert [{"name": "tenant", "value": "demo"}] == start["custom_parameters"]


# --- the caller's audio ----------------------------------------------------------------------------------------------


def test_media_comes_every_20_ms_and_not_earlier() -> None:
    """Jitter of the simulator's own making would be blamed on the server."""
    stream = opened()

    assert [] == stream.texts_to_send(19.9)
    assert 20.0 == stream.next_send_at_ms()
    assert ["media"] == events(stream.texts_to_send(20.0))
    assert 40.0 == stream.next_send_at_ms()


def test_lateness_never_adds_up() -> None:
    """Counting from the last tick would drift by the scheduler's delay at each frame: 5 % in an hour-long call."""
    stream = opened()
    for tick in range(1, 501):
        assert ["media"] == events(stream.texts_to_send(20 * tick + 3))

    assert 20.0 * 501 == stream.next_send_at_ms()
    assert 3.0 == stream.counters.late_ms_max


def test_frames_that_are_overdue_come_at_once_and_in_order() -> None:
    """A stall of the simulator must not lose audio."""
    chunks = [json.loads(text)["media"]["chunk"] for text in opened().texts_to_send(65)]

    assert ["1", "2", "3"] == chunks


def test_a_long_stall_is_skipped_and_counted() -> None:
    """A suspended laptop would send minutes of audio in one burst, and the server would look guilty."""
    stream = opened()
    texts = stream.texts_to_send(10_000)

    assert 51 == len(texts)
    assert 449 == stream.counters.packets_skipped


def test_the_first_media_frame_is_the_documented_one() -> None:
    """Counters as numbers instead of strings would pass here and break against Telnyx, or the reverse."""
    stream = opened()
    stream.say([TONE])

    assert sample("ws/t-media-inbound.json") == json.loads(stream.texts_to_send(20)[0])


def test_after_the_speech_comes_silence() -> None:
    """A phone keeps sending packets while nobody speaks; a server that counts on it must see them."""
    stream = opened()
    stream.say([TONE, TONE])
    payloads = [json.loads(text)["media"]["payload"] for text in stream.texts_to_send(60)]

    assert [TONE, TONE, b"\xff" * 160] == [base64.b64decode(payload) for payload in payloads]


def test_say_tells_when_it_will_be_heard_by_the_server() -> None:
    """`said` and `heard` stand on one clock only if this time is right."""
    stream = opened()

    assert 20.0 == stream.say([TONE] * 5)
    assert 120.0 == stream.say([TONE])


def test_silence_of_each_codec() -> None:
    """0xFF is loud in A-law: the caller's pauses would be noise."""
    pcma = opened(media_format=MediaFormat(encoding="PCMA", sample_rate=8000))
    l16 = opened(media_format=MediaFormat(encoding="L16", sample_rate=16000))

    assert sample("ws/s-media-silence-pcma-20ms.json")["media"]["payload"] == _payload(pcma.texts_to_send(20)[0])
    assert bytes(640) == base64.b64decode(_payload(l16.texts_to_send(20)[0]))


def _payload(text: str) -> str:
    return str(json.loads(text)["media"]["payload"])


# --- the server's audio ----------------------------------------------------------------------------------------------


def test_playback_runs_in_real_time() -> None:
    """Faster playback would return marks early, and a server would think its prompt was heard."""
    stream = opened()

    assert [AudioQueued(800)] == stream.receive_text(audio(100), 5)
    stream.texts_to_send(200)

    assert [20.0, 40.0, 60.0, 80.0, 100.0] == [at_ms for at_ms, _ in stream.heard]
    assert 5 == stream.counters.packets_played
    assert 5.0 == stream.counters.first_audio_at_ms
    assert 200.0 == stream.counters.first_sent_at_ms
    assert 20.0 == stream.counters.first_heard_at_ms


def test_small_chunks_are_joined_without_a_gap() -> None:
    """Servers that send 30 ms or 10 ms at a time are heard smoothly by Telnyx's jitter buffer too."""
    stream = opened()
    for _ in range(4):
        stream.receive_text(audio(30), 1)
    stream.texts_to_send(200)

    assert [160] * 6 == [len(payload) for _, payload in stream.heard]


def test_a_short_tail_is_one_packet() -> None:
    """What Telnyx does below 20 ms is unknown; here the tail is heard and the next audio starts on a new packet."""
    stream = opened()
    stream.receive_text(audio(30), 1)
    stream.texts_to_send(100)

    assert [(20.0, 160), (40.0, 80)] == [(at_ms, len(payload)) for at_ms, payload in stream.heard]


def test_a_mark_comes_back_when_the_audio_before_it_was_played() -> None:
    """The whole use of marks: to know what was heard."""
    stream = opened()
    stream.receive_text(audio(40), 1)
    assert [MarkQueued("greeting-1")] == stream.receive_text(sample_text("ws/s-mark.json"), 2)

    assert [] == marks(stream.texts_to_send(59))
    returned = [text for text in stream.texts_to_send(60) if "mark" in text]
    assert [sample("ws/t-mark.json") | {"sequence_number": "4"}] == [json.loads(text) for text in returned]


def test_a_mark_inside_a_packet_comes_back_after_it() -> None:
    """A mark after 10 ms of audio must not be lost when the packet goes on behind it."""
    stream = opened()
    stream.receive_text(audio(10), 1)
    stream.receive_text(mark("middle"), 1)
    stream.receive_text(audio(30), 1)

    assert [] == marks(stream.texts_to_send(20))
    assert ["middle"] == marks(stream.texts_to_send(40))


def test_a_mark_with_nothing_queued_comes_back_at_once() -> None:
    """Documented; a server that takes a mark for proof of sound must be caught by it."""
    stream = opened()
    stream.receive_text(mark("idle"), 3)

    assert 0.0 == stream.next_send_at_ms()
    assert ["idle"] == marks(stream.texts_to_send(3))


def test_clear_returns_all_queued_marks_at_once_and_silences() -> None:
    """Barge-in: nothing after the clear may be heard, and marks come back unheard."""
    stream = opened()
    stream.receive_text(audio(1000), 1)
    stream.receive_text(mark("one"), 1)
    stream.receive_text(audio(1000), 1)
    stream.receive_text(mark("two"), 1)
    stream.texts_to_send(100)

    assert [Cleared(("one", "two"))] == stream.receive_text(CLEAR, 105)
    assert ["one", "two"] == marks(stream.texts_to_send(105))
    stream.texts_to_send(3000)
    assert 100.0 == stream.heard[-1][0]


def test_audio_after_clear_is_played() -> None:
    """After a barge-in the answer to the caller must be heard."""
    stream = opened()
    stream.receive_text(audio(1000), 1)
    stream.texts_to_send(100)
    stream.receive_text(CLEAR, 105)
    stream.receive_text(audio(20), 106)
    stream.texts_to_send(200)

    assert 120.0 == stream.heard[-1][0]


def test_mp3_mode_plays_no_raw_audio() -> None:
    """Telnyx's default, and the most frequent cause of a one-way call: it must show here."""
    stream = opened(mode="mp3")

    assert [AudioIgnored("mp3_mode")] == stream.receive_text(audio(20), 1)
    stream.texts_to_send(500)
    assert [] == stream.heard
    assert 0 == stream.counters.packets_played


def test_mp3_mode_takes_one_message_a_second() -> None:
    """Documented with error 100005."""
    stream = opened(mode="mp3")
    stream.receive_text(audio(20), 1)

    assert [FrameRefused(100005, "more than one media message a second in mp3 mode")] == stream.receive_text(
        audio(20), 21
    )
    assert sample("ws/t-error-100005.json") == json.loads(stream.texts_to_send(21)[-1])
    assert [AudioIgnored("mp3_mode")] == stream.receive_text(audio(20), 1001)


def test_mp3_mode_plays_an_mp3() -> None:
    """What the mode is for: a whole file a message, marks and clear as with raw audio."""
    pytest.importorskip("av")
    stream = opened(mode="mp3")
    payload = file_of(tone(440, duration_ms=500), "mp3")
    (event,) = stream.receive_text(encode_media(payload), 1)
    stream.receive_text(mark("end"), 1)
    texts = stream.texts_to_send(700)
    heard = open_decoder("PCMU", 8000).decode(b"".join(packet for _, packet in stream.heard))

    assert AudioQueued(len(payload)) == event
    assert ["end"] == marks(texts)
    assert 440 == pytest.approx(dominant_frequency_hz(heard, 8000), abs=2)


def test_mp3_mode_refuses_what_is_too_large() -> None:
    """Telnyx's limit is unknown, so it is an option."""
    stream = opened(CarrierOptions(mp3_bytes_max=159), mode="mp3")
    (event,) = stream.receive_text(audio(20), 1)

    assert FrameRefused(100002, "an MP3 of more than 159 bytes in one message") == event
    assert sample("ws/t-error-100002.json")["event"] == json.loads(stream.texts_to_send(1)[-1])["event"]


@pytest.mark.parametrize(("rule", "played"), [("played", 1), ("refused", 0)])
def test_less_than_20_ms_in_a_message(rule: Any, played: int) -> None:
    """The guide says 20 ms to 30 s, and not what happens otherwise."""
    stream = opened(CarrierOptions(short_chunks=rule))
    stream.receive_text(encode_media(bytes(80)), 1)
    stream.texts_to_send(100)

    assert (played, 1 - played) == (stream.counters.packets_played, stream.counters.errors_out)


def test_target_legs_opposite_plays_nothing_on_one_leg() -> None:
    """Telnyx's default; the queue still runs, so marks come back and nothing looks wrong."""
    stream = opened(target_legs="opposite")
    stream.receive_text(audio(20), 1)
    stream.receive_text(mark("end"), 1)

    assert ["end"] == marks(stream.texts_to_send(40))
    assert [] == stream.heard
    assert 0 == stream.counters.packets_played


def test_target_legs_opposite_can_be_made_to_play() -> None:
    """Reports differ: programs that rely on it must be testable too."""
    stream = opened(CarrierOptions(opposite_plays=True), target_legs="opposite")
    stream.receive_text(audio(20), 1)
    stream.texts_to_send(40)

    assert 1 == stream.counters.packets_played


def test_binary_messages_are_dropped_without_an_error() -> None:
    """Observed with Telnyx: a helpful error here would hide the fault until the real call."""
    stream = opened()

    assert [AudioIgnored("binary")] == stream.receive_binary(TONE, 1)
    assert ["media"] == events(stream.texts_to_send(20))
    assert 1 == stream.counters.binary_in


@pytest.mark.parametrize(
    ("text", "name", "code"),
    [
        ("not json", "ws/t-error-100003.json", 100003),
        ('{"event":"speak"}', "ws/t-error-100003.json", 100003),
        ('{"event":"media","media":{}}', "ws/t-error-100003.json", 100003),
        ('{"event":"mark","mark":{}}', "ws/t-error-100003.json", 100003),
        ("[]", "ws/t-error-100003.json", 100003),
        ('{"event":"media","media":{"payload":"-_-_"}}', "ws/t-error-100004.json", 100004),
        ('{"event":"media","media":{"payload":"data:audio/basic;base64,AAAA"}}', "ws/t-error-100004.json", 100004),
    ],
)
def test_what_cannot_be_understood_gets_the_documented_error(text: str, name: str, code: int) -> None:
    """A developer must see the same error frame as with Telnyx."""
    stream = opened()
    (event,) = stream.receive_text(text, 1)

    assert isinstance(event, FrameRefused)
    assert code == event.code
    assert [sample(name)] == [json.loads(text) for text in stream.texts_to_send(1)]


def test_more_than_30_s_in_one_message_is_refused() -> None:
    """The documented limit of a chunk; longer ones must not work here and fail there."""
    stream = opened()
    (event,) = stream.receive_text(audio(30_020), 1)

    assert isinstance(event, FrameRefused)
    assert [sample("ws/t-error-100002.json")] == [json.loads(text) for text in stream.texts_to_send(1)]


def test_the_queue_is_bounded() -> None:
    """A server that floods must not eat the memory of the simulator."""
    stream = opened()
    for _ in range(20):
        assert [AudioQueued(240_000)] == stream.receive_text(audio(30_000), 1)

    assert [AudioIgnored("queue_full")] == stream.receive_text(audio(20), 1)


def test_both_tracks_bring_our_own_playback_back() -> None:
    """A server that ignores `track` hears itself; the simulator must make it show."""
    stream = opened(track="both_tracks")
    stream.receive_text(encode_media(TONE), 1)
    frames = [json.loads(text) for text in stream.texts_to_send(20)]

    assert [
        ("inbound", "1", "2"),
        ("outbound", "1", "3"),
    ] == [(frame["media"]["track"], frame["media"]["chunk"], frame["sequence_number"]) for frame in frames]
    assert TONE == base64.b64decode(frames[1]["media"]["payload"])


# --- keys, and the end -----------------------------------------------------------------------------------------------


def test_a_key_press_is_the_documented_frame() -> None:
    """Menus by key would not be testable."""
    stream = opened()
    stream.press("1", 678.901)
    frame = json.loads(stream.texts_to_send(678.901)[-1])

    assert sample("ws/t-dtmf.json") | {"sequence_number": "35"} == frame


def test_hang_up_sends_the_documented_stop_last() -> None:
    """A server must see stop before the socket closes."""
    stream = opened()
    stream.hang_up(1)
    (text,) = stream.texts_to_send(1)

    assert sample("ws/t-stop.json") | {"sequence_number": "2"} == json.loads(text)
    assert stream.closed
    assert stream.next_send_at_ms() is None
    assert [] == stream.receive_text(audio(20), 2)


def test_a_lost_socket_ends_the_stream_without_stop() -> None:
    """After a drop nothing may be sent to a dead socket."""
    stream = opened()
    stream.receive_eof(30)

    assert stream.closed
    assert not stream.stopped
    assert [] == stream.texts_to_send(100)


def test_hang_up_before_the_socket_opened() -> None:
    """A caller who hangs up early must not leave a stream behind that opens later."""
    stream = CarrierStream(request())
    stream.hang_up(0)

    assert stream.closed
    assert [] == stream.texts_to_send(5)


# --- all of it -------------------------------------------------------------------------------------------------------


def test_every_frame_fits_the_schema() -> None:
    """What the simulator sends is what servers are built against: it must be Telnyx's shape, all of it."""
    stream = CarrierStream(request(track="both_tracks", auth_token="t", custom_parameters={"a": "b"}))
    texts = stream.texts_to_send(0)
    for text in (audio(60), mark("m"), CLEAR, "nonsense", '{"event":"media","media":{"payload":"!"}}'):
        stream.receive_text(text, 1)
    stream.press("#", 30)
    texts += stream.texts_to_send(100)
    stream.receive_text(audio(60), 101)
    texts += stream.texts_to_send(200)
    stream.hang_up(210)
    texts += stream.texts_to_send(210)

    assert {"connected", "start", "media", "dtmf", "mark", "error", "stop"} == set(events(texts))
    for text in texts:
        frame = json.loads(text)
        assert [] == validate(frame, f"media-streaming.schema.json#/$defs/t_{frame['event']}")


@given(
    st.lists(
        st.one_of(
            st.text(max_size=40),
            st.integers(0, 200).map(audio),
            st.text(max_size=5).map(mark),
            st.just(CLEAR),
        ),
        max_size=40,
    )
)
def test_whatever_a_server_sends_the_stream_goes_on(texts: list[str]) -> None:
    """No server may break the simulator; numbers have no hole; the ear never hears more than time allows."""
    stream = opened()
    sent: list[str] = []
    for turn, text in enumerate(texts):
        stream.receive_text(text, 7 * turn)
        sent += stream.texts_to_send(7 * turn)
    sent += stream.texts_to_send(7 * len(texts) + 100)
    numbers = [int(frame["sequence_number"]) for text in sent if "sequence_number" in (frame := json.loads(text))]

    assert list(range(2, len(numbers) + 2)) == numbers
    assert stream.counters.packets_played <= (7 * len(texts) + 100) / 20
    assert stream.counters.marks_returned <= stream.counters.marks_in


@pytest.mark.parametrize(
    ("encoding", "rate", "size", "expected"),
    [
        ("PCMU", 8000, 160, 20),
        ("G722", 8000, 160, 20),
        ("L16", 16000, 640, 20),
        ("L16", 22050, 882, 20),
        ("OPUS", 48000, 7, 20),
    ],
)
def test_how_long_a_payload_plays(encoding: str, rate: int, size: int, expected: float) -> None:
    """The wrong length would run playback too fast or too slow, and marks with it."""

    assert expected == payload_ms(encoding, rate, bytes(size))


def test_times_are_written_as_telnyx_writes_them() -> None:
    """Programs parse these texts with fixed formats."""

    assert "2026-01-02T03:04:05.678901Z" == iso_time(EPOCH_UNIX_MS + 678.901)


# --- RTP headers in the payload -----------------------------------------------------------------------------------


def with_header(number: int, payload: bytes, source: int = 7) -> str:
    header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, 160 * number & 0xFFFFFFFF, source)
    return encode_media(header + payload)


def test_payloads_with_an_rtp_header_are_not_played() -> None:
    """Observed: Telnyx accepts them and plays nothing. The first one is known only by the second."""
    stream = opened()
    events = [stream.receive_text(with_header(n, bytes(160)), 1 + 20 * n)[0] for n in range(5)]
    stream.texts_to_send(500)

    assert [] == stream.heard
    assert [AudioIgnored("rtp_header")] * 4 == events[1:]
    assert (5, 5) == (stream.counters.unheard["rtp_header"], stream.counters.ignored_in)


def test_counters_of_rtp_may_roll_over_and_packets_may_be_lost() -> None:
    """A stream of 22 minutes passes 65,535, and a lossy network leaves gaps."""
    stream = opened()
    for place, number in enumerate((65_534, 65_535, 65_536, 65_539)):
        stream.receive_text(with_header(number, bytes(160)), 1 + 20 * place)
    stream.texts_to_send(500)

    assert [] == stream.heard


def test_audio_that_only_looks_like_one_rtp_packet_is_played() -> None:
    """172 bytes that begin with 0x80 are a chunk like any other when no second one goes on where it ended."""
    stream = opened()
    stream.receive_text(with_header(1, bytes(160)), 1)
    stream.texts_to_send(500)

    assert b"\x80" == b"".join(packet for _, packet in stream.heard)[:1]
    assert 172 == sum(len(packet) for _, packet in stream.heard)


def test_two_sources_are_no_rtp_stream() -> None:
    """Audio whose first bytes happen to count is not thrown away."""
    stream = opened()
    for number in range(4):
        stream.receive_text(with_header(number, bytes(160), source=number), 1 + 20 * number)
    stream.texts_to_send(800)

    assert not stream.counters.unheard
    assert 4 * 172 == sum(len(packet) for _, packet in stream.heard)
