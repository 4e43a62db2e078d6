"""Odd but legal senders, and odd producers of audio: every sample comes through once, in frames of exactly 20 ms.

The variants of frames are those of a carrier that was run against the server on 2026-11-30; here they are rows of a table.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from callpath.audio.codec import Encoder, open_decoder, open_encoder
from callpath.audio.pcm import Pcm, as_pcm, samples_in
from callpath.audio.tone import tone
from callpath.call.stream import (
    AudioReceived,
    DtmfPressed,
    FrameSkipped,
    MediaStream,
    PayloadReceived,
    StreamClosed,
    StreamEvent,
    StreamOpened,
    SymptomSeen,
)
from callpath.testing import Pair
from callpath.wire.ids import CallControlId
from tests.telnyx import sample

Document = dict[str, Any]

CODECS = [
    ("PCMU", 8000),
    ("PCMA", 8000),
    ("G722", 8000),
    ("OPUS", 16000),
    ("L16", 8000),
    ("L16", 16000),
    ("L16", 22050),
    ("L16", 24000),
    ("L16", 48000),
]

PTIMES_MS = {
    "10 ms": [10],
    "20 ms": [20],
    "30 ms": [30],
    "40 ms": [40],
    "50 ms": [50],
    "60 ms": [60],
    "100 ms": [100],
    "20 ms, then 10": [20] * 11 + [10] * 40,
    "10 ms, an odd number of them, then 20": [10] * 21 + [20] * 40,
    "30 ms, then 20, then 60": [30] * 7 + [20] * 20 + [60] * 20,
    "mixed": random.Random(20).choices([10, 20, 30, 40, 50, 60, 100], k=60),
}


def start(encoding: str = "PCMU", rate_hz: int = 8000) -> Document:
    document: Document = sample("ws/t-start-pcmu.json")
    document["start"]["media_format"] = {"encoding": encoding, "sample_rate": rate_hz, "channels": 1}
    return document


def media(chunk: int, payload: bytes, track: str = "inbound") -> Document:
    body = {"track": track, "chunk": str(chunk), "timestamp": "0", "payload": base64.b64encode(payload).decode()}
    return {"event": "media", "sequence_number": str(chunk + 1), "media": body, "stream_id": "s"}


def dtmf(digit: str, ms: int, number: int) -> Document:
    at = f"2026-01-02T03:04:05.{ms:03}001Z"
    return {
        "event": "dtmf",
        "stream_id": "s",
        "occurred_at": at,
        "sequence_number": str(number),
        "dtmf": {"digit": digit},
    }


def receive(stream: MediaStream, text: str, now_ms: float, *, quick: bool = False) -> list[StreamEvent]:
    """One text as the driver takes it, the quick way first."""
    due = stream.due_events(now_ms)
    pieces = stream.receive_audio(text.encode(), now_ms) if quick else None
    if pieces is None:
        return due + stream.receive_text(text, now_ms)
    raw = stream.raw
    return due + [PayloadReceived(piece) if raw else AudioReceived(as_pcm(piece)) for piece in pieces]


def audio(events: list[StreamEvent]) -> list[AudioReceived]:
    return [event for event in events if isinstance(event, AudioReceived)]


def cut(payload_ms: list[int], total_ms: int) -> Iterator[tuple[int, int]]:
    """Where each payload begins and ends: the given lengths over and over, up to the last that fits."""
    at_ms, number = 0, 0
    while at_ms + (ms := payload_ms[number % len(payload_ms)]) <= total_ms:
        yield at_ms, at_ms + ms
        at_ms, number = at_ms + ms, number + 1


def spoken(encoding: str, rate_hz: int, payload_ms: list[int]) -> tuple[list[bytes], Pcm]:
    """Payloads of these lengths, and what a decoder of their own makes of them."""
    encoder, decoder = open_encoder(encoding, rate_hz), open_decoder(encoding, rate_hz)
    pcm = tone(440, duration_ms=2000, sample_rate_hz=encoder.sample_rate_hz)
    payloads = []
    for begin_ms, end_ms in cut(payload_ms, 2000):
        begin, end = (samples_in(ms, encoder.sample_rate_hz) for ms in (begin_ms, end_ms))
        payloads.append(of_any_length(encoder, pcm[begin:end]))
    return payloads, np.concatenate([decoder.decode(payload) for payload in payloads])


def of_any_length(encoder: Encoder, pcm: Pcm) -> bytes:
    """G722 by FFmpeg takes whole frames of 20 ms; half of the bytes of one is a payload of 10."""
    if encoder.encoding != "G722":
        return encoder.encode(pcm)
    frames = -(-pcm.size // 320)
    padded = np.zeros(320 * frames, np.int16)
    padded[: pcm.size] = pcm
    return encoder.encode(padded)[: pcm.size // 2]


# --- what comes in ---------------------------------------------------------------------------------------------------


SPOKEN = [
    (encoding, rate_hz, name)
    for encoding, rate_hz in CODECS
    for name in PTIMES_MS
    if encoding != "OPUS" or name == "20 ms"  # as our encoder makes them; test_opus_packets_of_any_length has others
]


@pytest.mark.parametrize("quick", [False, True], ids=["slow way", "quick way"])
@pytest.mark.parametrize(("encoding", "rate_hz", "payload"), SPOKEN)
def test_whatever_the_packet_time_the_handler_gets_all_of_it_in_frames_of_20_ms(
    encoding: str, rate_hz: int, payload: str, quick: bool
) -> None:
    """Voice detectors refuse any other length, and 10 ms of silence in every second word is heard as a stutter."""
    if encoding in ("G722", "OPUS"):
        pytest.importorskip("av")
    payloads, expected = spoken(encoding, rate_hz, PTIMES_MS[payload])
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start(encoding, rate_hz)), 0)
    for number, content in enumerate(payloads):
        events += receive(stream, json.dumps(media(number + 1, content)), 10.0 * number, quick=quick)
    events += stream.receive_eof()
    frames = [event.pcm for event in audio(events)]
    heard = np.concatenate(frames)

    assert {stream.received_rate_hz // 50} == {frame.size for frame in frames}
    assert expected.tolist() == heard[: expected.size].tolist()
    assert heard.size - expected.size < stream.received_rate_hz // 50
    assert not heard[expected.size :].any()
    assert (0, 0, 0) == (stream.counts.lost, stream.counts.duplicated, stream.counts.frames_skipped)


@pytest.mark.parametrize("ms", ["10", "20", "40", "60"])
def test_opus_packets_of_any_length(ms: str) -> None:
    """RFC 6716 knows packets of 2.5 to 120 ms; the payload says its own length."""
    av = pytest.importorskip("av")
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48000, "mono", "s16"
    context.options = {"frame_duration": ms}
    context.open()
    pcm, packets = tone(440, duration_ms=1200, sample_rate_hz=48000), []
    for begin in range(0, pcm.size, context.frame_size):
        frame = av.AudioFrame.from_ndarray(pcm[None, begin : begin + context.frame_size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48000, begin
        packets += [bytes(packet) for packet in context.encode(frame)]
    decoder = open_decoder("OPUS", 16000)
    expected = np.concatenate([decoder.decode(packet) for packet in packets])
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start("OPUS", 16000)), 0)
    for number, packet in enumerate(packets):
        events += receive(stream, json.dumps(media(number + 1, packet)), 0.0, quick=number % 3 > 0)
    events += stream.receive_eof()
    heard = np.concatenate([event.pcm for event in audio(events)])

    assert {320} == {event.pcm.size for event in audio(events)}
    assert expected.tolist() == heard[: expected.size].tolist()
    assert heard.size - expected.size < 320


@pytest.mark.parametrize("payload_ms", [10, 30, 50])
@pytest.mark.parametrize("missing", [(), (4,), (4, 5), (3, 4, 7, 20)])
def test_a_loss_is_as_long_as_what_was_lost(payload_ms: int, missing: tuple[int, ...]) -> None:
    """Else transcripts and recordings drift; and what stands in for it is in frames of 20 ms, too."""
    payloads, whole = spoken("PCMU", 8000, [payload_ms])
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start()), 0)
    for number, payload in enumerate(payloads, 1):
        if number not in missing:
            events += receive(stream, json.dumps(media(number, payload)), payload_ms * number, quick=True)
    events += stream.receive_eof()
    concealed_ms = sum(event.concealed_ms for event in audio(events))

    assert {160} == {event.pcm.size for event in audio(events)}
    assert -(-whole.size // 160) == len(audio(events))
    assert payload_ms * len(missing) == pytest.approx(concealed_ms)
    assert len(missing) == stream.counts.lost


def test_a_frame_that_is_half_real_says_how_much_of_it_is_concealed() -> None:
    """Speech recognisers that weigh frames would else trust a made-up one."""
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start()), 0)
    for number in (1, 2, 3, 5, 6):
        events += receive(stream, json.dumps(media(number, bytes([number]) * 80)), 10.0 * number)
    events += stream.due_events(200.0) + stream.receive_eof()

    assert [(0.0, 80), (10.0, 0), (0.0, 80)] == [(event.concealed_ms, event.payload_bytes) for event in audio(events)]


def test_what_is_concealed_last_is_concealed_in_the_last_frame() -> None:
    """A frame that cannot be decoded may be the last one, and half of a frame."""
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start("L16", 8000)), 0)
    for number, size in enumerate((160, 160, 159), 1):
        events += receive(stream, json.dumps(media(number, bytes(size))), 10.0 * number)
    events += stream.receive_eof()

    assert [0.0, 10.0] == [event.concealed_ms for event in audio(events)]
    assert [160, 160] == [event.pcm.size for event in audio(events)]


def test_an_empty_payload_is_no_frame() -> None:
    """Some senders of comfort noise make them. A chunk of no samples is none of 20 ms."""
    stream = MediaStream()
    events = stream.receive_text(json.dumps(start()), 0)
    for number, size in enumerate((160, 0, 160, 0, 80, 0, 80), 1):
        events += receive(stream, json.dumps(media(number, bytes(size))), 20.0 * number, quick=number > 3)

    assert [160] * 3 == [event.pcm.size for event in audio(events)]


@pytest.mark.parametrize("quick", [False, True])
def test_a_raw_stream_hands_payloads_on_as_they_came(quick: bool) -> None:
    """They are the phone's own frames: for an engine that speaks its codec nothing may be cut or joined."""
    payloads, _ = spoken("PCMU", 8000, PTIMES_MS["mixed"])
    stream = MediaStream(raw=True)
    events = stream.receive_text(json.dumps(start()), 0)
    for number, payload in enumerate(payloads, 1):
        events += receive(stream, json.dumps(media(number, payload)), 20.0 * number, quick=quick)
    events += stream.receive_eof()

    assert payloads == [event.payload for event in events if isinstance(event, PayloadReceived)]


# --- what goes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jitter_ms", [0, 8])
@pytest.mark.parametrize("piece_ms", [10, 30, 50, 60, 70, 90, 100])
@pytest.mark.parametrize(("encoding", "rate_hz"), CODECS)
def test_a_source_in_real_time_is_heard_without_silence_between_its_pieces(
    encoding: str, rate_hz: int, piece_ms: int, jitter_ms: int
) -> None:
    """Engines and other phones give 10, 30 or 50 ms at a time. What does not fill a frame must wait for the next piece."""
    if encoding in ("G722", "OPUS"):
        pytest.importorskip("av")
    draw = random.Random(piece_ms)
    pair = Pair(encoding="PCMU", play_encoding=encoding, play_rate_hz=rate_hz)  # type: ignore[arg-type]
    pair.run(ms=1)
    pcm = tone(440, duration_ms=2000, sample_rate_hz=pair.server.play_rate_hz)
    played = 0
    began_ms = pair.now_ms
    for begin_ms, end_ms in cut([piece_ms], 2000):
        at_ms = began_ms + begin_ms + draw.uniform(0, jitter_ms)
        pair.run(ms=max(0.0, at_ms - pair.now_ms))
        begin, end = (samples_in(ms, pair.server.play_rate_hz) for ms in (begin_ms, end_ms))
        pair.server.play(pcm[begin:end])
        played = end
    pair.run(ms=500)
    encoder = open_encoder(encoding, rate_hz)
    expected = np.zeros(-(-played // (encoder.sample_rate_hz // 50)) * (encoder.sample_rate_hz // 50), np.int16)
    expected[:played] = pcm[:played]
    size = encoder.sample_rate_hz // 50
    payloads = [encoder.encode(expected[begin : begin + size]) for begin in range(0, expected.size, size)]
    said = [payload for _, payload in pair.carrier.heard]

    assert payloads == said
    assert 0 == pair.server.playout.underruns
    assert 0.0 == pair.server.unheard_ms(pair.now_ms)


@pytest.mark.parametrize("piece_bytes", [80, 240, 400])
def test_raw_payloads_shorter_than_telnyx_takes_are_joined(piece_bytes: int) -> None:
    """A bridge from a phone that sends 10 ms: Telnyx documents 20 ms as the least, and 50 messages a second."""
    pair = Pair(raw=True)
    pair.run(ms=1)
    audio_bytes = bytes(range(1, 241)) * 20
    began_ms = pair.now_ms
    for begin in range(0, len(audio_bytes), piece_bytes):
        pair.run(ms=max(0.0, began_ms + begin / 8 - pair.now_ms))
        piece = audio_bytes[begin : begin + piece_bytes]
        text = pair.server.play_payload_at_once(piece, pair.now_ms)
        if text is None:
            pair.server.play_payload(piece)
        else:
            pair.carrier.receive_text(text.decode(), pair.now_ms)
    pair.run(ms=500)
    said = [payload for _, payload in pair.carrier.heard]

    assert audio_bytes == b"".join(said)
    assert all(len(payload) >= 160 for payload in said)


def test_a_last_raw_payload_is_not_held_for_ever() -> None:
    """It goes out as it is: silence cannot be made in every codec."""
    stream = MediaStream(raw=True)
    stream.receive_text(json.dumps(start()), 0)
    stream.play_payload(bytes(80))
    assert 10.0 == stream.unheard_ms(0)
    assert [] == stream.texts_to_send(0)
    due_ms = stream.next_send_at_ms()
    assert due_ms is not None and due_ms <= 100
    (text,) = stream.texts_to_send(due_ms)

    assert base64.b64encode(bytes(80)) in text
    assert stream.next_send_at_ms() is None


def test_a_clear_forgets_a_raw_payload_that_waits() -> None:
    """It was said before the caller spoke."""
    stream = MediaStream(raw=True)
    stream.receive_text(json.dumps(start()), 0)
    stream.play_payload(bytes([1]) * 80)
    cleared = stream.clear(0)
    stream.play_payload(bytes([2]) * 160)
    texts = stream.texts_to_send(0)

    assert (0, 10) == (cleared.heard_ms, cleared.dropped_ms)
    assert [b'{"event":"clear"}', base64.b64encode(bytes([2]) * 160)] == [
        texts[0],
        json.loads(texts[1])["media"]["payload"].encode(),
    ]


def test_a_mark_ends_what_waits_for_a_whole_frame() -> None:
    """It stands for the end of a sentence: the last 10 ms of that must be heard before it comes back."""
    for stream, piece in ((MediaStream(), None), (MediaStream(raw=True), bytes(80))):
        stream.receive_text(json.dumps(start()), 0)
        if piece is None:
            stream.play(np.full(80, 500, np.int16))
        else:
            stream.play_payload(piece)
        stream.mark("end")

        assert ["media", "mark"] == [json.loads(text)["event"] for text in stream.texts_to_send(0)]


def test_a_source_that_plays_ahead_ends_without_a_pause() -> None:
    """A sentence from a file or a fast engine: its last piece follows in time, however long its wait might be."""
    pair = Pair()
    pair.run(ms=1)
    for _ in range(5):
        pair.server.play(tone(440, duration_ms=70))
    pair.run(ms=1000)
    at_ms = [at for at, _ in pair.carrier.heard]

    assert 18 == len(at_ms)
    assert [20.0] * 17 == [later - earlier for earlier, later in pairwise(at_ms)]


# --- how frames are written ------------------------------------------------------------------------------------------


def change(**values: Any) -> Callable[[Document], Document]:
    """Change fields of each media frame; None takes one away."""

    def changed(document: Document) -> Document:
        if document["event"] == "media":
            inner = {**document["media"], **{key: value for key, value in values.items() if key != "sequence_number"}}
            document = {**document, "media": {key: value for key, value in inner.items() if value is not None}}
            if "sequence_number" in values:
                del document["sequence_number"]
        return document

    return changed


def as_numbers(document: Document) -> Document:
    if document["event"] != "media":
        return document
    inner = {**document["media"], "chunk": int(document["media"]["chunk"]), "timestamp": 20}
    return {**document, "sequence_number": int(document["sequence_number"]), "media": inner}


def as_texts(document: Document) -> Document:
    if document["event"] == "start":
        document["start"]["media_format"] = {"encoding": "PCMU", "sample_rate": "8000", "channels": "1"}
    return document


def id_within(document: Document) -> Document:
    if document["event"] == "start":
        document["start"]["stream_id"] = document.pop("stream_id")
    return document


def without_id(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "stream_id"}


def start_without(*keys: str) -> Callable[[Document], Document]:
    def changed(document: Document) -> Document:
        if document["event"] == "start":
            document["start"] |= dict.fromkeys(keys)
        return document

    return changed


def reversed_keys(document: Document) -> Document:
    return {
        key: reversed_keys(value) if isinstance(value, dict) else value for key, value in reversed(document.items())
    }


def numbered(count: Callable[[int], int]) -> Callable[[Document], Document]:
    def changed(document: Document) -> Document:
        if document["event"] == "media":
            document["media"]["chunk"] = str(count(int(document["media"]["chunk"])))
        return document

    return changed


WRITTEN: dict[str, Callable[[Document], Document | str]] = {
    "as documented": lambda document: document,
    "numbers as numbers": as_numbers,
    "numbers as texts": as_texts,
    "id within start": id_within,
    "no id at all": without_id,
    "no session id": start_without("call_session_id"),
    "nulls": start_without("from", "to", "tags", "client_state", "user_id", "call_session_id"),
    "no track": change(track=None),
    "inbound_track": change(track="inbound_track"),
    "no timestamp": change(timestamp=None),
    "no counters": change(timestamp=None, chunk=None, sequence_number=None),
    "numbers from 0": numbered(lambda chunk: chunk - 1),
    "numbers from 4,000": numbered(lambda chunk: chunk + 4000),
    "numbers end at 65,535": numbered(lambda chunk: (chunk + 65_500) % 65_536),
    "fields in another order": reversed_keys,
    "unknown fields": lambda document: {
        **document,
        "x": {"a": [1, None]},
        document["event"]: {**document[document["event"]], "y": 1.5},
    },
    "white space": lambda document: "\n " + json.dumps(document, indent=3, separators=(" ,\t", " :  ")) + "\r\n ",
    "escaped slashes": lambda document: json.dumps(document).replace("/", "\\/").replace("+", "\\u002b"),
}


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
def test_however_a_frame_is_written_its_audio_is_heard(
    write: Callable[[Document], Document | str], quick: bool
) -> None:
    """Each of these is legal JSON, and a sender's library or a proxy may choose it without a word."""
    payloads, expected = spoken("PCMU", 8000, [20])
    stream = MediaStream()
    events: list[StreamEvent] = []
    for number, document in enumerate([start(), *(media(n, payload) for n, payload in enumerate(payloads, 1))]):
        written = write(document)
        text = written if isinstance(written, str) else json.dumps(written)
        events += receive(stream, text, 20.0 * number, quick=quick)
    events += stream.receive_eof()
    heard = np.concatenate([event.pcm for event in audio(events)])

    assert isinstance(events[0], StreamOpened)
    assert events[0].start.stream_id
    assert [] == [event for event in events if isinstance(event, FrameSkipped)]
    assert expected.tolist() == heard.tolist()


def test_half_of_the_frames_are_broken_and_the_others_are_heard() -> None:
    """Each kind is named; what was lost with them is concealed; and good ones in between, which may have to wait for their
    turn, keep the socket open."""
    payloads, expected = spoken("PCMU", 8000, [20])
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0)
    events: list[StreamEvent] = []
    worst = 0
    for number, payload in enumerate(payloads):
        text = json.dumps(media(number + 1, payload))
        broken = {1: "{", 3: "[]", 5: "null", 7: text.replace('"payload"', '"load"'), 9: text.replace("=", "!")}
        events += receive(stream, broken.get(number % 10, text), 20.0 * number, quick=True)
        worst = max(worst, stream.skipped_in_a_row)
    events += stream.receive_eof()
    reasons = {event.reason for event in events if isinstance(event, FrameSkipped)}

    assert {"not_json", "wrong_shape", "invalid_media"} == reasons
    assert len(expected) - 160 == sum(event.pcm.size for event in audio(events))  # the very last is one of the broken
    assert 1 <= worst <= 4


@pytest.mark.parametrize("payload_bytes", [80, 160, 480])
def test_only_frames_in_a_row_that_cannot_be_used_count_as_a_stranger(payload_bytes: int) -> None:
    """Of a phone that sends 10 ms no frame would stand alone between two bad ones: what stands in for those is no
    excuse for them, and no charge against the good ones."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start("L16", 8000)), 0)
    worst = []
    for bad in (1, 2):
        for number in range(1, 41):
            size = 2 * payload_bytes - (1 if number % 2 or bad == 2 else 0)
            stream.receive_text(json.dumps(media(40 * bad + number, bytes(size))), 20.0 * number)
        worst.append(stream.skipped_in_a_row)

    assert [0, 40] == worst


# --- start frames ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("encoding", "rate_hz"), [("PCMU", 8000), ("PCMA", 8000), ("L16", 16000)], ids=["same", "other law", "other rate"]
)
def test_a_second_start_begins_a_new_numbering(encoding: str, rate_hz: int, quick: bool) -> None:
    """Chunks that count from 1 again are no copies; and what is in another format is decoded as that."""
    stream = MediaStream()
    heard: list[list[float]] = []
    expected: list[list[float]] = []
    opened = []
    for form in (("PCMU", 8000), (encoding, rate_hz)):
        payloads, whole = spoken(*form, [10])
        document = start(*form)
        document["stream_id"] = f"of {form}"
        events = receive(stream, json.dumps(document), 0.0, quick=quick)
        opened += [event for event in events if isinstance(event, StreamOpened)]
        for number, payload in enumerate(payloads[:51], 1):
            events += receive(stream, json.dumps(media(number, payload)), 10.0 * number, quick=quick)
        heard.append(np.concatenate([event.pcm for event in audio(events)]).tolist())
        expected.append(whole.tolist())
    rest = audio(stream.receive_eof())

    assert 2 == len(opened)
    assert {"of ('PCMU', 8000)"} == {event.start.stream_id for event in opened}  # one socket, one name in the timeline
    assert (0, 0) == (stream.counts.lost, stream.counts.duplicated)
    assert expected[0][: len(heard[0])] == heard[0][: len(expected[0])]
    if encoding == "PCMU":  # the half frame before the second start is joined to what follows
        assert expected[0][50 * 80 : 51 * 80] + expected[1][: len(heard[1]) - 80] == heard[1]
        assert 0 == len(rest)
    else:
        assert expected[0][50 * 80 : 51 * 80] + [0] * 80 == heard[1][:160]
        assert expected[1][: len(heard[1]) - 160] == heard[1][160:]
        assert 1 == len(rest)


def test_keys_after_a_second_start_are_no_copies() -> None:
    """Their numbers begin again as well."""
    stream = MediaStream()
    pressed: list[StreamEvent] = []
    for _ in range(2):
        pressed += stream.receive_text(json.dumps(start()), 0.0)
        key = dtmf("1", 0, 9)
        del key["occurred_at"]
        pressed += stream.receive_text(json.dumps(key), 20.0)
    pressed += stream.receive_eof()

    assert ["1", "1"] == [event.digit for event in pressed if isinstance(event, DtmfPressed)]


def test_a_second_start_that_cannot_be_used_ends_the_audio_with_a_reason() -> None:
    """Decoded as before, the caller would be noise."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    stream.receive_text(json.dumps(media(1, bytes(160))), 20.0)
    (refused,) = stream.receive_text(json.dumps(start("G729")), 40.0)
    (skipped,) = receive(stream, json.dumps(media(2, bytes(160))), 60.0, quick=True)
    again = stream.receive_text(json.dumps(start()), 80.0)
    heard = receive(stream, json.dumps(media(1, bytes(160))), 100.0, quick=True)

    assert isinstance(refused, FrameSkipped)
    assert refused == skipped
    assert "encoding" == refused.reason
    assert [StreamOpened] == [type(event) for event in again]
    assert [AudioReceived] == [type(event) for event in heard]
    assert stream.unusable is None


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_start_of_another_call_is_rejected_and_nothing_of_it_is_heard(first: bool) -> None:
    """A proxy that mixes sockets up would let one caller hear another."""
    ours = CallControlId(start()["start"]["call_control_id"])
    stream = MediaStream()
    stream.reject_start = lambda frame: None if frame.call_control_id == ours else "another call"
    if not first:
        stream.receive_text(json.dumps(start()), 0.0)
        stream.receive_text(json.dumps(media(1, bytes(160))), 20.0)
    document = start()
    document["start"]["call_control_id"] = "v3:other"
    events = stream.receive_text(json.dumps(document), 40.0)
    events += receive(stream, json.dumps(media(2, bytes(160))), 60.0, quick=True)

    assert [FrameSkipped("other_call", "another call")] * 2 == events
    assert "another call" == stream.rejected


def test_an_unusable_start_is_the_reason_of_all_that_is_skipped_after_it() -> None:
    """Told as "no start frame came", it would send people to look for one."""
    stream = MediaStream()
    document = start()
    document["start"]["media_format"]["sample_rate"] = "fast"
    events = stream.receive_text(json.dumps(document), 0.0)
    events += stream.receive_text(json.dumps(media(1, bytes(160))), 20.0)
    repaired = stream.receive_text(json.dumps(start()), 40.0)

    said = 'start frame has no usable start.media_format.sample_rate: "fast"'
    assert [FrameSkipped("unusable_start", said)] * 2 == events
    assert [StreamOpened] == [type(event) for event in repaired]


def test_an_unusable_start_does_not_end_a_stream_that_is_open() -> None:
    """The first one holds."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    (skipped,) = stream.receive_text('{"event":"start"}', 20.0)
    (heard,) = stream.receive_text(json.dumps(media(1, bytes(160))), 40.0)

    assert isinstance(skipped, FrameSkipped) and "unusable_start" == skipped.reason
    assert isinstance(heard, AudioReceived)
    assert stream.unusable is None


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_whose_turn_is_proven_is_not_held() -> None:
    """The numbers count every frame: where none is missing, no key can come before this one."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    events: list[StreamEvent] = []
    for chunk in (1, 2, 3):
        events += receive(stream, json.dumps(media(chunk, bytes(160))), 20.0 * chunk, quick=True)
    pressed = stream.receive_text(json.dumps(dtmf("5", 0, 5)), 70.0)
    again = stream.receive_text(json.dumps(dtmf("6", 100, 6)), 71.0)
    stream.receive_text('{"event":"mark","mark":{"name":"m"},"sequence_number":"7","stream_id":"s"}', 72.0)
    outbound = media(1, bytes(160), "outbound") | {"sequence_number": "8"}
    stream.receive_text(json.dumps(outbound), 73.0)
    third = stream.receive_text(json.dumps(dtmf("7", 200, 9)), 74.0)

    assert ["5", "6", "7"] == [event.digit for event in [*pressed, *again, *third] if isinstance(event, DtmfPressed)]
    assert stream.next_event_at_ms() is None


def test_a_key_that_overtook_another_waits_for_it() -> None:
    """A PIN with two digits swapped is a wrong PIN."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    stream.receive_text(json.dumps(media(1, bytes(160))), 20.0)
    assert [] == stream.receive_text(json.dumps(dtmf("2", 100, 4)), 25.0)
    due_ms = stream.next_event_at_ms()
    assert 65.0 == due_ms
    assert [] == stream.receive_text(json.dumps(dtmf("1", 0, 3)), 30.0)

    assert ["1", "2"] == [event.digit for event in stream.due_events(due_ms) if isinstance(event, DtmfPressed)]
    assert stream.next_event_at_ms() is None


def test_a_key_behind_a_missing_chunk_waits() -> None:
    """What is missing may be a key as well."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    for chunk in (1, 3):
        stream.receive_text(json.dumps(media(chunk, bytes(160))), 20.0 * chunk)

    assert [] == stream.receive_text(json.dumps(dtmf("2", 100, 5)), 65.0)
    assert 105.0 == stream.next_event_at_ms()
    assert [AudioReceived, AudioReceived, DtmfPressed] == [type(event) for event in stream.due_events(130.0)]


def test_a_held_key_is_handed_out_before_the_end() -> None:
    """The last key of a PIN, and the caller hangs up."""
    for last in ('{"event":"stop","stream_id":"s","stop":{}}', None):
        stream = MediaStream()
        stream.receive_text(json.dumps(start()), 0.0)
        stream.receive_text(json.dumps(dtmf("2", 100, 4)), 25.0)
        events = stream.receive_eof() if last is None else stream.receive_text(last, 30.0)

        assert [DtmfPressed, StreamClosed] == [type(event) for event in events]


def test_a_key_that_comes_twice_is_counted() -> None:
    """Not silently: who reads the counters sees that something doubles frames."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    for _ in range(2):
        stream.receive_text(json.dumps(dtmf("2", 100, 4)), 25.0)

    assert 1 == stream.counts.duplicated
    assert 1 == sum(isinstance(event, DtmfPressed) for event in stream.receive_eof())


# --- chunk numbers that count something else too ---------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["PCMU", "OPUS"])
def test_numbers_that_skip_without_a_loss_are_ignored_after_two_seconds(encoding: str) -> None:
    """Whether tracks share the numbers is not documented. If they did, half the call would be concealed for ever."""
    if encoding == "OPUS":
        pytest.importorskip("av")
    payloads, _ = spoken(encoding, 8000 if encoding == "PCMU" else 16000, [20])
    stream = MediaStream()
    stream.receive_text(json.dumps(start(encoding, 8000 if encoding == "PCMU" else 16000)), 0.0)
    slugs, late = [], []
    for number in range(400):
        now_ms = 20.0 * number
        events = receive(
            stream, json.dumps(media(1 + 2 * number, payloads[number % len(payloads)])), now_ms, quick=True
        )
        if number % 50 == 49:
            events += stream.on_second(now_ms, waiting_ms=0.0, lag_ms=0.0, may_take_long=True)
        slugs += [event.symptom.slug for event in events if isinstance(event, SymptomSeen)]
        if number >= 200:
            late += audio(events)

    assert ["numbers_skipped"] == slugs
    assert 200 == len(late)
    assert 0.0 == sum(event.concealed_ms for event in late)


@pytest.mark.parametrize("kept", [2, 3])
def test_audio_that_is_really_lost_is_no_skipping(kept: int) -> None:
    """It leaves its time empty; without the numbers nothing would stand in for it."""
    stream = MediaStream()
    stream.receive_text(json.dumps(start()), 0.0)
    slugs = []
    for number in range(400):
        events = stream.due_events(20.0 * number)
        if number % (kept + 1):
            events += receive(stream, json.dumps(media(1 + number, bytes([number % 100]) * 160)), 20.0 * number)
        if number % 50 == 49:
            events += stream.on_second(20.0 * number, waiting_ms=0.0, lag_ms=0.0, may_take_long=True)
        slugs += [event.symptom.slug for event in events if isinstance(event, SymptomSeen)]

    assert "numbers_skipped" not in slugs
    assert stream.counts.lost > 90
