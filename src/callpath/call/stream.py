"""One audio WebSocket, sans I/O: texts and `now_ms` go in, events and texts come out.

In:  text → wire.media → jitter buffer by chunk → codec → framer (20 ms) → events (`AudioReceived`, `MarkReturned`, …)
Out: play(pcm) → framer (ptime) → codec → Playout → texts_to_send(now_ms)

`next_send_at_ms()` says when to come back if nothing arrives before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from callpath.audio.codec import ByteOrder, Decoder, Encoder, NoEncoder, open_decoder, open_encoder
from callpath.audio.framer import Framer, Reframer
from callpath.audio.jitter import Gap, JitterBuffer, Payload
from callpath.audio.l16 import swap_bytes
from callpath.audio.pcm import PCM16_BYTES, Pcm, as_pcm
from callpath.audio.resample import Resampler
from callpath.call.echo import EchoCheck
from callpath.call.keys import (
    DtmfPressed as DtmfPressed,  # an event like the others, for those who import them from here
)
from callpath.call.keys import KeyOrder
from callpath.call.listening import ListeningDecoder, ListeningEncoder
from callpath.call.playout import Cleared, Playout
from callpath.call.symptoms import HEARD_FRAMES, SILENCE_SHOWS, Symptom, Watch
from callpath.errors import AudioError, RemoteProtocolError
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
    Unknown,
    encode_media_utf8,
    encode_message,
    parse_message,
    read_audio,
    read_media,
)

PTIME_MS = 20
"""Milliseconds of audio in a frame of ours, both ways. Telnyx takes 20 ms to 30 s a message; what it sends is 20 ms in
every capture known, and 10 to 100 on phones with another packet time."""

TAIL_WAIT_MS = 40.0
"""How long after its next piece is due a source that plays in real time may be late, before what it left of a frame is
padded with silence. Two frames; a source that plays ahead never waits for it."""

PIECE_MS_MAX = 100.0
"""Maximum duration of a piece that the wait for the next one follows: that of the pieces in which a Call plays."""

ECHO_CHECKS_MAX = 3
"""Maximum number of echo checks of a stream, two seconds each; the first times nobody may have spoken."""

ECHO_ENCODINGS = ("PCMU", "PCMA", "G722", "L16")
"""Encodings whose decoders may begin anywhere."""

_BYTES_PER_MS = {"PCMU": 8.0, "PCMA": 8.0, "G722": 8.0}
"""Encodings whose payloads show how long they last; each payload of the others holds a frame."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The start frame came."""

    start: Start


class AudioReceived(msgspec.Struct, frozen=True, gc=False):
    """20 ms of the party's audio, in order, at the decoder's rate. `concealed_ms` of it stand in for lost frames;
    `payload_bytes` is the length of the payload that completed it, 0 where a concealed one did.

    (A struct, since one is made for every frame of every call: a frozen dataclass takes ten times as long.)
    """

    pcm: Pcm
    track: str = "inbound"
    concealed_ms: float = 0.0
    payload_bytes: int = 0


class PayloadReceived(msgspec.Struct, frozen=True, gc=False):
    """A payload of the party as it came, in order: what a raw stream gives instead of audio. Nothing stands in for a
    lost one."""

    payload: bytes

    @property
    def payload_bytes(self) -> int:
        """Its length."""
        return len(self.payload)


@dataclass(frozen=True, slots=True)
class MarkHandedBack:
    """A mark came back; `heard` is False if a clear had thrown its audio away."""

    name: str
    heard: bool


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """Telnyx could not use what we sent."""

    error: Error


@dataclass(frozen=True, slots=True)
class FrameSkipped:
    """A frame that could not be used: `reason` is a fixed slug, `detail` says what was wrong."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """Nothing more will come. `by_stop_frame` is False when the socket went away without one."""

    by_stop_frame: bool


@dataclass(frozen=True, slots=True)
class SymptomSeen:
    """Something sounds or behaves wrong; reported once a stream."""

    symptom: Symptom


StreamEvent = (
    SymptomSeen
    | StreamOpened
    | AudioReceived
    | PayloadReceived
    | DtmfPressed
    | MarkHandedBack
    | ErrorReported
    | FrameSkipped
    | StreamClosed
)


@dataclass(slots=True)
class StreamCounts:
    """Counters of one stream. `MediaStream.counts` adds those of the jitter buffer, and keys that came twice."""

    frames_in: int = 0
    frames_outbound_track: int = 0
    frames_skipped: int = 0
    lost: int = 0
    late: int = 0
    duplicated: int = 0
    reordered: int = 0


class MediaStream:
    """Our side of one stream. Feed it texts, drain its texts; it never blocks and reads no clock.

    `play_encoding` and `play_rate_hz` are what we asked for in streaming_start; what comes in is what the start frame
    says. `track` is the one that becomes audio; frames of the other are counted and dropped, since they are our own
    playout coming back. A `raw` stream hands payloads through, both ways, and has no codec. `byte_order` is L16's;
    with "detect" it begins as little and follows the sound.
    """

    # More than the 30 attributes whose names CPython shares between objects: without slots each frame takes 5 % longer
    # where hundreds of streams are served.
    __slots__ = (
        "_bytes_per_ms",
        "_clear_pending",
        "_counts",
        "_decoder",
        "_echo",
        "_echo_checks_left",
        "_encoder",
        "_follows_sound",
        "_frame_bytes",
        "_framer",
        "_frames_beside_chunks",
        "_jitter",
        "_keys",
        "_last_audio",
        "_last_payload_bytes",
        "_piece_ms",
        "_raw_tail",
        "_reframer",
        "_tail_due_ms",
        "_track",
        "_unusable_reason",
        "_watch",
        "byte_order",
        "closed",
        "frame_payload_bytes",
        "last_frame_ms",
        "play_encoding",
        "play_wire_rate_hz",
        "playout",
        "raw",
        "reject_start",
        "rejected",
        "replaced",
        "skipped_in_a_row",
        "start",
        "unusable",
    )

    def __init__(
        self,
        *,
        play_encoding: str = "PCMU",
        play_rate_hz: int = 8000,
        track: str = "inbound",
        raw: bool = False,
        byte_order: ByteOrder | Literal["detect"] = "little",
    ) -> None:
        self.start: Start | None = None
        self.closed = False
        self.reject_start: Callable[[Start], str | None] | None = None
        """Says why a start frame is another call's; None for one that is this call's. Set by the driver."""
        self.rejected: str | None = None
        """Why the socket must be closed: it carries another call."""
        self.replaced = False
        """The call has a newer stream; nothing that still comes here reaches the handler."""
        self.last_frame_ms = 0.0
        """When its socket last brought anything; set by the driver."""
        self.raw = raw
        self.playout = Playout()
        self.byte_order: ByteOrder = "little" if byte_order == "detect" else byte_order
        self.play_encoding = play_encoding
        self.play_wire_rate_hz = play_rate_hz
        self._bytes_per_ms = _BYTES_PER_MS.get(play_encoding, play_rate_hz / 500 if play_encoding == "L16" else 0.0)
        self.frame_payload_bytes = int(PTIME_MS * self._bytes_per_ms)
        """Length of the payload of one frame that we play; 0 where each has its own, and none can be cut."""
        self._follows_sound = byte_order == "detect"
        self._encoder: Encoder = (
            NoEncoder(play_encoding, play_rate_hz)
            if raw
            else open_encoder(play_encoding, play_rate_hz, byte_order=self.byte_order)
        )
        if not raw and play_encoding not in SILENCE_SHOWS:
            self._encoder = ListeningEncoder(self._encoder)
        self._framer = Framer(self._encoder.sample_rate_hz * PTIME_MS // 1000)
        self._piece_ms = 0.0
        """Duration of the last piece that was played; with it a source that plays in real time tells its pace."""
        self._tail_due_ms: float | None = None
        """When what is left of a frame is padded at the latest; None until it was first asked for."""
        self._raw_tail = b""
        """A raw payload shorter than a frame, which waits for the next."""
        self._decoder: Decoder | None = None
        self._reframer = Reframer(1)  # another for each decoder
        self.unusable: str | None = None
        """What is wrong with the start frame that came: nothing can be heard."""
        self._unusable_reason = ""
        self.skipped_in_a_row = 0
        """Frames that could not be used since the last one that could."""
        self._watch: Watch | None = None
        self._echo: EchoCheck | None = None
        self._echo_checks_left = 0 if raw else ECHO_CHECKS_MAX
        self._last_audio: Pcm | bytes = b""
        self._last_payload_bytes = 0
        self._track = track
        self._jitter = JitterBuffer()
        self._keys = KeyOrder()
        self._frames_beside_chunks: int | None = None
        """Numbered frames that came and are not the track's audio: by so much is `sequence_number` ahead of `chunk`. None
        before the first chunk, which shows it."""
        self._counts = StreamCounts()
        self._clear_pending = False
        self._frame_bytes = 0

    # --- what the party says -----------------------------------------------------------------------------------------

    def receive_text(self, text: str | bytes, now_ms: float) -> list[StreamEvent]:
        """Take one text from the socket. Never raises: a frame that cannot be used comes back as FrameSkipped."""
        frame = read_media(text)
        if frame is not None:
            body = frame.media
            return self._receive_media(body.track, body.chunk, frame.sequence_number, body.payload, now_ms)
        try:
            message = parse_message(text)
        except RemoteProtocolError as error:
            if error.reason == "unusable_start" and self._watch is None:
                return [self._end_use(error.reason, str(error))]
            return [self.skip(error.reason, str(error))]
        if isinstance(message, Media):
            return self._receive_media(message.track, message.chunk, message.sequence_number, message.payload, now_ms)
        return self._receive_control(message, now_ms)

    def receive_audio(self, text: bytes, now_ms: float) -> Sequence[bytes] | None:
        """The quick way for frames that come 50 times a second: the audio of `text` as PCM16 in pieces of 20 ms, or its
        payload on a raw stream, if it is the frame that was expected next. A phone that sends 10 ms at a time gives a
        piece every other time.

        None: nothing was taken; use `receive_text`.
        """
        body = read_audio(text)
        watch, jitter = self._watch, self._jitter
        if (
            body is None
            or body.chunk != jitter.expected
            or body.track != self._track
            or watch is None
            or self._echo is not None
        ):
            return None
        payload = body.payload
        decoder = self._decoder
        if decoder is None:
            audio = payload
        else:
            try:
                audio = self._last_audio = decoder.decode_bytes(payload)
            except AudioError:
                return None
        jitter.expected += 1  # as `passes` does
        self._counts.frames_in += 1
        self.skipped_in_a_row = 0
        watch.frame(payload, now_ms)
        if decoder is None or len(audio) == self._reframer.passing_bytes:
            return (audio,)
        return [frame.tobytes() for frame, _ in self._reframer.push(as_pcm(audio))]

    def receive_eof(self) -> list[StreamEvent]:
        """The socket is gone. Returns what was still waiting, and StreamClosed unless a stop frame came before."""
        if self.closed:
            return []
        return self._close(by_stop_frame=False)

    def _close(self, *, by_stop_frame: bool) -> list[StreamEvent]:
        events = [*self._arrived(self._jitter.flush()), *self._last_of_a_frame(), *self._keys.flush()]
        self.closed = True
        return [*events, *self._last_symptoms(), StreamClosed(by_stop_frame=by_stop_frame)]

    def _last_symptoms(self) -> list[StreamEvent]:
        if self._watch is None:
            return []
        return [SymptomSeen(symptom) for symptom in self._watch.end(self._sound_sent())]

    def due_events(self, now_ms: float) -> list[StreamEvent]:
        """Audio that waited for a missing chunk, and keys that waited for an earlier one, and wait no longer. Call it when
        `next_event_at_ms` has come."""
        return [*self._arrived(self._jitter.due(now_ms)), *self._keys.due(now_ms)]

    def next_event_at_ms(self) -> float | None:
        """When a missing chunk will be given up, or a key handed out; None while nothing waits."""
        chunk_ms, key_ms = self._jitter.next_due_ms(), self._keys.next_due_ms()
        if chunk_ms is None or key_ms is None:
            return key_ms if chunk_ms is None else chunk_ms
        return min(chunk_ms, key_ms)

    def skip(self, reason: str, detail: str) -> FrameSkipped:
        """Count a frame that cannot be used (the driver calls it for binary ones)."""
        self._counts.frames_skipped += 1
        self.skipped_in_a_row += 1
        return FrameSkipped(reason, detail)

    def _receive_media(
        self, track: str, chunk: int, sequence_number: int, payload: bytes, now_ms: float
    ) -> list[StreamEvent]:
        if self._watch is None:
            if self.unusable is not None:
                return [self.skip(self._unusable_reason, self.unusable)]
            return [self.skip("media_before_start", "audio came before the start frame, so its encoding is unknown")]
        if track != self._track and track.removesuffix("_track") != self._track:
            self._counts.frames_outbound_track += 1
            self._count_frame_beside_chunks()
            return []
        if self._frames_beside_chunks is None:
            self._frames_beside_chunks = sequence_number - chunk
        self._counts.frames_in += 1
        self._watch.frame(payload, now_ms)
        if self._echo is not None:
            self._echo.heard(payload, now_ms)
        if self._jitter.passes(chunk):
            return self._decoded(payload)
        return self._arrived(self._jitter.push(chunk, payload, now_ms))

    def _arrived(self, arrivals: list[Payload | Gap]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for arrival in arrivals:
            if not isinstance(arrival, Gap):
                events += self._decoded(arrival.payload)
            elif self._decoder is not None:
                for _ in range(arrival.count):
                    events += self._concealed(self._decoder)
        return events

    def _concealed(self, decoder: Decoder) -> list[AudioReceived]:
        """Replacement audio for one payload, as long as the one before it."""
        return self._framed(self._reframer.push(decoder.conceal(self.received_ptime_ms()), concealed=True), 0)

    def _framed(self, frames: list[tuple[Pcm, int]], payload_bytes: int) -> list[AudioReceived]:
        """Events of frames that the last payload, of `payload_bytes`, completed."""
        return [
            AudioReceived(frame, self._track, concealed * PTIME_MS / frame.size, payload_bytes)
            for frame, concealed in frames
        ]

    def _last_of_a_frame(self) -> list[AudioReceived]:
        """What waits for the rest of a frame that will not come, padded with silence."""
        return self._framed(self._reframer.flush(), self._last_payload_bytes)

    def received_ptime_ms(self) -> float:
        """Duration of a payload of the caller's: some phones send 10, 30 or 60 ms at a time."""
        if self._decoder is None:
            return float(PTIME_MS) if self._watch is None else self._watch.frame_ms()
        audio = self._last_audio
        samples = len(audio) // PCM16_BYTES if isinstance(audio, bytes) else audio.size
        return 1000 * samples / self.received_rate_hz if samples else float(PTIME_MS)

    def _decoded(self, payload: bytes) -> list[StreamEvent]:
        decoder = self._decoder
        if decoder is None:
            self.skipped_in_a_row = 0
            return [PayloadReceived(payload)]
        try:
            pcm = self._last_audio = decoder.decode(payload)
        except AudioError as error:
            skipped = self.skip("undecodable", str(error))
            return [skipped, *self._concealed(decoder)]  # its time passes all the same
        self.skipped_in_a_row = 0
        self._last_payload_bytes = len(payload)
        return [*self._framed(self._reframer.push(pcm), len(payload))]

    def _receive_control(self, message: Message, now_ms: float) -> list[StreamEvent]:
        if isinstance(message, Start):
            return self._open(message)
        if isinstance(message, Unknown | Clear):
            return [self.skip("unknown_event", f"a frame of the unknown kind {message_kind(message)!r} came")]
        self.skipped_in_a_row = 0
        match message:
            case Connected():
                return []
            case Dtmf():
                self._keys.push(message, now_ms, complete=self._is_next(message.sequence_number))
                self._count_frame_beside_chunks()
                return [*self._keys.due(now_ms)]
            case Mark():
                self._count_frame_beside_chunks()
                return [MarkHandedBack(message.name, heard=self.playout.take_back_mark(message.name))]
            case Error():
                return [ErrorReported(message)]
            case Stop():
                return self._close(by_stop_frame=True)
            case _:
                raise AssertionError(f"{message_kind(message)} is read as audio")

    def _is_next(self, sequence_number: int) -> bool:
        """Whether every frame before this one has come. `sequence_number` counts all frames of the stream: where no chunk
        is missing, the next frame has one more than the chunks and the frames beside them that came."""
        beside, next_chunk = self._frames_beside_chunks, self._jitter.expected
        return beside is not None and next_chunk > 0 and sequence_number == next_chunk + beside

    def _count_frame_beside_chunks(self) -> None:
        if self._frames_beside_chunks is not None:
            self._frames_beside_chunks += 1

    def _open(self, start: Start) -> list[StreamEvent]:
        """Begin with the first start frame. A later one on the same socket begins a new numbering, and a new codec where
        it names another format; the id of the stream stays."""
        not_ours = self.reject_start(start) if self.reject_start is not None else None
        if not_ours is not None:
            self.rejected = not_ours
            return [self._end_use("other_call", not_ours)]
        form = start.media_format
        events: list[StreamEvent] = []
        if self.start is not None:
            events = [*self._arrived(self._jitter.restart()), *self._keys.restart()]
            self._frames_beside_chunks = None
            start = msgspec.structs.replace(start, stream_id=self.start.stream_id)
        if self._watch is None or self.start is None or form != self.start.media_format:
            events += self._last_of_a_frame()
            try:
                self._open_codec(form)
            except AudioError as error:
                return [*events, self._end_use("encoding", str(error))]
        self.skipped_in_a_row = 0
        self.unusable = None
        self.start = start
        return [*events, StreamOpened(start)]

    def _open_codec(self, form: MediaFormat) -> None:
        """Raises AudioError for a format that cannot be decoded."""
        if not self.raw:
            decoder = open_decoder(form.encoding, form.sample_rate, byte_order=self.byte_order)
            self._decoder = decoder if form.encoding in SILENCE_SHOWS else ListeningDecoder(decoder)
            self._reframer = Reframer(decoder.sample_rate_hz * PTIME_MS // 1000)
            self._last_audio = b""
        self._watch = Watch(form.encoding, form.sample_rate, self.byte_order)
        self._echo = None

    def _end_use(self, reason: str, detail: str) -> FrameSkipped:
        """A start frame came that makes the stream unusable: nothing that follows it is heard."""
        self._watch = None
        self._unusable_reason, self.unusable = reason, detail
        return self.skip(reason, detail)

    @property
    def received_rate_hz(self) -> int:
        """Sampling rate of the audio in `AudioReceived`."""
        assert self._decoder is not None, "no start frame yet, or a raw stream"
        return self._decoder.sample_rate_hz

    # --- symptoms ----------------------------------------------------------------------------------------------------

    def on_second(self, now_ms: float, *, waiting_ms: float, lag_ms: float, may_take_long: bool) -> list[StreamEvent]:
        """New symptoms, and audio that one of them set free; call it about once a second.

        `waiting_ms` of audio wait for a handler that reads, and the event loop was held up for `lag_ms`. An analysis
        takes milliseconds: with `may_take_long` False it waits for another second.
        """
        if self._watch is None or self.closed:
            return []
        may_check_echo = may_take_long and not self._watch.wants_analysis and self._wants_echo_check(now_ms)
        symptoms = self._watch.analyse(
            now_ms,
            frames_in=self._counts.frames_in,
            duplicated=self._jitter.counts.duplicated,
            lost=self._jitter.counts.lost,
            audio=self._last_audio,
            sound_received=self._sound_received(),
            sound_sent=self._sound_sent(),
            frames_sent=self.playout.frames_sent,
            frames_outbound_track=self._counts.frames_outbound_track,
            waiting_ms=waiting_ms,
            lag_ms=lag_ms,
            may_take_long=may_take_long,
        )
        if may_check_echo:
            symptoms += self._check_echo(now_ms)
        events: list[StreamEvent] = [SymptomSeen(symptom) for symptom in symptoms]
        for symptom in symptoms:
            if symptom.slug == "wrong_byte_order" and self._follows_sound and not self.raw:
                self._swap_byte_order()
            elif symptom.slug == "numbers_skipped":
                events += self._arrived(self._jitter.ignore_numbers())
        return events

    def _sound_received(self) -> bool | None:
        """Whether a word came; None where the payloads show it, or one came before."""
        decoder = self._decoder
        if not isinstance(decoder, ListeningDecoder):
            return None
        if decoder.frames_loud < HEARD_FRAMES:
            return False
        self._decoder = decoder.decoder
        return True

    def _sound_sent(self) -> bool | None:
        """Whether anything but digital silence was sent; None: nothing was sent."""
        encoder = self._encoder
        if isinstance(encoder, ListeningEncoder) and encoder.sounded:
            self._encoder = encoder.encoder
        if not self.playout.frames_sent:
            return None
        return self.playout.sounded and not isinstance(self._encoder, ListeningEncoder)

    def take_jitter_ms(self) -> float:
        """Worst delay of a frame since this was called last; 0 before the start frame."""
        return 0.0 if self._watch is None else self._watch.take_jitter_ms()

    def wants_analysis(self, now_ms: float) -> bool:
        """Whether the next `on_second` may take milliseconds."""
        return self._watch is not None and (self._watch.wants_analysis or self._wants_echo_check(now_ms))

    def _wants_echo_check(self, now_ms: float) -> bool:
        if self._echo is not None:
            return self._echo.complete(now_ms)
        return self._echo_checks_left > 0 and self.playout.lead_ms(now_ms) > 0

    def _check_echo(self, now_ms: float) -> list[Symptom]:
        """Begin to gather both directions, or judge what was gathered."""
        assert self.start is not None and self._watch is not None
        form = self.start.media_format
        if form.encoding not in ECHO_ENCODINGS or self.play_encoding not in ECHO_ENCODINGS:
            self._echo_checks_left = 0
            return []
        check, self._echo = self._echo, None
        if check is None:
            self._echo_checks_left -= 1
            self._echo = EchoCheck(now_ms)
            return []
        found = check.echo(
            self._decoder_to_8_khz(form.encoding, form.sample_rate),
            self._decoder_to_8_khz(self.play_encoding, self.play_wire_rate_hz),
        )
        return [] if found is None else self._watch.report_echo(found)

    def _decoder_to_8_khz(self, encoding: str, wire_rate_hz: int) -> Callable[[bytes], Pcm]:
        decoder = open_decoder(encoding, wire_rate_hz, byte_order=self.byte_order)
        resampler = Resampler(decoder.sample_rate_hz, 8000)
        return lambda payload: resampler.push(decoder.decode(payload))

    def _swap_byte_order(self) -> None:
        """Swap both ways: a peer that sends one order expects it too. What waits to be sent is swapped as well."""
        assert self.start is not None and self._watch is not None
        self.byte_order = self._watch.byte_order = "big" if self.byte_order == "little" else "little"
        form = self.start.media_format
        self._decoder = open_decoder(form.encoding, form.sample_rate, byte_order=self.byte_order)
        if self.play_encoding == "L16":  # any other would forget its state: a burst at the other end
            self._encoder = open_encoder(self.play_encoding, self.play_wire_rate_hz, byte_order=self.byte_order)
            self.playout.recode(swap_bytes)

    # --- what the party hears ----------------------------------------------------------------------------------------

    @property
    def play_rate_hz(self) -> int:
        """Sampling rate that `play` takes."""
        return self._encoder.sample_rate_hz

    @property
    def frame_bytes(self) -> int:
        """Length of the payload that was queued last."""
        return self._frame_bytes

    def play(self, pcm: Pcm) -> None:
        """Queue audio of any length. What does not fill a frame waits for the next piece, and is padded with silence only
        where none comes in time."""
        if pcm.size == self._framer.frame_samples and not self._framer.pending_samples:
            self._add(pcm)  # a whole frame, as audio that came in is
            return
        for frame in self._framer.push(pcm):
            self._add(frame)
        self._await_next_piece(1000 * pcm.size / self._encoder.sample_rate_hz)

    def play_at_once(self, audio: bytes, now_ms: float) -> bytes | None:
        """The quick way for a whole frame, as PCM16, when nothing waits before it: the text to send now; it counts as sent.

        None: nothing was taken; use `play`.
        """
        framer, playout = self._framer, self.playout
        if (
            len(audio) != PCM16_BYTES * framer.frame_samples
            or framer.pending_samples
            or not playout.may_send_at_once(PTIME_MS, now_ms)
            or self._echo is not None
            or self._clear_pending
            or self.closed
        ):
            return None
        payload = self._encoder.encode_bytes(audio)
        playout.send_at_once(payload, PTIME_MS, now_ms)
        return encode_media_utf8(payload)

    def play_payload(self, payload: bytes) -> None:
        """Queue a payload as it is, in the encoding that the stream was asked for. One shorter than 20 ms, the least that
        Telnyx takes, is joined to the next, and goes out as it is where none comes in time."""
        piece_ms = self._duration_ms(payload)
        payload = self._raw_tail + payload
        if len(payload) < self.frame_payload_bytes:
            self._raw_tail = payload
            self._await_next_piece(piece_ms)
        else:
            self._raw_tail = b""
            self._add_payload(payload)

    def play_payload_at_once(self, payload: bytes, now_ms: float) -> bytes | None:
        """As `play_at_once`."""
        duration_ms = self._duration_ms(payload)
        if (
            len(payload) < self.frame_payload_bytes
            or self._raw_tail
            or not self.playout.may_send_at_once(duration_ms, now_ms)
            or self._echo is not None
            or self._clear_pending
            or self.closed
        ):
            return None
        self.playout.send_at_once(payload, duration_ms, now_ms)
        return encode_media_utf8(payload)

    def _duration_ms(self, payload: bytes) -> float:
        per_ms = self._bytes_per_ms
        return len(payload) / per_ms if per_ms else PTIME_MS

    def mark(self, name: str) -> None:
        """Have Telnyx send `name` back when everything played so far was heard."""
        self.flush_tail()
        self.playout.add_mark(name)

    def clear(self, now_ms: float) -> Cleared:
        """Stop playing at once and forget the rest: the caller speaks."""
        tail_ms = self._tail_ms()
        self._framer.clear()
        self._raw_tail = b""
        self._clear_pending = True
        cleared = self.playout.clear(now_ms)
        return Cleared(heard_ms=cleared.heard_ms, dropped_ms=cleared.dropped_ms + tail_ms)

    def texts_to_send(self, now_ms: float) -> list[bytes]:
        """What to write to the socket now, in order; each is a text in UTF-8."""
        if self.start is None or self.closed:
            return []
        if self._has_tail() and self._tail_is_due(now_ms):
            self.flush_tail()
        due = self.playout.take_due(now_ms)
        texts = [
            encode_message(Mark(name=item)).encode() if isinstance(item, str) else encode_media_utf8(item)
            for item in due
        ]
        if self._echo is not None:
            payloads = [item for item in due if isinstance(item, bytes)]
            for number, payload in enumerate(payloads):
                self._echo.sent(payload, self.playout.ends_at_ms - PTIME_MS * (len(payloads) - number))
        if self._clear_pending:
            self._clear_pending = False
            marks, self.playout.marks_unsent = self.playout.marks_unsent, []
            texts[:0] = [
                encode_message(Clear()).encode(),
                *(encode_message(Mark(name=mark)).encode() for mark in marks),
            ]
        return texts

    def unheard_ms(self, now_ms: float) -> float:
        """Audio that is still to be heard, a last piece of a frame included."""
        return self.playout.unheard_ms(now_ms) + self._tail_ms()

    @property
    def added_ms(self) -> float:
        """Audio added since the last clear, a last piece of a frame included."""
        added_ms = self.playout.added_ms
        return added_ms + self._tail_ms() if self._framer.pending_samples or self._raw_tail else added_ms

    def payload_ms(self, payload: bytes) -> float:
        """Duration of a payload in the encoding that is played."""
        return self._duration_ms(payload)

    def _has_tail(self) -> bool:
        return self._framer.pending_samples > 0 or self._raw_tail != b""

    def _tail_ms(self) -> float:
        pending_ms = self._framer.pending_samples * 1000 / self._encoder.sample_rate_hz
        return pending_ms + self._duration_ms(self._raw_tail) if self._raw_tail else pending_ms

    def next_send_at_ms(self) -> float | None:
        """When `texts_to_send` will have something again; None while there is nothing to send."""
        if self.start is None or self.closed:
            return None
        due = self.playout.next_due_at_ms()
        if due is None and self._has_tail():
            return max(self.playout.ends_at_ms - PTIME_MS, self._tail_due_ms or 0.0)
        return due

    def _await_next_piece(self, piece_ms: float) -> None:
        self._piece_ms = min(piece_ms, PIECE_MS_MAX)
        self._tail_due_ms = None

    def _tail_is_due(self, now_ms: float) -> bool:
        """Whether less than a frame is left to hear, and the next piece of a source that plays in real time, which comes
        one piece later, is overdue. Padded sooner, each odd piece of such a source would have silence after it."""
        if self._tail_due_ms is None:
            self._tail_due_ms = now_ms + self._piece_ms + TAIL_WAIT_MS
        return now_ms >= self._tail_due_ms and self.playout.queued_ms == 0 and self.playout.lead_ms(now_ms) <= PTIME_MS

    def flush_tail(self) -> None:
        """Queue what waits for the rest of a frame: no more will come. PCM is padded with silence."""
        tail, raw_tail = self._framer.flush(), self._raw_tail
        if tail is not None:
            self._add(tail)
        if raw_tail:
            self._raw_tail = b""
            self._add_payload(raw_tail)

    def _add(self, frame: Pcm) -> None:
        payload = self._encoder.encode(frame)
        self._frame_bytes = len(payload)
        self.playout.add(payload, PTIME_MS)

    def _add_payload(self, payload: bytes) -> None:
        self._frame_bytes = len(payload)
        self.playout.add(payload, self._duration_ms(payload))

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> StreamCounts:
        """Counters so far."""
        jitter = self._jitter.counts
        self._counts.lost = jitter.lost
        self._counts.late = jitter.late
        self._counts.duplicated = jitter.duplicated + self._keys.duplicated
        self._counts.reordered = jitter.reordered
        return self._counts


def message_kind(message: Message) -> str:
    """The event name of a frame."""
    return getattr(message, "event", type(message).__name__.lower())
