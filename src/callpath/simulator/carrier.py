"""Telnyx's side of one media WebSocket: pure, so that a test can join it to our side on a manual clock.

Drive it as any stream: `receive_text` what the server sent, send what `texts_to_send(now_ms)` gives, come back at
`next_send_at_ms()`. The first call of `texts_to_send` is the moment at which the socket opened. Every 20 ms, on an
absolute clock, one packet goes to the server and one packet of the playback queue goes to the phone's ear.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from callpath.audio.codec import open_encoder
from callpath.audio.framer import Framer
from callpath.audio.level import RTP_HEADER_BYTES, guess_encoding
from callpath.audio.resample import resample_file_audio
from callpath.errors import AudioError, RemoteProtocolError
from callpath.simulator.options import CarrierOptions
from callpath.simulator.sound import SAMPLE_RATE_HZ, decode_file
from callpath.wire.command import BidirectionalMode, Encoding, StreamTrack, TargetLegs
from callpath.wire.ids import CallControlId, SessionId, StreamId
from callpath.wire.media import (
    Clear,
    Connected,
    Dtmf,
    Error,
    Mark,
    Media,
    MediaFormat,
    Message,
    Start,
    Stop,
    encode_message,
    parse_message,
)

PACKET_MS = 20
"""Packet time in every capture, both ways."""

CHUNK_MS_MAX = 30_000
"""Longest audio in one message, documented."""

QUEUE_MS_MAX = 600_000
"""Audio that may wait for playback; more is dropped and counted. Telnyx's own limit is unknown."""

HEARD_PACKETS_MAX = 90_000
"""Half an hour of what the ear heard is kept; after that it is only counted."""

RECEIVED_BYTES_MAX = 256 << 10
"""Payload kept to judge what it holds: half a minute of G.711."""

RTP_HELD_MS_MAX = 100
"""How long a first message that looks like RTP waits for a second one, before it is played as it is."""

LATE_MS_MAX = 1_000
"""A simulator that was held up longer skips the audio in between instead of sending it in one burst."""

MP3_GAP_MS = 1_000
"""In mp3 mode one media message a second is taken, documented with error 100005."""

_SILENCE = {"PCMU": b"\xff" * 160, "PCMA": b"\xd5" * 160}


def iso_time(unix_ms: float) -> str:
    """As Telnyx writes times: ISO 8601, microseconds, Z."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


PCMU_8000 = MediaFormat(encoding="PCMU", sample_rate=8000)
"""A phone line in North America."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """What a stream was asked to be. The defaults here are Telnyx's, and make it one-way."""

    url: str
    stream_id: StreamId
    call_control_id: CallControlId
    call_session_id: SessionId
    media_format: MediaFormat = PCMU_8000
    """What the server receives."""
    track: StreamTrack = "inbound_track"
    mode: BidirectionalMode = "mp3"
    codec: Encoding = "PCMU"
    """What the server must send."""
    sample_rate_hz: int = 8000
    target_legs: TargetLegs = "opposite"
    auth_token: str | None = None
    custom_parameters: dict[str, str] | None = None
    client_state: str | None = None
    from_: str | None = None
    to: str | None = None


@dataclass(slots=True)
class StreamCounters:
    """What went over one media WebSocket. Times are the clock's milliseconds."""

    upgraded_at_ms: float | None = None
    """When the server answered 101."""
    opened_at_ms: float | None = None
    closed_at_ms: float | None = None
    first_sent_at_ms: float | None = None
    """When the first media message went to the server; an echo's `first_audio_at_ms` less this is its round trip."""
    first_audio_at_ms: float | None = None
    """When the first media message came from the server."""
    first_heard_at_ms: float | None = None
    """When the first packet of it reached the ear."""
    frames_out: int = 0
    """Media frames to the server."""
    frames_in: int = 0
    """Media frames from the server."""
    bytes_in: int = 0
    binary_in: int = 0
    marks_in: int = 0
    marks_returned: int = 0
    clears_in: int = 0
    errors_out: int = 0
    ignored_in: int = 0
    """Media frames that were never played: mp3 mode, RTP headers, or too much in the queue."""
    short_in: int = 0
    """Messages with less than 20 ms of audio that were played all the same."""
    audio_ms_in: float = 0.0
    """Audio in the messages that were queued."""
    last_audio_at_ms: float | None = None
    queued_in: int = 0
    """Media frames that went into the playback queue."""
    unheard: Counter[str] = field(default_factory=Counter)
    """Messages that no ear will hear, by the reason: those of `AudioIgnored` and `FrameRefused`."""
    packets_opposite: int = 0
    """Packets that were played, but only to the leg that would be bridged to this one."""
    packets_played: int = 0
    """Packets that reached the ear, 20 ms each."""
    packets_skipped: int = 0
    """Packets that the simulator itself was too late for."""
    late_ms_max: float = 0.0
    """How late the simulator itself was at worst: blame it, not the server."""


@dataclass(frozen=True, slots=True)
class AudioQueued:
    """The server sent audio; it waits for playback."""

    payload_bytes: int


@dataclass(frozen=True, slots=True)
class AudioIgnored:
    """The server sent audio that will never be heard: `mp3_mode` (no MP3), `mp3_not_decoded`, `mp3_too_often`,
    `rtp_header`, `binary`, `queue_full`."""

    reason: str


@dataclass(frozen=True, slots=True)
class MarkQueued:
    """The server wants to know when playback reaches this place."""

    name: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The server stopped playback; these marks went back to it unheard."""

    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """The server sent what Telnyx cannot use; an error frame goes back."""

    code: int
    problem: str


CarrierEvent = AudioQueued | AudioIgnored | MarkQueued | Cleared | FrameRefused


class CarrierStream:
    """One stream. `epoch_unix_ms` is the wall time at which `now_ms` is 0; `silence` is sent while nobody speaks."""

    def __init__(
        self,
        request: StreamRequest,
        options: CarrierOptions | None = None,
        *,
        epoch_unix_ms: float = 0.0,
        silence: bytes | None = None,
    ) -> None:
        self.request = request
        self.counters = StreamCounters()
        self.heard: list[tuple[float, bytes]] = []
        """What reached the ear: when, and the codec's bytes."""
        self.received: list[bytes] = []
        """The first payloads of the server from the first one on that is more than one repeated byte, as they came."""
        self.stop_reason = ""
        """Why `hang_up` was called."""
        self._options = options or CarrierOptions()
        self._epoch_unix_ms = epoch_unix_ms
        self.silence = silence if silence is not None else _silence(request.media_format)
        self.transcode: Callable[[bytes], bytes] = bytes
        """From the codec that the server sends to the one it receives, for the outbound track."""
        self.paced_elsewhere = False
        """Whoever drives this stream sends and plays the audio itself (`load`); here only the other frames are made."""
        self.beside: Callable[[CarrierStream, float], bytes] | None = None
        """A packet of what Telnyx itself plays at that time, for the outbound track; empty for none."""
        self.opposite: Callable[[float, bytes], None] | None = None
        """Takes each packet that the server sends for whoever hears this leg, and its time."""
        self._outbox: list[str] = []
        self._speech: deque[bytes] = deque()
        self._queue: deque[memoryview | str] = deque()  # audio, and names of marks in between
        self._queue_ms = 0.0
        self._passed_marks: list[str] = []  # within the packet that plays right now
        self._playing_until_ms = 0.0
        self._ticks = 0
        self._next_tick_ms = 0.0
        self._chunks = {"inbound": 0, "outbound": 0}
        self._sequence_number = 0
        self._last_mp3_ms: float | None = None
        self._last_rate_error_ms: float | None = None
        self._received_bytes = 0
        self._rtp: _RtpHeader | None = None
        self._held: tuple[float, bytes] | None = None  # a first message that may have an RTP header
        self._stopped = False
        self._gone = False

    # --- the shell's side ---

    @property
    def opened(self) -> bool:
        return self.counters.opened_at_ms is not None

    @property
    def stopped(self) -> bool:
        """It ended by our own doing: `hang_up` was called."""
        return self._stopped

    @property
    def closed(self) -> bool:
        """Nothing will be sent any more: close the socket."""
        return self._gone or (self._stopped and not self._outbox)

    def next_send_at_ms(self) -> float | None:
        """When `texts_to_send` has something again; None when never."""
        if self.closed:
            return None
        if self._outbox or not self.opened:
            return 0.0
        return self._next_tick_ms

    def texts_to_send(self, now_ms: float) -> list[str]:
        """The frames that are due, in order. The first call opens the stream."""
        if self._gone:
            return []
        if not self.opened and not self._stopped:
            self._open(now_ms)
        self._advance(now_ms)
        texts, self._outbox = self._outbox, []
        return texts

    def receive_text(self, text: str, now_ms: float) -> list[CarrierEvent]:
        """One frame from the server."""
        if self._stopped or self._gone:
            return []
        self._advance(now_ms)
        try:
            message = parse_message(text)
        except RemoteProtocolError as error:
            code = 100004 if error.reason == "invalid_media" else 100003
            return [self._refuse(code, str(error))]
        return self._receive(message, now_ms)

    def receive_binary(self, data: bytes, now_ms: float) -> list[CarrierEvent]:
        """A binary message: dropped without an error, as observed."""
        if self._stopped or self._gone:
            return []
        self._advance(now_ms)
        self.counters.binary_in += 1
        self.counters.bytes_in += len(data)
        return [self._ignore("binary")]

    def receive_eof(self, now_ms: float) -> None:
        """The socket is gone: nothing more is sent or played."""
        if not self._stopped:
            self._advance(now_ms)
        self._gone = True
        if self.counters.closed_at_ms is None:
            self.counters.closed_at_ms = now_ms

    def next_number(self) -> int:
        """The next `sequence_number`, for whoever sends frames of this stream himself."""
        return self._next_number()

    # --- the phone's side ---

    def say(self, payloads: Iterable[bytes]) -> float:
        """Let the caller speak these packets after what he is saying now. Returns when the first one is sent."""
        begins_at_ms = self._next_tick_ms + PACKET_MS * len(self._speech)
        self._speech.extend(payloads)
        return begins_at_ms

    def press(self, digit: str, now_ms: float) -> None:
        """The caller pressed a key."""
        if not self.opened or self.closed or self._stopped:
            return
        self._advance(now_ms)
        occurred_at = iso_time(self._epoch_unix_ms + now_ms)
        self._send(
            Dtmf(
                digit=digit,
                stream_id=self.request.stream_id,
                sequence_number=self._next_number(),
                occurred_at=occurred_at,
            )
        )

    def hang_up(self, now_ms: float, reason: str = "the call ended") -> None:
        """The call, or only this stream, is over: `stop` goes out as the last frame."""
        if self._stopped or self._gone:
            return
        self.stop_reason = reason
        if self.opened:
            self._advance(now_ms)
            self._send(
                Stop(
                    stream_id=self.request.stream_id,
                    sequence_number=self._next_number(),
                    user_id=self._options.user_id,
                    call_control_id=self.request.call_control_id,
                )
            )
        self._stopped = True
        self.counters.closed_at_ms = now_ms

    # --- inside ---

    def _open(self, now_ms: float) -> None:
        request = self.request
        self.counters.opened_at_ms = now_ms
        self._next_tick_ms = now_ms + PACKET_MS
        self._playing_until_ms = now_ms
        self._send(Connected(version="1.0.0", auth_token=request.auth_token))
        parameters = request.custom_parameters
        listed = parameters is not None and self._options.custom_parameters_as == "list"
        self._send(
            Start(
                stream_id=request.stream_id,
                sequence_number=self._next_number(),
                call_control_id=request.call_control_id,
                call_session_id=request.call_session_id,
                media_format=request.media_format,
                from_=request.from_,
                to=request.to,
                user_id=self._options.user_id,
                tags=[],
                client_state=request.client_state,
                custom_parameters=None if listed else parameters,
                extra={"start": {"custom_parameters": [{"name": k, "value": v} for k, v in parameters.items()]}}
                if listed and parameters is not None
                else {},
            )
        )

    def _advance(self, now_ms: float) -> None:
        """Let time pass up to `now_ms`, tick by tick at their nominal times."""
        if not self.opened or self._stopped or self._gone or self.paced_elsewhere:
            return
        opened_at_ms = self.counters.opened_at_ms or 0.0
        if now_ms >= self._next_tick_ms:
            self.counters.late_ms_max = max(self.counters.late_ms_max, now_ms - self._next_tick_ms)
        while self._next_tick_ms <= now_ms:
            at_ms = self._next_tick_ms
            self._ticks += 1
            # Counted from the start and not from the last tick, so that lateness never adds up.
            self._next_tick_ms = opened_at_ms + PACKET_MS * (self._ticks + 1)
            self._tick(at_ms, skip=now_ms - at_ms > LATE_MS_MAX)
            if self.counters.frames_out and self.counters.first_sent_at_ms is None:
                self.counters.first_sent_at_ms = now_ms

    def _tick(self, at_ms: float, *, skip: bool) -> None:
        self._return_reached_marks(at_ms)
        if self._held is not None and at_ms - self._held[0] > RTP_HELD_MS_MAX:
            self._queue_held()
        played = self._play_packet(at_ms)
        spoken = self._speech.popleft() if self._speech else self.silence
        if skip:
            self.counters.packets_skipped += 1
            return
        if self.request.track != "outbound_track":
            self._send_media("inbound", spoken)
        if self.request.track != "inbound_track":
            beside = self.beside(self, at_ms) if self.beside is not None and not played else b""
            if outbound := self.transcode(played) if played else beside:
                self._send_media("outbound", outbound)

    def _send_media(self, track: str, payload: bytes) -> None:
        self._chunks[track] += 1
        self.counters.frames_out += 1
        self._send(
            Media(
                payload=payload,
                chunk=self._chunks[track],
                track=track,
                timestamp=PACKET_MS * self._ticks,
                sequence_number=self._next_number(),
                stream_id=self.request.stream_id,
            )
        )

    def _receive(self, message: Message, now_ms: float) -> list[CarrierEvent]:
        match message:
            case Media():
                return [self._receive_media(message.payload, now_ms)]
            case Mark():
                self.counters.marks_in += 1
                self._queue.append(message.name)
                self._return_reached_marks(now_ms)
                return [MarkQueued(message.name)]
            case Clear():
                return [self._clear(now_ms)]
            case _:
                return [self._refuse(100003, "only media, mark and clear are understood")]

    def _receive_media(self, payload: bytes, now_ms: float) -> CarrierEvent:
        counters = self.counters
        counters.frames_in += 1
        counters.bytes_in += len(payload)
        if counters.first_audio_at_ms is None:
            counters.first_audio_at_ms = now_ms
        counters.last_audio_at_ms = now_ms
        if self._received_bytes < RECEIVED_BYTES_MAX and (self.received or len(set(payload)) > 1):
            self._received_bytes += len(payload)
            self.received.append(payload)
        if self.request.mode == "mp3":
            return self._receive_mp3(payload, now_ms)
        return self._receive_rtp(payload, now_ms)

    def _receive_rtp(self, payload: bytes, now_ms: float) -> CarrierEvent:
        """Raw audio. A message with an RTP header in front is never played (observed): it is known by the one before."""
        header, before = _RtpHeader.read(payload), self._rtp
        self._rtp = header
        if header is not None and before is not None and header.follows(before):
            if self._held is not None:
                self._held = None
                self.counters.ignored_in += 1
                self.counters.unheard["rtp_header"] += 1
            self.counters.ignored_in += 1
            return self._ignore("rtp_header")
        if self._held is not None:
            self._queue_held()
        if header is not None and len(payload) > RTP_HEADER_BYTES and self._may_be_rtp(payload):
            self._held = now_ms, payload
            return AudioQueued(len(payload))
        return self._receive_chunk(payload)

    def _may_be_rtp(self, payload: bytes) -> bool:
        """Whether whole packets are left without the header, and none with it."""
        rate = bytes_per_packet(self.request.codec, self.request.sample_rate_hz)
        return bool(rate) and len(payload) % rate == RTP_HEADER_BYTES

    def _queue_held(self) -> None:
        assert self._held is not None, "asked before"
        (_, payload), self._held = self._held, None
        self._receive_chunk(payload)

    def _receive_chunk(self, payload: bytes) -> CarrierEvent:
        counters = self.counters
        duration_ms = payload_ms(self.request.codec, self.request.sample_rate_hz, payload)
        if duration_ms < PACKET_MS and self._options.short_chunks == "refused":
            counters.ignored_in += 1
            return self._refuse(100002, "less than 20 ms of audio in one message")
        if duration_ms > CHUNK_MS_MAX:
            counters.ignored_in += 1
            return self._refuse(100002, "more than 30 s of audio in one message")
        if self._queue_ms + duration_ms > QUEUE_MS_MAX:
            counters.ignored_in += 1
            return self._ignore("queue_full")
        counters.queued_in += 1
        counters.short_in += duration_ms < PACKET_MS
        counters.audio_ms_in += duration_ms
        if payload:
            self._queue.append(memoryview(payload))  # cut into packets without copying 30 s each time
            self._queue_ms += duration_ms
        return AudioQueued(len(payload))

    def _receive_mp3(self, payload: bytes, now_ms: float) -> CarrierEvent:
        """A whole MP3, once a second. Raw audio taken for MP3 is silence with Telnyx too."""
        if len(payload) > self._options.mp3_bytes_max:
            self.counters.ignored_in += 1
            return self._refuse(100002, f"an MP3 of more than {self._options.mp3_bytes_max} bytes in one message")
        if self._last_mp3_ms is None or now_ms - self._last_mp3_ms >= MP3_GAP_MS:
            self._last_mp3_ms = now_ms
            return self._play_mp3(payload)
        self.counters.ignored_in += 1
        # One error a second: whether each message earns one is unknown.
        if self._last_rate_error_ms is not None and now_ms - self._last_rate_error_ms < MP3_GAP_MS:
            return self._ignore("mp3_too_often" if _is_mp3(payload) else "mp3_mode")
        self._last_rate_error_ms = now_ms
        raw = not _is_mp3(payload)
        self.counters.unheard["mp3_mode"] += raw
        return self._refuse(100005, "more than one media message a second in mp3 mode", counts=not raw)

    def _play_mp3(self, payload: bytes) -> CarrierEvent:
        request = self.request
        if not _is_mp3(payload):
            self.counters.ignored_in += 1
            return self._ignore("mp3_mode")
        try:
            audio = decode_file(payload, "an MP3")
            encoder = open_encoder(request.codec, request.sample_rate_hz, byte_order=self._options.l16_byte_order)
        except AudioError:
            self.counters.ignored_in += 1
            return self._ignore("mp3_not_decoded")  # broken, or PyAV is not installed
        audio = resample_file_audio(audio, SAMPLE_RATE_HZ, encoder.sample_rate_hz)
        framer = Framer(encoder.sample_rate_hz * PACKET_MS // 1000)
        frames = framer.push(audio)
        if (tail := framer.flush()) is not None:
            frames.append(tail)
        if self._queue_ms + PACKET_MS * len(frames) > QUEUE_MS_MAX:
            self.counters.ignored_in += 1
            return self._ignore("queue_full")
        self.counters.queued_in += 1
        for frame in frames:
            self._queue.append(memoryview(encoder.encode(frame)))
            self._queue_ms += PACKET_MS
        return AudioQueued(len(payload))

    def _clear(self, now_ms: float) -> CarrierEvent:
        self.counters.clears_in += 1
        marks = tuple(self._passed_marks) + tuple(item for item in self._queue if isinstance(item, str))
        self._queue.clear()
        self._queue_ms = 0.0
        self._passed_marks.clear()
        self._playing_until_ms = min(self._playing_until_ms, now_ms)
        for name in marks:
            self._return_mark(name)
        return Cleared(marks)

    def _play_packet(self, at_ms: float) -> bytes:
        """Take the next 20 ms from the queue, or one whole packet of a codec that cannot be cut."""
        if self._playing_until_ms > at_ms or not self._queue:
            return b""
        rate = bytes_per_packet(self.request.codec, self.request.sample_rate_hz)
        taken = self._take(rate) if rate else self._take_whole()
        if not taken:
            return b""
        duration_ms = payload_ms(self.request.codec, self.request.sample_rate_hz, taken)
        self._queue_ms = max(0.0, self._queue_ms - duration_ms)
        # A short last piece still fills its packet on the way to the phone.
        self._playing_until_ms = at_ms + max(float(PACKET_MS), duration_ms)
        if self._reaches_the_ear():
            self.counters.packets_played += max(1, round(duration_ms / PACKET_MS))
            if self.counters.first_heard_at_ms is None:
                self.counters.first_heard_at_ms = at_ms
            if len(self.heard) < HEARD_PACKETS_MAX:
                self.heard.append((at_ms, taken))
        elif self.opposite is None:
            self.counters.packets_opposite += 1
        if self.opposite is not None and self.request.target_legs in ("opposite", "both"):
            self.opposite(at_ms, taken)
        return taken

    def _reaches_the_ear(self) -> bool:
        return self.request.target_legs in ("self", "both") or self._options.opposite_plays

    def _take(self, want: int) -> bytes:
        taken = bytearray()
        while self._queue and len(taken) < want:
            item = self._queue.popleft()
            if isinstance(item, str):
                self._passed_marks.append(item)
                continue
            missing = want - len(taken)
            taken += item[:missing]
            if len(item) > missing:
                self._queue.appendleft(item[missing:])
        return bytes(taken)

    def _take_whole(self) -> bytes:
        item = self._queue.popleft()
        assert not isinstance(item, str), "marks at the head are returned before a packet is taken"
        return bytes(item)

    def _return_reached_marks(self, now_ms: float) -> None:
        if self._playing_until_ms > now_ms:
            return
        for name in self._passed_marks:
            self._return_mark(name)
        self._passed_marks.clear()
        while self._queue and isinstance(name_or_audio := self._queue[0], str):
            self._queue.popleft()
            self._return_mark(name_or_audio)

    def _return_mark(self, name: str) -> None:
        self.counters.marks_returned += 1
        self._send(Mark(name=name, stream_id=self.request.stream_id, sequence_number=self._next_number()))

    def _ignore(self, reason: str) -> CarrierEvent:
        self.counters.unheard[reason] += 1
        return AudioIgnored(reason)

    def _refuse(self, code: int, problem: str, *, counts: bool = True) -> CarrierEvent:
        self.counters.errors_out += 1
        if counts:
            self.counters.unheard[f"{code}: {problem}"] += 1
        title, detail = _ERRORS[code]
        self._send(Error(code=code, title=title, detail=detail, stream_id=self.request.stream_id))
        return FrameRefused(code, problem)

    def _next_number(self) -> int:
        self._sequence_number += 1
        return self._sequence_number

    def _send(self, message: Message) -> None:
        self._outbox.append(encode_message(message))


_ERRORS = {
    100002: ("unknown_error", "An unknown problem happened on this stream"),
    100003: ("malformed_frame", "The frame could not be understood"),
    100004: ("invalid_media", "The media payload was not valid base64"),
    100005: ("rate_limit_reached", "Too many messages were sent"),
}
"""Codes and titles are documented, the details are ours."""


def _is_mp3(payload: bytes) -> bool:
    return guess_encoding([payload]).content == "MP3"


class _RtpHeader(NamedTuple):
    """The first twelve bytes of a payload, read as RTP (RFC 3550, 5.1)."""

    payload_type: int
    number: int
    time: int
    source: bytes

    @classmethod
    def read(cls, payload: bytes) -> _RtpHeader | None:
        """None where it is no RTP of version 2 without padding, extension or contributing sources."""
        if len(payload) <= RTP_HEADER_BYTES or payload[0] != 0x80:
            return None
        number, time = int.from_bytes(payload[2:4], "big"), int.from_bytes(payload[4:8], "big")
        return cls(payload[1] & 0x7F, number, time, payload[8:RTP_HEADER_BYTES])

    def follows(self, before: _RtpHeader) -> bool:
        """Whether it is of the same stream as `before`, and the next one but for a few that were lost."""
        same = (self.payload_type, self.source) == (before.payload_type, before.source)
        return same and 1 <= (self.number - before.number) % 2**16 <= 10 and self.time != before.time


def bytes_per_packet(encoding: str, sample_rate_hz: int) -> int:
    """Bytes of 20 ms; 0 for a codec whose packets cannot be cut or counted (OPUS, AMR-WB)."""
    match encoding:
        case "PCMU" | "PCMA" | "G722":
            return 160  # 64 kbit/s
        case "L16":
            return 2 * sample_rate_hz * PACKET_MS // 1000
        case _:
            return 0


def payload_ms(encoding: str, sample_rate_hz: int, payload: bytes) -> float:
    """How long `payload` plays. A packet that cannot be counted is taken for 20 ms, the packet time everywhere."""
    per_packet = bytes_per_packet(encoding, sample_rate_hz)
    return len(payload) * PACKET_MS / per_packet if per_packet else float(PACKET_MS)


def _silence(media_format: MediaFormat) -> bytes:
    known = _SILENCE.get(media_format.encoding)
    return known if known is not None else bytes(bytes_per_packet(media_format.encoding, media_format.sample_rate))
