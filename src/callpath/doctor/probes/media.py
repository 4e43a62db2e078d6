"""Speaks one media stream as Telnyx does, and writes down all that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from callpath.audio.codec import Encoder, open_decoder, open_encoder
from callpath.audio.level import guess_encoding, is_silence, level_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.tone import find_delay_ms, sweep
from callpath.clock import Clock
from callpath.doctor.facts import Arrival, Arrived, Echo, Ending, Exchange, MediaFacts, UrlFacts
from callpath.doctor.probes.channel import PeerStoppedReading
from callpath.doctor.probes.upgrade import Door
from callpath.doctor.probes.websocket import Frame, Socket
from callpath.doctor.request import Request
from callpath.errors import AudioError, RemoteProtocolError
from callpath.wire.ids import CallControlId, SessionId, StreamId
from callpath.wire.media import (
    Connected,
    Error,
    Mark,
    Media,
    MediaFormat,
    Start,
    Stop,
    Unknown,
    encode_message,
    parse_message,
)

FRAME_MS = 20.0
"""Telnyx's packet time in every capture."""
QUIET_MS = 200.0
"""Silence before the sound, so that the sound's return can be timed."""
AFTER_STOP_MS = 150.0
CLOSE_MS = 500.0
PING_EVERY_MS = 500.0
LATE_PONG_MS = 3000.0
ARRIVALS_MAX = 6000
"""Two minutes of 20 ms frames: a flood is counted, not kept."""
HEAD_CHARS = 160
ECHOED_MIN = 10
"""Fewer frames of ours among those that came back are a chance, or a greeting over them."""
FULL_SCALE = 28_900
"""Nine tenths of G.711's loudest sample."""
STREAM_ID = "0d0c70c1-d0c7-4d0c-80d0-c70ca11ba7e1"
CALL_CONTROL_ID = "v3:doctor-probe-uQ7xkFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAK"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_RATES_HZ = {"L16": 16000}
"""What Telnyx's guide gives L16; every other codec runs on an 8000 Hz clock."""


def opening(request: Request, url: UrlFacts) -> tuple[str, ...]:
    """The first two texts of a stream, with ids of the length and shape that Telnyx's have."""
    found = _UUID.search(url.path)
    start = Start(
        stream_id=StreamId(STREAM_ID),
        sequence_number=1,
        call_control_id=CallControlId(CALL_CONTROL_ID),
        media_format=MediaFormat(encoding=request.codec, sample_rate=_RATES_HZ.get(request.codec, 8000), channels=1),
        call_session_id=SessionId(found.group() if found else "d0c70c1d-0c7d-4c70-9c1d-0c70c1d0c70c"),
        from_="+15550100",
        to="+15550101",
        user_id="3f8b2a54-5d0c-4d7f-9a51-d0c70cd0c70c",
        tags=["callpath-doctor"],
        client_state="Y2FsbHBhdGgtZG9jdG9y",
    )
    return (
        encode_message(Connected(version="1.0.0", auth_token=request.token)),
        encode_message(start),
    )


def first_texts(request: Request, url: UrlFacts) -> tuple[str, ...]:
    """The opening and one frame of silence: what a try needs to see a handler that falls over its first audio."""
    encoder, _ = _encoder(request.codec)
    return (*opening(request, url), _media_text(encoder.silence(FRAME_MS), 0, 2))


@dataclass(slots=True)
class Talk:
    """What is known of one stream while it runs."""

    socket: Socket
    clock: Clock
    started_ms: float
    stage: str = "nothing"
    arrivals: list[Arrival] = field(default_factory=list)
    dropped: int = 0
    marks_returned: int = 0
    pings_received: int = 0
    arrived: Arrived | None = None
    pongs: dict[bytes, float] = field(default_factory=dict)
    protocol_errors: list[str] = field(default_factory=list)
    ending: Ending | None = None
    last_received_ms: float | None = None
    stalled_ms: float | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)

    def elapsed_ms(self) -> float:
        return self.clock.now_ms() - self.started_ms

    async def listen(self) -> None:
        """Read until the connection ends, and say how it ended."""
        async for frame in self.socket.frames():
            self.last_received_ms = self.elapsed_ms()
            match frame.kind:
                case "text" | "binary":
                    if len(self.arrivals) < ARRIVALS_MAX:
                        self.arrivals.append(self._arrival(frame))
                    else:
                        self.dropped += 1
                case "ping":
                    self.pings_received += 1
                    with contextlib.suppress(OSError, ssl.SSLError):  # the main task sees how the connection ended
                        await self.socket.send_pong(frame.content)
                case "pong":
                    self.pongs.setdefault(frame.content, self.elapsed_ms())
                case "broken":
                    self.protocol_errors.append(frame.fault)
                    self._end("protocol-error", error=frame.fault)
                case "close":
                    if frame.fault:
                        self.protocol_errors.append(frame.fault)
                    self._end("close-frame", frame.code, frame.content[2:].decode("utf-8", "replace"))
        if self.ending is None:
            self._end("reset" if self.socket.ended == "reset" else "eof")
        self.done.set()

    def _end(
        self,
        kind: Literal["close-frame", "eof", "reset", "protocol-error"],
        code: int | None = None,
        reason: str = "",
        error: str = "",
    ) -> None:
        by: Literal["us", "peer"] = "us" if self.stage == "close" else "peer"
        self.ending = Ending(
            by=by, kind=kind, code=code, reason=reason, at_ms=self.elapsed_ms(), after=self.stage, error=error
        )
        self.done.set()

    def _arrival(self, frame: Frame) -> Arrival:
        at_ms = self.elapsed_ms()
        if frame.kind == "binary":
            return Arrival(at_ms, "binary", len(frame.content), frame.content[:HEAD_CHARS].decode("latin-1"))
        text = frame.content.decode("utf-8")
        head = text[:HEAD_CHARS]
        try:
            message = parse_message(text)
        except RemoteProtocolError as error:
            event = re.search(r'"event"\s*:\s*"([^"]{1,40})"', head)
            return Arrival(at_ms, "text", len(text), head, event and event.group(1), fault=error.reason)
        if isinstance(message, Mark):
            self.marks_returned += 1
        event_name = type(message).__name__.lower()
        if event_name == "unknown":
            found = re.search(r'"event"\s*:\s*"([^"]{0,40})"', text)
            event_name = found.group(1) if found else "unknown"
        if isinstance(message, Unknown) and message.event == "callpath":
            self.arrived = _arrived(message)
        payload = message.payload if isinstance(message, Media) else None
        fault = f"error {message.code}" if isinstance(message, Error) else ""
        return Arrival(at_ms, "text", len(text), head, event_name, payload, fault)


async def probe_media(door: Door, handshake: Exchange, socket: Socket) -> MediaFacts:
    """connected, start, media at 50 frames a second on absolute deadlines, mark, clear, stop; then close."""
    try:
        return await _speak(door, handshake, socket)
    finally:
        socket.abort()


async def _speak(door: Door, handshake: Exchange, socket: Socket) -> MediaFacts:
    request, clock = door.request, door.clock
    encoder, rate_hz = _encoder(request.codec)
    talk = Talk(socket, clock, clock.now_ms())
    planned = round(request.media_s * 1000 / FRAME_MS)
    pings: dict[bytes, float] = {}
    frames, sound = _sound(encoder, planned)
    sent = 0
    marks = 0
    first_ms = last_ms = 0.0
    async with asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(talk.listen())
        try:
            for stage, text in zip(("connected", "start"), opening(request, door.url), strict=True):
                talk.stage = stage
                await socket.send_text(text)
            first_ms = clock.now_ms()
            for number, payload in enumerate(frames):
                if await clock.wait(talk.done, first_ms + number * FRAME_MS):
                    break
                elapsed_ms = clock.now_ms() - first_ms
                if elapsed_ms >= len(pings) * PING_EVERY_MS:
                    name = b"callpath %d" % len(pings)
                    pings[name] = talk.elapsed_ms()
                    await socket.send_ping(name)
                talk.stage = "media"
                await socket.send_text(_media_text(payload, number, number + 2))
                sent += 1
                last_ms = clock.now_ms()
                if number == planned // 2:
                    marks += 1
                    talk.stage = "mark"
                    mark = Mark(name="doctor", stream_id=StreamId(STREAM_ID), sequence_number=planned + 2)
                    await socket.send_text(encode_message(mark))
            listening_ms = talk.elapsed_ms()
            if talk.ending is None:
                talk.stage = "stop"
                stop = Stop(
                    stream_id=StreamId(STREAM_ID),
                    sequence_number=planned + 3,
                    call_control_id=CallControlId(CALL_CONTROL_ID),
                )
                await socket.send_text(encode_message(stop))
                await clock.wait(talk.done, clock.now_ms() + AFTER_STOP_MS)
            if talk.ending is None and pings and not talk.pongs:
                await clock.wait(talk.done, clock.now_ms() + LATE_PONG_MS)  # late, or never?
            if talk.ending is None:
                talk.stage = "close"
                await socket.send_close()
                await clock.wait(talk.done, clock.now_ms() + CLOSE_MS)
        except PeerStoppedReading:
            listening_ms = talk.stalled_ms = talk.elapsed_ms()
        except (OSError, ssl.SSLError):
            # The peer went while we wrote; what it said before is still to be read.
            listening_ms = talk.elapsed_ms()
            await clock.wait(talk.done, clock.now_ms() + CLOSE_MS)
        listener.cancel()
    ending = talk.ending or Ending(
        by="us" if talk.stage == "close" else "nobody", kind="open", at_ms=talk.elapsed_ms(), after=talk.stage
    )
    if socket.unfinished and ending.kind == "open" and not (talk.arrivals or talk.pongs or talk.pings_received):
        talk.protocol_errors.append(
            "a frame begins whose announced length never comes, so that nothing behind it is seen"
        )
    arrivals = tuple(talk.arrivals)
    heard_as, echo_ms, likeness, loudness, full_scale = _judge_sound(arrivals, request.codec, rate_hz, sound)
    return MediaFacts(
        codec=request.codec,
        sample_rate_hz=rate_hz,
        ending=ending,
        sent_frames=sent,
        planned_frames=planned,
        sending_ms=last_ms - first_ms,
        arrivals=arrivals,
        marks_sent=marks,
        marks_returned=talk.marks_returned,
        pong_ms=tuple(talk.pongs[name] - at_ms if name in talk.pongs else None for name, at_ms in pings.items()),
        pings_received=talk.pings_received,
        protocol_errors=tuple(talk.protocol_errors),
        heard_as=heard_as,
        echo_ms=None if echo_ms is None else echo_ms - (first_ms - talk.started_ms) - QUIET_MS,
        echo_likeness=likeness,
        level_dbfs=loudness,
        full_scale=full_scale,
        echo=find_echo(frames[:sent], arrivals, first_ms - talk.started_ms, listening_ms),
        listening_ms=listening_ms,
        handshake=handshake,
        arrived=talk.arrived,
        stalled_ms=talk.stalled_ms,
    )


def _arrived(greeting: Unknown) -> Arrived | None:
    """Out of the frame with which callpath's server greets a probe."""
    told = (greeting.extra or {}).get("callpath")
    if not isinstance(told, dict):
        return None
    path, query, scheme, client = (str(told.get(name) or "") for name in ("path", "query", "scheme", "client"))
    rows = told.get("headers")
    headers = [row for row in rows if isinstance(row, list) and len(row) == 2] if isinstance(rows, list) else []
    return Arrived(path, query, scheme, client, tuple((str(name).lower(), str(text)) for name, text in headers))


def _encoder(codec: str) -> tuple[Encoder, int]:
    """The codec asked for. What cannot be made here (AMR-WB) is spoken as PCMU."""
    rate_hz = _RATES_HZ.get(codec, 8000)
    try:
        return open_encoder(codec, rate_hz), rate_hz
    except AudioError:
        return open_encoder("PCMU", 8000), 8000


def _sound(encoder: Encoder, count: int) -> tuple[list[bytes], Pcm]:
    """`count` frames: a little silence, then a glide from 400 to 1800 Hz that can be found again."""
    rate_hz = encoder.sample_rate_hz
    quiet = round(QUIET_MS / FRAME_MS)
    length_ms = max(FRAME_MS, (count - quiet) * FRAME_MS)
    sound = sweep(400, 1800, duration_ms=length_ms, sample_rate_hz=rate_hz, level_dbfs=-15.0)
    samples = round(rate_hz * FRAME_MS / 1000)
    frames = [encoder.silence(FRAME_MS) for _ in range(min(quiet, count))]
    pieces = (sound[number * samples : (number + 1) * samples] for number in range(count - len(frames)))
    return frames + [encoder.encode(piece) for piece in pieces], sound


def _media_text(payload: bytes, number: int, sequence: int) -> str:
    return encode_message(
        Media(
            payload=payload,
            chunk=number + 1,
            track="inbound",
            timestamp=int(number * FRAME_MS),
            sequence_number=sequence,
            stream_id=StreamId(STREAM_ID),
        )
    )


def _judge_sound(
    arrivals: tuple[Arrival, ...], codec: str, rate_hz: int, sound: Pcm
) -> tuple[str, float | None, float, float | None, float]:
    """(the encoding by content, when the first sound came, how like ours it is, how loud it is, how much of it is at the
    end of the scale)."""
    media = [arrival for arrival in arrivals if arrival.payload]
    if not media:
        return "", None, 0.0, None, 0.0
    guess = guess_encoding([arrival.payload or b"" for arrival in media[:200]]).content
    try:
        decoder = open_decoder(codec, rate_hz)
        pieces = [decoder.decode(arrival.payload or b"") for arrival in media[:500]]
    except AudioError:
        return guess, None, 0.0, None, 0.0
    heard = np.concatenate(pieces)
    first = next((a.at_ms for a, pcm in zip(media, pieces, strict=False) if not is_silence(pcm, -40.0)), None)
    match = find_delay_ms(sound, heard, decoder.sample_rate_hz)
    full_scale = float(np.mean(np.abs(heard.astype(np.int32)) >= FULL_SCALE)) if len(heard) else 0.0
    return guess, first, match.correlation, level_dbfs(heard), full_scale


def find_echo(frames: Sequence[bytes], arrivals: Sequence[Arrival], first_ms: float, listened_ms: float) -> Echo | None:
    """What became of our frames where the server sends them back as they are, in pieces of whole frames."""
    seen = Counter(frames)
    numbers = {frame: number for number, frame in enumerate(frames) if frame and seen[frame] == 1}
    length = len(frames[0]) if frames else 0
    came: list[int] = []
    strange = 0
    delay_ms = 0.0
    for arrival in arrivals:
        audio = arrival.payload or b""
        for at in range(0, len(audio), length or 1):
            piece = audio[at : at + length]
            if piece in numbers:
                came.append(numbers[piece])
                delay_ms = arrival.at_ms - first_ms - came[-1] * FRAME_MS
            elif piece not in seen:
                strange += 1
    different = set(came)
    if len(different) < ECHOED_MIN or strange > len(came) / 5:
        return None
    newest = -1
    early = 0
    for number in dict.fromkeys(came):
        early += number < newest
        newest = max(newest, number)
    sent = [number for number in numbers.values() if min(different) <= number <= newest]
    due_ms = listened_ms - first_ms - (newest + 1) * FRAME_MS - max(0.0, delay_ms)
    return Echo(
        came=len(different),
        again=len(came) - len(different),
        early=early,
        lost=len(sent) - len(different),
        due_ms=max(0.0, due_ms),
    )
