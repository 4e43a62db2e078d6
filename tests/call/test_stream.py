"""One stream, sans I/O: by literal exchange, and joined to the simulator's carrier on a manual clock."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.audio.codec import ByteOrder, open_encoder
from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.audio.wav import read_wav
from callpath.call.stream import (
    TAIL_WAIT_MS,
    AudioReceived,
    ErrorReported,
    FrameSkipped,
    MarkHandedBack,
    MediaStream,
    PayloadReceived,
    StreamClosed,
    StreamEvent,
    StreamOpened,
    SymptomSeen,
)
from callpath.errors import AudioError
from callpath.testing import Pair
from callpath.wire.media import encode_message, parse_message
from tests.telnyx import sample, sample_text

START = sample_text("ws/t-start-pcmu.json")
FRAME = base64.b64encode(bytes(160)).decode()
VOICE = Path(__file__).parents[1] / "audio" / "golden" / "speech-8k.wav"


def opened() -> MediaStream:
    stream = MediaStream()
    stream.receive_text(sample_text("ws/t-connected.json"), 0)
    stream.receive_text(START, 0)
    return stream


def media(chunk: int, payload: str = "/////w==", track: str = "inbound") -> str:
    return json.dumps(
        {
            "event": "media",
            "sequence_number": str(chunk + 1),
            "media": {"track": track, "chunk": str(chunk), "timestamp": str(20 * chunk), "payload": payload},
            "stream_id": "s",
        }
    )


# --- the quick way ---------------------------------------------------------------------------------------------------

FRAMES = st.one_of(
    st.tuples(st.just("next"), st.binary(min_size=160, max_size=160)),
    st.tuples(st.just("next"), st.sampled_from([0, 1, 80, 159, 161, 240, 400, 480]).map(bytes)),
    st.tuples(st.sampled_from(["skip", "again", "outbound", "mark", "nonsense", "start"]), st.just(bytes(160))),
)


@given(frames=st.lists(FRAMES, max_size=30), gap_ms=st.sampled_from([5.0, 20.0, 70.0]))
def test_the_quick_way_in_hears_what_the_usual_way_hears(frames: list[tuple[str, bytes]], gap_ms: float) -> None:
    """It is for frames that come in their turn; one that it took wrongly would be doubled, lost, or out of order."""
    usual, quick = opened(), opened()
    heard_usually: list[StreamEvent] = []
    heard_quickly: list[StreamEvent] = []
    chunk = 1
    for number, (kind, payload) in enumerate(frames):
        chunk += {"next": 1, "skip": 2}.get(kind, 0)
        other = kind == "outbound"
        text = media(chunk + other, base64.b64encode(payload).decode(), "outbound" if other else "inbound")
        text = {"mark": sample_text("ws/s-mark.json"), "nonsense": '{"event":"media"}', "start": START}.get(kind, text)
        now_ms = number * gap_ms
        heard_usually += [*usual.receive_text(text, now_ms), *usual.due_events(now_ms)]
        audio = quick.receive_audio(text.encode(), now_ms)
        if audio is None:
            heard_quickly += quick.receive_text(text, now_ms)
        else:
            heard_quickly += [AudioReceived(as_pcm(piece), "inbound", 0.0, len(payload)) for piece in audio]
        heard_quickly += quick.due_events(now_ms)
    heard_usually += usual.receive_eof()
    heard_quickly += quick.receive_eof()

    assert [sounds(event) for event in heard_usually] == [sounds(event) for event in heard_quickly]
    assert usual.counts == quick.counts
    assert {160} >= {event.pcm.size for event in heard_usually if isinstance(event, AudioReceived)}


def sounds(event: StreamEvent) -> object:
    """An event as it can be compared. (The quick way gives bytes alone: how much is concealed is not in them.)"""
    return event.pcm.tolist() if isinstance(event, AudioReceived) else event


def test_the_first_frame_in_its_turn_goes_the_quick_way() -> None:
    """Otherwise all of them would go the slow one, and nothing would tell."""
    stream = opened()
    stream.receive_text(media(1, FRAME), 0)
    audio = stream.receive_audio(media(2, FRAME).encode(), 20)

    assert audio is not None
    assert [320] == [len(piece) for piece in audio]


PLAYED = st.lists(
    st.tuples(
        st.sampled_from(["frame", "burst", "half", "mark", "clear", "wait"]), st.sampled_from([5.0, 20.0, 150.0])
    ),
    max_size=40,
)


@given(steps=PLAYED)
def test_the_quick_way_out_says_what_the_usual_way_says(steps: list[tuple[str, float]]) -> None:
    """It passes the queue: what waits there, a mark, a clear or half a frame, must not be overtaken."""
    usual, quick = opened(), opened()
    said_usually: list[bytes] = []
    said_quickly: list[bytes] = []
    now_ms = 0.0
    for number, (kind, ms) in enumerate(steps):
        match kind:
            case "wait":
                now_ms += ms
            case "mark":
                usual.mark("m")
                quick.mark("m")
            case "clear":
                usual.clear(now_ms)
                quick.clear(now_ms)
            case _:
                pcm = np.full(80 if kind == "half" else 160, 300 * number, np.int16)
                for _ in range(12 if kind == "burst" else 1):
                    usual.play(pcm)
                    text = quick.play_at_once(pcm.tobytes(), now_ms)
                    if text is None:
                        quick.play(pcm)
                    else:
                        said_quickly.append(text)
        if kind != "clear":  # which goes out with what is played next
            said_usually += usual.texts_to_send(now_ms)
            said_quickly += quick.texts_to_send(now_ms)

    assert said_usually == said_quickly
    assert usual.playout.played_ms(now_ms) == quick.playout.played_ms(now_ms)
    assert usual.playout.underruns == quick.playout.underruns


# --- by literal exchange ---------------------------------------------------------------------------------------------


def test_connected_and_start_open_the_stream() -> None:
    """The handler is entered on StreamOpened; without it the call stays silent."""
    stream = MediaStream()

    assert stream.receive_text(sample_text("ws/t-connected.json"), 0) == []
    assert stream.receive_text(START, 0) == [StreamOpened(parse_message(START))]  # type: ignore[arg-type]


def test_nothing_is_sent_before_start() -> None:
    """Before it nobody has said that this is a stream of ours."""
    stream = MediaStream()
    stream.play(tone(440, duration_ms=100))

    assert stream.texts_to_send(0) == []
    assert stream.next_send_at_ms() is None


def test_media_becomes_audio() -> None:
    """0xFF is silence in mu-law."""
    events = opened().receive_text(media(1, base64.b64encode(b"\xff" * 160).decode()), 0)

    assert len(events) == 1
    assert isinstance(events[0], AudioReceived)
    assert events[0].pcm.tolist() == [0] * 160


def test_the_start_frame_decides_the_codec() -> None:
    """A leg outside North America is PCMA whatever was asked for; decoded as mu-law it is loud static."""
    stream = MediaStream(play_encoding="PCMU")
    stream.receive_text(sample_text("ws/t-start-pcma-call-codec.json"), 0)
    silence = sample("ws/s-media-silence-pcma-20ms.json")["media"]["payload"]
    events = stream.receive_text(media(1, silence), 0)

    assert isinstance(events[0], AudioReceived)
    assert int(np.abs(events[0].pcm).max()) <= 8


def test_our_own_audio_coming_back_is_not_the_caller() -> None:
    """With both_tracks Telnyx sends what we play as track outbound; taken for speech, the bot interrupts itself."""
    stream = opened()

    assert stream.receive_text(media(1, track="outbound"), 0) == []
    assert stream.counts.frames_outbound_track == 1
    assert stream.counts.frames_in == 0


def test_chunks_are_put_back_in_order() -> None:
    """Telnyx does not promise order; swapped chunks crackle."""
    stream = opened()
    payloads = {chunk: base64.b64encode(bytes([chunk]) * 160).decode() for chunk in (1, 2, 3)}
    events = [event for chunk in (1, 3, 2) for event in stream.receive_text(media(chunk, payloads[chunk]), 0)]
    heard = [event.pcm.tolist() for event in events if isinstance(event, AudioReceived)]
    in_order = opened()
    expected = [
        event.pcm.tolist()
        for chunk in (1, 2, 3)
        for event in in_order.receive_text(media(chunk, payloads[chunk]), 0)
        if isinstance(event, AudioReceived)
    ]

    assert heard == expected
    assert stream.counts.reordered == 1


def test_a_lost_chunk_is_concealed_after_a_while() -> None:
    """The handler's audio must keep its length, or transcripts and recordings drift."""
    stream = opened()
    stream.receive_text(media(1, FRAME), 0)
    assert stream.receive_text(media(3, FRAME), 40) == []
    due_ms = stream.next_event_at_ms()
    assert due_ms is not None
    events = stream.due_events(due_ms)

    assert [event.concealed_ms for event in events if isinstance(event, AudioReceived)] == [20.0, 0.0]
    assert stream.counts.lost == 1


def test_a_burst_of_losses_is_concealed_frame_by_frame() -> None:
    """Handlers are promised 20 ms a chunk, and voice detectors refuse any other length."""
    stream = opened()
    stream.receive_text(media(1, FRAME), 0)
    stream.receive_text(media(5, FRAME), 80)
    events = stream.due_events(140)

    assert [(event.pcm.size, event.concealed_ms) for event in events if isinstance(event, AudioReceived)] == [
        *[(160, 20.0)] * 3,
        (160, 0.0),
    ]


def test_a_loss_is_as_long_as_the_frames_around_it() -> None:
    """Some phones send 30 ms at a time: a gap of 20 would let transcripts and recordings drift."""
    stream = opened()
    events = stream.receive_text(media(1, base64.b64encode(bytes(240)).decode()), 0)
    events += stream.receive_text(media(3, base64.b64encode(bytes(240)).decode()), 60)
    events += stream.due_events(120)
    events += stream.receive_eof()

    assert [(160, 0.0, 240), (160, 10.0, 0), (160, 20.0, 0), (160, 0.0, 240), (160, 0.0, 240)] == [
        (event.pcm.size, event.concealed_ms, event.payload_bytes)
        for event in events
        if isinstance(event, AudioReceived)
    ]


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("ws/t-mark.json", MarkHandedBack("greeting-1", heard=True)),
        ("ws/t-stop.json", StreamClosed(by_stop_frame=True)),
    ],
)
def test_other_frames_become_events(name: str, event: object) -> None:
    """Marks and the end."""
    assert opened().receive_text(sample_text(name), 0) == [event]


def test_an_error_frame_is_reported() -> None:
    """Telnyx says on the socket what it could not use. Programs that do not look never know."""
    (event,) = opened().receive_text(sample_text("ws/t-error-100004.json"), 0)

    assert isinstance(event, ErrorReported)
    assert event.error.code == 100004


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("garbage", "not_json"),
        ('{"event":"media","media":{"payload":"***"}}', "invalid_media"),
        ('{"event":"sneeze"}', "unknown_event"),
        ('{"event":"start"}', "unusable_start"),
        ('{"event":"mark"}', "wrong_shape"),
    ],
)
def test_what_cannot_be_used_is_skipped_and_counted(text: str, reason: str) -> None:
    """The call goes on."""
    stream = opened()
    (event,) = stream.receive_text(text, 0)

    assert isinstance(event, FrameSkipped)
    assert event.reason == reason
    assert stream.counts.frames_skipped == 1
    assert not stream.closed


def test_media_before_start_is_skipped() -> None:
    """Its encoding is not known yet; guessing would be noise."""
    (event,) = MediaStream().receive_text(media(1), 0)

    assert isinstance(event, FrameSkipped)
    assert event.reason == "media_before_start"


def test_a_start_with_an_encoding_that_we_cannot_read() -> None:
    """The stream is not opened, and the reason says which encodings there are."""
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"]["encoding"] = "G729"
    (event,) = MediaStream().receive_text(json.dumps(document), 0)

    assert isinstance(event, FrameSkipped)
    assert "G729" in event.detail


def test_audio_after_such_a_start_is_not_said_to_come_before_it() -> None:
    """Who reads the timeline would look for a start frame that is not missing."""
    stream = MediaStream()
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"]["encoding"] = "G729"
    refused = stream.receive_text(json.dumps(document), 0)

    assert refused == stream.receive_text(media(1), 20)


def test_the_end_comes_once() -> None:
    """Stop frame and closed socket are one end, not two."""
    stream = opened()
    stream.receive_text(sample_text("ws/t-stop.json"), 0)

    assert stream.receive_eof() == []


def test_a_socket_that_goes_away_ends_the_stream() -> None:
    """Without a stop frame: that is worth an entry."""
    assert opened().receive_eof() == [StreamClosed(by_stop_frame=False)]


def test_a_short_tail_is_padded_when_nothing_follows() -> None:
    """Half a frame at the end of a sentence must be heard too; below 20 ms Telnyx's behaviour is unknown."""
    stream = opened()
    stream.play(np.full(40, 1000, np.int16))
    assert [] == stream.texts_to_send(7)
    due_ms = stream.next_send_at_ms()
    assert due_ms == 7 + 5 + TAIL_WAIT_MS
    assert [] == stream.texts_to_send(due_ms - 0.1)
    (text,) = stream.texts_to_send(due_ms)
    message = parse_message(text)

    assert len(message.payload) == 160  # type: ignore[union-attr]
    assert stream.next_send_at_ms() is None


def test_a_tail_waits_for_the_next_piece_while_audio_is_left() -> None:
    """Speech that comes in pieces of odd length must not have silence between them."""
    stream = opened()
    stream.play(np.zeros(160 * 3 + 40, np.int16))
    first = stream.texts_to_send(0)
    stream.play(np.zeros(120, np.int16))
    second = stream.texts_to_send(1)

    assert (len(first), len(second)) == (3, 1)


# --- as a pair, on a manual clock ------------------------------------------------------------------------------------


def test_speech_reaches_us_and_comes_back() -> None:
    """The whole point: what the caller says is heard, what we play is heard, both as sound."""
    pair = Pair()
    speech = tone(440, duration_ms=1000)
    pair.say(speech)
    for _ in range(75):
        for event in pair.run(ms=20):
            if isinstance(event, AudioReceived):
                pair.server.play(event.pcm)
    match = find_delay_ms(speech, pair.heard(), 8000)

    assert match.correlation > 0.99
    assert abs(dominant_frequency_hz(pair.heard()[:8000], 8000) - 440) < 3


def test_cleared_mark_is_not_taken_for_heard() -> None:
    """Telnyx hands queued marks back on clear; reading that as "played" would skip a prompt."""
    pair = Pair()
    pair.run(ms=1)
    pair.server.play(tone(440, duration_ms=1000))
    pair.server.mark("greeting")
    pair.run(ms=900)
    cleared = pair.server.clear(pair.now_ms)
    events = pair.run(ms=100)

    assert [event for event in events if isinstance(event, MarkHandedBack)] == [MarkHandedBack("greeting", heard=False)]
    assert cleared.heard_ms == pytest.approx(899, abs=20)
    assert cleared.heard_ms + cleared.dropped_ms == pytest.approx(1000)


def test_a_mark_that_waits_here_is_handed_back_by_a_clear_too() -> None:
    """It stands behind more audio than may run ahead; whoever waits for it would wait until the call ends."""
    pair = Pair()
    pair.run(ms=1)
    for name in ("near", "far"):
        pair.server.play(tone(440, duration_ms=180))
        pair.server.mark(name)
    pair.run(ms=50)
    pair.server.clear(pair.now_ms)
    pair.server.mark("after")
    events = pair.run(ms=50)

    assert [event for event in events if isinstance(event, MarkHandedBack)] == [
        MarkHandedBack("near", heard=False),
        MarkHandedBack("far", heard=False),
        MarkHandedBack("after", heard=True),
    ]


def test_a_mark_comes_back_when_its_audio_was_heard() -> None:
    """And not before."""
    pair = Pair()
    pair.run(ms=1)
    pair.server.play(tone(440, duration_ms=300))
    pair.server.mark("done")
    early = pair.run(ms=280)
    late = pair.run(ms=80)

    assert [event for event in early if isinstance(event, MarkHandedBack)] == []
    assert [event for event in late if isinstance(event, MarkHandedBack)] == [MarkHandedBack("done", heard=True)]


def test_what_clear_calls_heard_is_what_the_ear_heard() -> None:
    """Transcripts are cut by it: the model must believe to have said what the caller really heard."""
    pair = Pair()
    pair.run(ms=1)
    pair.server.play(tone(440, duration_ms=3000))
    pair.run(ms=1234)
    cleared = pair.server.clear(pair.now_ms)
    pair.run(ms=500)
    heard_ms = len(pair.carrier.heard) * 20

    assert abs(cleared.heard_ms - heard_ms) <= 40  # the carrier plays whole packets, and we count to the millisecond


def test_playout_never_runs_further_ahead_than_its_lead() -> None:
    """What Telnyx holds cannot be taken back without a clear; too much of it makes barge-in late."""
    pair = Pair()
    pair.run(ms=1)
    pair.server.play(tone(440, duration_ms=5000))
    leads = []
    for _ in range(100):
        pair.run(ms=20)
        leads.append(pair.server.playout.lead_ms(pair.now_ms))

    assert max(leads) <= 200
    assert min(leads) >= 160


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
def test_each_leg_codec_is_understood(encoding: str) -> None:
    """By sound: the tone is found at its frequency."""
    pair = Pair(encoding=encoding)  # type: ignore[arg-type]
    rate_hz = 16000 if encoding == "L16" else 8000
    pair.say(tone(1000, duration_ms=500, sample_rate_hz=rate_hz))
    events = pair.run(ms=500)
    heard = np.concatenate([event.pcm for event in events if isinstance(event, AudioReceived)])

    assert pair.server.received_rate_hz == rate_hz
    assert abs(dominant_frequency_hz(heard, rate_hz) - 1000) < 5


@settings(max_examples=30, deadline=None)
@given(pieces=st.lists(st.integers(1, 4000), min_size=1, max_size=6), clears=st.sets(st.integers(0, 5)))
def test_sent_is_played_plus_cleared(pieces: list[int], clears: set[int]) -> None:
    """No sample is heard twice or lost, whatever lengths are played and whenever they are cleared."""
    pair = Pair()
    pair.run(ms=1)
    heard_ms = dropped_ms = 0.0
    for number, samples in enumerate(pieces):
        pair.server.play(silence_free(samples))
        pair.run(ms=35)
        if number in clears:
            cleared = pair.server.clear(pair.now_ms)
            heard_ms += cleared.heard_ms
            dropped_ms += cleared.dropped_ms
            pair.run(ms=1)
    pair.run(ms=4000)
    rest = pair.server.clear(pair.now_ms)
    framed_ms = pair.server.playout.played_ms(pair.now_ms)

    assert rest.dropped_ms == 0
    assert heard_ms + rest.heard_ms == pytest.approx(framed_ms)
    assert heard_ms + rest.heard_ms + dropped_ms <= sum(pieces) / 8 + 20 * len(pieces)


def silence_free(samples: int) -> Pcm:
    return np.full(samples, 1000, np.int16)


def test_encode_and_parse_agree_on_what_the_pair_exchanges() -> None:
    """Each frame of a whole call is written back as it was."""
    pair = Pair()
    pair.say(tone(440, duration_ms=100))
    for text in pair.carrier.texts_to_send(0) + pair.carrier.texts_to_send(100):
        assert json.loads(encode_message(parse_message(text))) == json.loads(text)


# --- every codec and rate, by sound ----------------------------------------------------------------------------------

HEARD = [
    ("PCMU", 8000),
    ("PCMA", 8000),
    ("G722", 8000),
    ("G722", 16000),
    ("OPUS", 8000),
    ("OPUS", 16000),
    ("OPUS", 48000),
    ("L16", 8000),
    ("L16", 16000),
    ("L16", 22050),
    ("L16", 24000),
    ("L16", 48000),
]


@pytest.mark.parametrize(("encoding", "rate_hz"), HEARD)
def test_a_tone_is_found_again_through_every_codec_both_ways(encoding: str, rate_hz: int) -> None:
    """Half speed, double speed and static are all a wrong rate or codec somewhere on this way."""
    if encoding in ("G722", "OPUS"):
        pytest.importorskip("av")
    pair = Pair(encoding=encoding, rate_hz=rate_hz, play_encoding=encoding, play_rate_hz=rate_hz)  # type: ignore[arg-type]
    pair.run(ms=1)
    pair.say(tone(1000, duration_ms=1000, sample_rate_hz=pair.server.received_rate_hz))
    events = pair.run(ms=200)
    pair.server.play(tone(1500, duration_ms=1000, sample_rate_hz=pair.server.play_rate_hz))
    events += pair.run(ms=1000)
    came = np.concatenate([event.pcm for event in events if isinstance(event, AudioReceived)])
    heard = pair.heard()

    assert abs(dominant_frequency_hz(came, pair.server.received_rate_hz) - 1000) < 5
    assert abs(dominant_frequency_hz(heard, pair.server.play_rate_hz) - 1500) < 5


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_amr_wb_is_heard_whatever_rate_its_start_frame_says(rate_hz: int) -> None:
    """Nobody here can make it, so no tone of ours goes this way: another sender's speech does, at 16 kHz always."""
    pytest.importorskip("av")
    stream = MediaStream()
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"] = {"encoding": "AMR-WB", "sample_rate": rate_hz, "channels": 1}
    stream.receive_text(json.dumps(document), 0)
    events: list[object] = []
    for number, line in enumerate((VOICE.parent / "amr-wb-octet-aligned.hex").read_text().split()):
        payload = base64.b64encode(bytes.fromhex(line)).decode()
        events += stream.receive_text(media(number + 1, payload), 20.0 * number)
    heard = np.concatenate([event.pcm for event in events if isinstance(event, AudioReceived)])
    match = find_delay_ms(read_wav(VOICE.parent / "speech-16k.wav")[0], heard, 16000)

    assert 16000 == stream.received_rate_hz
    assert 59 * 320 == heard.size
    assert match.correlation > 0.9


def test_the_byte_order_follows_the_sound() -> None:
    """Two deployments heard L16 little-endian, others swap it: with `detect` neither hears noise for long."""
    stream = MediaStream(play_encoding="L16", play_rate_hz=8000, byte_order="detect")
    document = sample("ws/t-start-l16-8k.json")
    stream.receive_text(json.dumps(document), 0)
    encoder = open_encoder("L16", 8000, byte_order="big")
    speech = np.tile(read_wav(VOICE)[0], 3)
    heard: list[AudioReceived] = []
    seen: list[str] = []
    for number in range(speech.size // 160):
        payload = base64.b64encode(encoder.encode(speech[160 * number : 160 * number + 160])).decode()
        events = stream.receive_text(media(number + 1, payload), 20.0 * number)
        heard = [event for event in events if isinstance(event, AudioReceived)]
        if number % 50 == 49:
            events = stream.on_second(20.0 * number, waiting_ms=0, lag_ms=0, may_take_long=True)
            seen += [event.symptom.slug for event in events if isinstance(event, SymptomSeen)]
    stream.play(np.full(160, 0x0102, np.int16))
    (text,) = stream.texts_to_send(9000)

    assert seen == ["wrong_byte_order"]
    assert heard[0].pcm.tolist() == speech[160 * number : 160 * number + 160].tolist()
    assert parse_message(text).payload[:2] == b"\x01\x02"  # type: ignore[union-attr]


def test_what_waits_to_be_sent_follows_the_byte_order() -> None:
    """A sentence that was queued before would be a burst of full-scale noise for the rest of it."""
    stream = MediaStream(play_encoding="L16", play_rate_hz=8000, byte_order="detect")
    stream.receive_text(sample_text("ws/t-start-l16-8k.json"), 0)
    encoder = open_encoder("L16", 8000, byte_order="big")
    speech = np.tile(read_wav(VOICE)[0], 3)
    sentence = tone(440, duration_ms=600)
    for number in range(50):
        payload = base64.b64encode(encoder.encode(speech[160 * number : 160 * number + 160])).decode()
        stream.receive_text(media(number + 1, payload), 20.0 * number)
    stream.play(sentence)
    stream.mark("half")
    stream.play(sentence[:1000])  # the last of it does not fill a frame
    before = stream.texts_to_send(1000.0)
    seen = stream.on_second(1000.0, waiting_ms=0, lag_ms=0, may_take_long=True)
    after = [text for now_ms in range(1000, 3000, 20) for text in stream.texts_to_send(now_ms)]
    sent = b"".join(parse_message(text).payload for text in after if b"media" in text)  # type: ignore[union-attr]
    heard = np.frombuffer(sent, ">i2")

    assert ["wrong_byte_order"] == [event.symptom.slug for event in seen if isinstance(event, SymptomSeen)]
    assert 10 == len(before)
    assert sentence[1600:].tolist() == heard[:3200].tolist()
    assert [*sentence[:1000], *[0] * 120] == heard[3200:].tolist()


def test_the_byte_order_of_what_comes_does_not_disturb_another_codec() -> None:
    """An encoder that begins anew in the middle of a sound is 70 ms of full-scale noise at the other end."""
    pytest.importorskip("av")
    speech = np.tile(read_wav(VOICE)[0], 2)

    def said(order: ByteOrder) -> tuple[ByteOrder, list[bytes]]:
        stream = MediaStream(play_encoding="G722", byte_order="detect")
        stream.receive_text(sample_text("ws/t-start-l16-8k.json"), 0)
        encoder = open_encoder("L16", 8000, byte_order=order)
        texts: list[bytes] = []
        for number in range(100):
            payload = base64.b64encode(encoder.encode(speech[160 * number : 160 * number + 160])).decode()
            stream.receive_text(media(number + 1, payload), 20.0 * number)
            if number == 49:
                stream.on_second(20.0 * number, waiting_ms=0, lag_ms=0, may_take_long=True)
            stream.play(tone(440, duration_ms=20, sample_rate_hz=16000))
            texts += stream.texts_to_send(20.0 * number)
        return stream.byte_order, texts

    (one, undisturbed), (other, texts) = said("little"), said("big")

    assert ("little", "big") == (one, other)
    assert undisturbed == texts


def quiet_call(encoding: str, said: Pcm, played: Pcm, quick: bool = False) -> list[str]:
    """What is told of a call of 32 s; `said` and `played` begin between two looks, and all around them are zeros."""
    stream = MediaStream(play_encoding=encoding, play_rate_hz=16000)
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"] = {"encoding": encoding, "sample_rate": 16000, "channels": 1}
    stream.receive_text(json.dumps(document), 0)
    encoder = open_encoder(encoding, 16000)
    seen: list[object] = []
    for number in range(1600):
        here = slice(320 * (number - 210), 320 * (number - 209)) if number >= 210 else slice(0)
        frame, answer = (np.concatenate([pcm[here], np.zeros(320, np.int16)])[:320] for pcm in (said, played))
        text = media(number + 1, base64.b64encode(encoder.encode(frame)).decode())
        if not quick or stream.receive_audio(text.encode(), 20.0 * number) is None:
            stream.receive_text(text, 20.0 * number)
        if not quick or stream.play_at_once(answer.tobytes(), 20.0 * number) is None:
            stream.play(answer)
        stream.texts_to_send(20.0 * number)
        if number % 50 == 49:
            seen += stream.on_second(20.0 * number, waiting_ms=0, lag_ms=0, may_take_long=True)
    return [event.symptom.slug for event in seen if isinstance(event, SymptomSeen)]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("encoding", ["G722", "OPUS"])
def test_silence_shows_in_every_codec(encoding: str, quick: bool) -> None:
    """Where it is many values the payloads hide it: a muted phone, and a speech engine that fails without a word, were
    told on calls in G.711 only. Soft speech of a third of a second is a word."""
    pytest.importorskip("av")
    nothing = np.zeros(0, np.int16)
    word = tone(300, duration_ms=300, level_dbfs=-50, sample_rate_hz=16000)

    assert ["caller_silent", "we_are_silent"] == quiet_call(encoding, nothing, nothing, quick)
    assert ["we_are_silent"] == quiet_call(encoding, word, nothing, quick)
    assert ["caller_silent"] == quiet_call(encoding, nothing, word, quick)


def test_what_cannot_be_decoded_is_no_silence() -> None:
    """Another codec under the name of OPUS is the fault then, and not the caller's microphone."""
    pytest.importorskip("av")
    stream = MediaStream()
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"] = {"encoding": "OPUS", "sample_rate": 16000, "channels": 1}
    stream.receive_text(json.dumps(document), 0)
    seen: list[object] = []
    for number in range(1600):
        event, *_ = stream.receive_text(media(number + 1, "/////w=="), 20.0 * number)
        assert isinstance(event, FrameSkipped)
        if number % 50 == 49:
            seen += stream.on_second(20.0 * number, waiting_ms=0, lag_ms=0, may_take_long=True)

    assert [] == seen


def test_a_raw_stream_touches_nothing() -> None:
    """Payloads in, payloads out, also in an encoding that we could not read."""
    stream = MediaStream(raw=True)
    document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"]["encoding"] = "G729"
    stream.receive_text(json.dumps(document), 0)
    events = stream.receive_text(media(1, "AAEC"), 0)
    stream.play_payload(b"\x00\x01\x02" * 80)

    assert events == [PayloadReceived(b"\x00\x01\x02")]
    assert [parse_message(text).payload for text in stream.texts_to_send(0)] == [b"\x00\x01\x02" * 80]  # type: ignore[union-attr]


def test_a_clear_counts_a_last_piece_of_a_frame_too() -> None:
    """It was to be heard, and is not: heard and dropped together are what was played."""
    stream = opened()
    stream.play(tone(440, duration_ms=55))
    stream.texts_to_send(0)
    cleared = stream.clear(10)

    assert (10, 45) == (cleared.heard_ms, cleared.dropped_ms)
    assert stream.unheard_ms(10) == 0


def test_a_frame_that_cannot_be_decoded_is_concealed() -> None:
    """Its 20 ms passed all the same: without them the handler's audio is shorter than the call, and a recording jumps."""
    stream = MediaStream()
    stream.receive_text(sample_text("ws/t-start-l16.json"), 0)
    payloads = [bytes(640), bytes(639), bytes(640)]
    texts = [media(chunk, base64.b64encode(payload).decode()) for chunk, payload in enumerate(payloads, 1)]
    events = [event for number, text in enumerate(texts) for event in stream.receive_text(text, 20.0 * number)]

    assert ["undecodable"] == [event.reason for event in events if isinstance(event, FrameSkipped)]
    assert [(320, 0.0), (320, 20.0), (320, 0.0)] == [
        (event.pcm.size, event.concealed_ms) for event in events if isinstance(event, AudioReceived)
    ]


def test_a_raw_stream_opens_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never uses one, and without the extra `codecs` there would be none: each call ended as it began."""
    monkeypatch.setitem(sys.modules, "av", None)
    stream = MediaStream(raw=True, play_encoding="G722")
    stream.receive_text(START, 0)
    stream.play_payload(bytes(160))

    assert [parse_message(text).payload for text in stream.texts_to_send(0)] == [bytes(160)]  # type: ignore[union-attr]
    with pytest.raises(AudioError, match="payloads"):
        stream.play(tone(440, duration_ms=20))


@settings(max_examples=50, deadline=None)
@given(order=st.permutations(range(1, 13)), doubled=st.sets(st.integers(1, 12)))
def test_each_chunk_comes_once_and_in_order(order: list[int], doubled: set[int]) -> None:
    """Whatever the network does within the jitter buffer's reach; numbers that are swapped or doubled are crackles."""
    stream = MediaStream(raw=True)
    stream.receive_text(START, 0)
    events = list(stream.receive_text(media(1, "AQ=="), 0))
    for chunk in order:
        for _ in range(2 if chunk in doubled else 1):
            if chunk > 1:
                events += stream.receive_text(media(chunk, base64.b64encode(bytes([chunk])).decode()), 0)
    events += stream.receive_eof()

    assert [event.payload[0] for event in events if isinstance(event, PayloadReceived)] == list(range(1, 13))
