"""One audio WebSocket, sans I/O: texts and `now_ms` go in, events and texts come out.

In:  text → wire.media → jitter buffer by chunk → codec → events (`AudioReceived`, `MarkReturned`, …)
Out: play(pcm) → framer (ptime) → codec → Playout → texts_to_send(now_ms)

`next_send_at_ms()` says when to come back if nothing arrives before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from callpath.audio.codec import ByteOrder, Decoder, Encoder, NoEncoder, open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.jitter import Gap, JitterBuffer, Payload
from callpath.audio.pcm import PCM16_BYTES, Pcm
from callpath.audio.resample import Resampler
from callpath.call.echo import EchoCheck
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
    Message,
    Start,
    Stop,
    encode_media_utf8,
    encode_message,
    parse_message,
    read_audio,
    read_media,
)

PTIME_MS = 20
"""Milliseconds of audio in a frame of ours. Telnyx takes 20 ms to 30 s a message; the phone leg carries 20."""


ECHO_CHECKS_MAX = 3
"""So often a stream is looked at for an echo, two seconds each; the first times nobody may have spoken."""

ECHO_ENCODINGS = ("PCMU", "PCMA", "G722", "L16")
"""Whose decoders may begin anywhere."""

_BYTES_PER_MS = {"PCMU": 8.0, "PCMA": 8.0, "G722": 8.0}
"""How long a raw payload lasts; of the others each holds a frame."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The start frame came."""

    start: Start


class AudioReceived(msgspec.Struct, frozen=True, gc=False):
    """Audio of the party, in order, at the decoder's rate. `concealed_ms` of it stand in for lost frames.

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
class DtmfPressed:
    """A key was pressed."""

    digit: str


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
    """Something sounds or behaves wrong; told once a stream."""

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
    """What went through, as plain numbers. What the jitter buffer counts is added by `MediaStream.counts`."""

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
        self.replaced = False
        """The call has a newer one; what still comes here is for nobody."""
        self.last_frame_ms = 0.0
        """When its socket last brought anything; kept by whoever reads the socket."""
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
        self._decoder: Decoder | None = None
        self.unreadable: str | None = None
        """What is wrong with the encoding that the start frame named; nothing can be heard, and the stream never opens."""
        self._watch: Watch | None = None
        self._echo: EchoCheck | None = None
        self._echo_checks_left = 0 if raw else ECHO_CHECKS_MAX
        self._last_audio: Pcm | bytes = b""
        self._track = track
        self._jitter = JitterBuffer()
        self._counts = StreamCounts()
        self._clear_pending = False
        self._frame_bytes = 0

    # --- what the party says -----------------------------------------------------------------------------------------

    def receive_text(self, text: str | bytes, now_ms: float) -> list[StreamEvent]:
        """Take one text from the socket. Never raises: what cannot be used comes back as FrameSkipped."""
        frame = read_media(text)
        if frame is not None:
            body = frame.media
            return self._receive_media(body.track, body.chunk, body.payload, now_ms)
        try:
            message = parse_message(text)
        except RemoteProtocolError as error:
            return [self.skip(error.reason, str(error))]
        if isinstance(message, Media):
            return self._receive_media(message.track, message.chunk, message.payload, now_ms)
        return self._receive_control(message)

    def receive_audio(self, text: bytes, now_ms: float) -> bytes | None:
        """The quick way, for what comes 50 times a second: the audio in `text` as PCM16, or the payload on a raw stream, if
        it is the frame that was expected next.

        None: nothing was taken; give it to `receive_text`.
        """
        body = read_audio(text)
        watch = self._watch
        if (
            body is None
            or body.chunk != self._jitter.expected
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
        self._jitter.passes(body.chunk, now_ms)
        self._counts.frames_in += 1
        watch.frame(payload, now_ms)
        return audio

    def receive_eof(self) -> list[StreamEvent]:
        """The socket is gone. Returns what was still waiting, and StreamClosed unless a stop frame came before."""
        if self.closed:
            return []
        events = self._arrived(self._jitter.flush())
        self.closed = True
        return [*events, *self._last_symptoms(), StreamClosed(by_stop_frame=False)]

    def _last_symptoms(self) -> list[StreamEvent]:
        if self._watch is None:
            return []
        return [SymptomSeen(symptom) for symptom in self._watch.end(self._sent_sound())]

    def due_events(self, now_ms: float) -> list[StreamEvent]:
        """Audio that waited for a missing chunk and waits no longer. Call it when `next_event_at_ms` has come."""
        return self._arrived(self._jitter.due(now_ms))

    def next_event_at_ms(self) -> float | None:
        """When a missing chunk will be given up; None while nothing waits."""
        return self._jitter.next_due_ms()

    def skip(self, reason: str, detail: str) -> FrameSkipped:
        """Count a frame that cannot be used (the shell calls it for binary ones)."""
        self._counts.frames_skipped += 1
        return FrameSkipped(reason, detail)

    def _receive_media(self, track: str, chunk: int, payload: bytes, now_ms: float) -> list[StreamEvent]:
        if self._watch is None:
            if self.unreadable is not None:
                return [self.skip("encoding", self.unreadable)]
            return [self.skip("media_before_start", "audio came before the start frame, so its encoding is unknown")]
        if track != self._track and track.removesuffix("_track") != self._track:
            self._counts.frames_outbound_track += 1
            return []
        self._counts.frames_in += 1
        self._watch.frame(payload, now_ms)
        if self._echo is not None:
            self._echo.heard(payload, now_ms)
        if self._jitter.passes(chunk, now_ms):
            return self._decoded(payload)
        return self._arrived(self._jitter.push(chunk, payload, now_ms))

    def _arrived(self, arrivals: list[Payload | Gap]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for arrival in arrivals:
            if not isinstance(arrival, Gap):
                events += self._decoded(arrival.payload)
            elif self._decoder is not None:
                decoder, ms = self._decoder, self._received_ptime_ms()
                events += [AudioReceived(decoder.conceal(ms), self._track, ms) for _ in range(arrival.count)]
        return events

    def _received_ptime_ms(self) -> float:
        """How much audio a frame of the caller's holds; some phones send 30 or 60 ms at a time."""
        audio = self._last_audio
        samples = len(audio) // PCM16_BYTES if isinstance(audio, bytes) else audio.size
        return 1000 * samples / self.received_rate_hz if samples else float(PTIME_MS)

    def _decoded(self, payload: bytes) -> list[StreamEvent]:
        decoder = self._decoder
        if decoder is None:
            return [PayloadReceived(payload)]
        try:
            pcm = self._last_audio = decoder.decode(payload)
        except AudioError as error:
            ms = self._received_ptime_ms()  # its time passes all the same
            return [self.skip("undecodable", str(error)), AudioReceived(decoder.conceal(ms), self._track, ms)]
        return [AudioReceived(pcm, self._track, 0.0, len(payload))]

    def _receive_control(self, message: Message) -> list[StreamEvent]:
        match message:
            case Connected():
                return []
            case Start():
                return [self._open(message)]
            case Dtmf():
                return [DtmfPressed(message.digit)]
            case Mark():
                return [MarkHandedBack(message.name, heard=self.playout.take_back_mark(message.name))]
            case Error():
                return [ErrorReported(message)]
            case Stop():
                events = self._arrived(self._jitter.flush())
                self.closed = True
                return [*events, *self._last_symptoms(), StreamClosed(by_stop_frame=True)]
            case _:
                return [self.skip("unknown_event", f"a frame of the unknown kind {message_kind(message)!r} came")]

    def _open(self, start: Start) -> StreamEvent:
        form = start.media_format
        if not self.raw:
            try:
                self._decoder = open_decoder(form.encoding, form.sample_rate, byte_order=self.byte_order)
            except AudioError as error:
                self.unreadable = str(error)
                return self.skip("encoding", self.unreadable)
            if form.encoding not in SILENCE_SHOWS:
                self._decoder = ListeningDecoder(self._decoder)
        self._watch = Watch(form.encoding, form.sample_rate, self.byte_order)
        self.start = start
        return StreamOpened(start)

    @property
    def received_rate_hz(self) -> int:
        """Sampling rate of the audio in `AudioReceived`."""
        assert self._decoder is not None, "no start frame yet, or a raw stream"
        return self._decoder.sample_rate_hz

    # --- what is odd about it ----------------------------------------------------------------------------------------

    def look(self, now_ms: float, *, waiting_ms: float, lag_ms: float, may_analyse: bool) -> list[StreamEvent]:
        """Symptoms that are new; call it about once a second.

        `waiting_ms` of audio wait for the handler, and the event loop was held up for `lag_ms`. An analysis takes
        milliseconds: with `may_analyse` False it waits for the next look.
        """
        if self._watch is None or self.closed:
            return []
        may_check_echo = may_analyse and not self._watch.wants_analysis and self._wants_echo_check(now_ms)
        symptoms = self._watch.look(
            now_ms,
            frames_in=self._counts.frames_in,
            duplicated=self._jitter.counts.duplicated,
            audio=self._last_audio,
            heard=self._heard(),
            sent_sound=self._sent_sound(),
            frames_sent=self.playout.frames_sent,
            frames_outbound_track=self._counts.frames_outbound_track,
            waiting_ms=waiting_ms,
            lag_ms=lag_ms,
            may_analyse=may_analyse,
        )
        if may_check_echo:
            symptoms += self._check_echo(now_ms)
        for symptom in symptoms:
            if symptom.slug == "wrong_byte_order" and self._follows_sound and not self.raw:
                self._swap_byte_order()
        return [SymptomSeen(symptom) for symptom in symptoms]

    def _heard(self) -> bool | None:
        """Whether a word came; None where the payloads tell, or nothing more needs to."""
        decoder = self._decoder
        if not isinstance(decoder, ListeningDecoder):
            return None
        if decoder.frames_loud < HEARD_FRAMES:
            return False
        self._decoder = decoder.decoder
        return True

    def _sent_sound(self) -> bool | None:
        """Whether anything but digital silence was sent; None: nothing at all was."""
        encoder = self._encoder
        if isinstance(encoder, ListeningEncoder) and encoder.sounded:
            self._encoder = encoder.encoder
        if not self.playout.frames_sent:
            return None
        return self.playout.sounded and not isinstance(self._encoder, ListeningEncoder)

    def take_jitter_ms(self) -> float:
        """By how much a frame came late, at worst since this was last asked; 0 before the start frame."""
        return 0.0 if self._watch is None else self._watch.take_jitter_ms()

    def wants_analysis(self, now_ms: float) -> bool:
        """The next look may take milliseconds."""
        return self._watch is not None and (self._watch.wants_analysis or self._wants_echo_check(now_ms))

    def _wants_echo_check(self, now_ms: float) -> bool:
        if self._echo is not None:
            return self._echo.complete(now_ms)
        return self._echo_checks_left > 0 and self.playout.lead_ms(now_ms) > 0

    def _check_echo(self, now_ms: float) -> list[Symptom]:
        """Begin to gather, or judge what was gathered."""
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
        return [] if found is None else self._watch.tell_echo(found)

    def _decoder_to_8_khz(self, encoding: str, wire_rate_hz: int) -> Callable[[bytes], Pcm]:
        decoder = open_decoder(encoding, wire_rate_hz, byte_order=self.byte_order)
        resampler = Resampler(decoder.sample_rate_hz, 8000)
        return lambda payload: resampler.push(decoder.decode(payload))

    def _swap_byte_order(self) -> None:
        """Both ways: whoever sends one order expects it too."""
        assert self.start is not None and self._watch is not None
        self.byte_order = self._watch.byte_order = "big" if self.byte_order == "little" else "little"
        form = self.start.media_format
        self._decoder = open_decoder(form.encoding, form.sample_rate, byte_order=self.byte_order)
        if self.play_encoding == "L16":  # any other would forget its state: a burst at the other end
            self._encoder = open_encoder(self.play_encoding, self.play_wire_rate_hz, byte_order=self.byte_order)

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
        """Queue audio of any length. A piece shorter than a frame waits for more; if none comes it is padded."""
        if pcm.size == self._framer.frame_samples and not self._framer.pending_samples:
            self._add(pcm)  # a whole frame, as what came in is
            return
        for frame in self._framer.push(pcm):
            self._add(frame)

    def play_at_once(self, audio: bytes, now_ms: float) -> bytes | None:
        """The quick way for a whole frame, as PCM16, when nothing waits before it: the text to send now; it counts as sent.

        None: nothing was taken; give it to `play`.
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
        """Queue a payload as it is, in the encoding that the stream was asked for."""
        self._frame_bytes = len(payload)
        self.playout.add(payload, self._duration_ms(payload))

    def play_payload_at_once(self, payload: bytes, now_ms: float) -> bytes | None:
        """As `play_at_once`."""
        duration_ms = self._duration_ms(payload)
        if (
            not self.playout.may_send_at_once(duration_ms, now_ms)
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
        """Ask to be told when everything played so far was heard."""
        self._flush_tail()
        self.playout.add_mark(name)

    def clear(self, now_ms: float) -> Cleared:
        """Stop playing at once and forget the rest: the caller speaks."""
        tail_ms = self._tail_ms()
        self._framer.clear()
        self._clear_pending = True
        cleared = self.playout.clear(now_ms)
        return Cleared(heard_ms=cleared.heard_ms, dropped_ms=cleared.dropped_ms + tail_ms)

    def texts_to_send(self, now_ms: float) -> list[bytes]:
        """What to write to the socket now, in order; each is a text in UTF-8."""
        if self.start is None or self.closed:
            return []
        if self._framer.pending_samples and self._tail_is_due(now_ms):
            self._flush_tail()
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

    def _tail_ms(self) -> float:
        return self._framer.pending_samples * 1000 / self._encoder.sample_rate_hz

    def next_send_at_ms(self) -> float | None:
        """When `texts_to_send` will have something again; None while there is nothing to say."""
        if self.start is None or self.closed:
            return None
        due = self.playout.next_due_at_ms()
        if due is None and self._framer.pending_samples:
            return self.playout.ends_at_ms - PTIME_MS
        return due

    def _tail_is_due(self, now_ms: float) -> bool:
        """Less than a frame is left to hear: the rest will not come in time, so it goes out padded with silence."""
        return self.playout.queued_ms == 0 and self.playout.lead_ms(now_ms) <= PTIME_MS

    def _flush_tail(self) -> None:
        tail = self._framer.flush()
        if tail is not None:
            self._add(tail)

    def _add(self, frame: Pcm) -> None:
        payload = self._encoder.encode(frame)
        self._frame_bytes = len(payload)
        self.playout.add(payload, PTIME_MS)

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> StreamCounts:
        """What came in so far."""
        jitter = self._jitter.counts
        self._counts.lost = jitter.lost
        self._counts.late = jitter.late
        self._counts.duplicated = jitter.duplicated
        self._counts.reordered = jitter.reordered
        return self._counts


def message_kind(message: Message) -> str:
    """The event name of a frame."""
    return getattr(message, "event", type(message).__name__.lower())
