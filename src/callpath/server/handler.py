"""What an application writes, and the Call it is given.

    app = App()

    @app.call(sample_rate_hz=16000)
    async def handle(call: Call) -> None:
        await call.play("welcome.wav")
        async for chunk in call.audio:          # PCM16 mono, 20 ms each, at 16 kHz
            await call.play(await think(chunk))

The coroutine is entered when the stream has started and cancelled when the call ends. When it returns, what it played
is heard to its end and the call is hung up; when it raises, the call is hung up at once and the error stands in the
call's timeline.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, overload

import numpy as np

from callpath.audio.pcm import PCM16_BYTES, Pcm, as_pcm
from callpath.audio.resample import RATE_HZ_MAX, RATE_HZ_MIN, Resampler
from callpath.audio.wav import read_wav
from callpath.call.leg import Leg
from callpath.call.stream import PTIME_MS, AudioReceived, DtmfPressed, MarkHandedBack, MediaStream, PayloadReceived
from callpath.clock import Clock
from callpath.errors import AudioError, LocalProtocolError
from callpath.server.handover import DropOldestQueue
from callpath.server.recording import Recording
from callpath.timeline import Noted, PlayoutCleared, RecordingSaved, What
from callpath.wire.command import Command, Hangup, Speak, Transfer
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.media import Start

AUDIO_QUEUE_MS_MAX = 5_000
"""How much of the caller's audio waits for a slow handler. Then the oldest is dropped, and counted: old speech is
worth less than new."""

PLAY_QUEUE_MS_MAX = 200
"""How much audio `play` queues on top of playout's lead before it waits. What is queued here is lost by `clear`."""

PLAY_PIECE_MS = 100
"""Long audio is resampled and encoded in pieces of this length, so that the first of it goes out at once."""

PLAY_QUEUED_MS_MAX = PLAY_QUEUE_MS_MAX - PLAY_PIECE_MS
"""With more queued there is no room for another piece."""

EVENTS_MAX = 256
"""Keys and marks that wait for a handler which does not read `call.events`; then the oldest is dropped."""

Handler = Callable[["Call"], Awaitable[None]]
Event = DtmfPressed | MarkHandedBack
Source = bytes | Pcm | str | Path | AsyncIterator[bytes]


class App:
    """An application: one coroutine per call. Hand it to `callpath serve module:app`."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.sample_rate_hz = 8000
        self.raw = False

    @overload
    def call(self, handler: Handler, /) -> Handler: ...

    @overload
    def call(self, /, *, sample_rate_hz: int = 8000, raw: bool = False) -> Callable[[Handler], Handler]: ...

    def call(
        self, handler: Handler | None = None, /, *, sample_rate_hz: int = 8000, raw: bool = False
    ) -> Handler | Callable[[Handler], Handler]:
        """Decorator: enter `handler` for every call; its audio comes and goes at `sample_rate_hz`.

        With `raw` the handler gets payloads as they came, in the stream's encoding, and plays payloads: for bridges and
        for engines that speak the phone's codec. Nothing is decoded, resampled, or put in the place of what was lost. A
        payload to play may be of any length where its codec can be cut: PCMU, PCMA, G722, L16.
        """
        if sample_rate_hz not in (8000, 16000, 24000, 48000):
            raise AudioError(f"a handler's audio can be at 8000, 16000, 24000 or 48000 Hz, not at {sample_rate_hz}")

        def register(handler: Handler) -> Handler:
            if self.handler is not None:
                raise LocalProtocolError("this App has a handler already: one App, one @app.call")
            self.handler = handler
            self.sample_rate_hz = sample_rate_hz
            self.raw = raw
            return handler

        return register if handler is None else register(handler)

    @property
    def name(self) -> str:
        """The handler's name, for timelines."""
        return getattr(self.handler, "__name__", "none")


class Line(Protocol):
    """What a Call needs of the server around it. Tests bring their own, without a network."""

    async def send(self, command: Command) -> None:
        """Have Telnyx carry out `command`; raises ControlError."""
        ...

    def note(self, what: What) -> None:
        """Add an entry to the call's timeline."""
        ...


class Outlet(Protocol):
    """Where the audio of a Call goes: queued on its stream, and sent as soon as it is due."""

    def play(self, audio: bytes) -> None:
        """Queue PCM16 at the stream's rate, of any length. Raises AudioError for half a sample."""
        ...

    def play_payload(self, payload: bytes) -> None:
        """Queue a payload as it is."""
        ...

    def flush(self) -> None:
        """The stream was told to mark or to clear: there may be something to send."""
        ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Who is calling whom. `data_dir` is where the handler may write. `resumed`: a handler had this call before, in a
    process that is gone, or on another node."""

    session_id: SessionId
    call_control_id: CallControlId
    leg_id: LegId | None
    from_: str | None
    to: str | None
    direction: str | None
    client_state: str | None
    custom_parameters: dict[str, str] = field(default_factory=dict)
    data_dir: Path = Path()
    resumed: bool = False

    @staticmethod
    def of(session: SessionId, leg: Leg | None, start: Start, data_dir: Path, *, resumed: bool = False) -> CallFacts:
        """From what the webhooks told, completed by the start frame."""
        return CallFacts(
            session_id=session,
            call_control_id=leg.call_control_id if leg else start.call_control_id,
            leg_id=leg.leg_id if leg else None,
            from_=(leg.from_ if leg else None) or start.from_,
            to=(leg.to if leg else None) or start.to,
            direction=leg.direction if leg else None,
            client_state=start.client_state or (leg.client_state if leg else None),
            custom_parameters=start.custom_parameters or {},
            data_dir=data_dir,
            resumed=resumed,
        )


class Call:
    """One phone call, as its handler sees it. All audio is PCM16, mono, little-endian, at `sample_rate_hz`."""

    def __init__(self, facts: CallFacts, *, sample_rate_hz: int, line: Line, clock: Clock, raw: bool = False) -> None:
        self.facts = facts
        self.sample_rate_hz = sample_rate_hz
        self.audio = DropOldestQueue[bytes](limit=AUDIO_QUEUE_MS_MAX // 20)
        """The caller's speech in chunks of 20 ms: `async for chunk in call.audio`. Ends with the call."""
        self.events = DropOldestQueue[Event](limit=EVENTS_MAX)
        """Keys pressed (`DtmfPressed`) and marks that came back (`MarkHandedBack`)."""
        self._line = line
        self._clock = clock
        self._stream: MediaStream | None = None
        self._outlet: Outlet = _NOWHERE
        self._let_out: Callable[[bytes], None] = _NOWHERE.play
        """How the outlet takes audio, or payloads on a raw call."""
        self._raw = raw
        self._room: asyncio.Event | None = None
        """Set when there is room for more. Made anew for each who waits: it takes more memory than all the rest here."""
        self._turn: _Turn | None = None
        """Held by the source that is playing; others wait for it, in order. Made for the first that is no short chunk, and
        gone with the last, or with a clear: whoever comes after a clear need not wait for those whom it cut off."""
        self._cuts = 0
        """How often playing was cut off. A source that began before the last time plays no further."""
        self._heard_before_ms = 0.0
        """What was heard since the last clear on streams whose sockets were lost."""
        self._recording: Recording | None = None
        self._from_stream: Resampler | None = None
        self._to_stream: Resampler | None = None
        self._play_rate_hz = sample_rate_hz
        self._payload_bytes_max = sys.maxsize
        """A raw payload that is longer is cut into frames."""

    # --- who ---------------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> SessionId:
        """`call_session_id`: all legs of this phone call."""
        return self.facts.session_id

    @property
    def from_(self) -> str | None:
        """The caller's number or SIP address; None when hidden."""
        return self.facts.from_

    @property
    def to(self) -> str | None:
        """The number or SIP address that was called."""
        return self.facts.to

    @property
    def direction(self) -> str | None:
        """`incoming` or `outgoing`."""
        return self.facts.direction

    @property
    def raw(self) -> bool:
        """Its audio is payloads, not PCM."""
        return self._raw

    @property
    def stream(self) -> MediaStream | None:
        """The stream it is on; None while its socket is lost."""
        return self._stream

    @property
    def custom_parameters(self) -> dict[str, str]:
        """What was given in streaming_start's custom_parameters."""
        return self.facts.custom_parameters

    # --- what the caller hears ---------------------------------------------------------------------------------------

    async def play(self, source: Source, *, sample_rate_hz: int | None = None, interrupt: bool = False) -> bool:
        """Play PCM16 bytes, an int16 array, a WAV file, or an async iterator of PCM16 bytes, after what is queued.

        Returns when all of it is queued, at most 0.4 s before it is heard: speech that is cleared is never far ahead.
        `finished()` waits until it was heard. Several sources are heard one after the other, in the order of their
        calls; with `interrupt` this one is heard at once, and what was playing or waiting is forgotten. Returns False
        if a clear or an interruption cut it off: at once, where an iterator was making its next piece; it is cancelled
        there. Audio at another rate than the call's needs `sample_rate_hz` (a WAV file says its own). An iterator's
        pieces may be cut anywhere, within a sample, too; it is read in a task of its own, and an async generator is
        closed. Raises AudioError for audio that cannot be used.
        """
        if interrupt:
            await self.clear()
        rate_hz = sample_rate_hz or self.sample_rate_hz
        if type(source) is bytes and self._turn is None and self._play_piece(source, rate_hz):
            return True  # the usual case, kept short: a chunk, as it came or as an engine makes it
        return await self._play_in_turn(source, rate_hz)

    async def clear(self) -> float:
        """Stop playing at once and forget what is queued, and every source that is playing: the caller speaks. Returns
        the ms that were really heard since the last clear."""
        self._cuts += 1
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cut()
        self._make_room()
        heard_before_ms, self._heard_before_ms = self._heard_before_ms, 0.0
        if self._stream is None:
            return heard_before_ms
        now_ms = self._clock.now_ms()
        cleared = self._stream.clear(now_ms)
        if self._recording is not None:
            self._recording.cut(now_ms)
        if self._to_stream is not None:
            self._to_stream.reset()
        self._outlet.flush()
        heard_ms = heard_before_ms + cleared.heard_ms
        self._line.note(PlayoutCleared(heard_ms=heard_ms, dropped_ms=cleared.dropped_ms))
        return heard_ms

    async def mark(self, name: str) -> None:
        """Ask to be told (in `events`) when everything played so far was heard, or thrown away by a clear or with a lost
        socket."""
        (await self._connected()).mark(name)
        self._outlet.flush()

    async def finished(self) -> None:
        """Wait until everything that was played has been heard."""
        if self._stream is not None:
            self._stream.flush_tail()  # nothing more comes that could fill its last frame
            self._outlet.flush()
        while self._stream is not None:
            unheard_ms = self._stream.unheard_ms(self._clock.now_ms())
            if unheard_ms <= 0:
                return
            await self._clock.sleep_ms(unheard_ms)

    @property
    def played_ms(self) -> float:
        """Milliseconds of our audio that the caller has heard on the present stream."""
        return self._stream.playout.played_ms(self._clock.now_ms()) if self._stream else 0.0

    # --- what Telnyx does for us -------------------------------------------------------------------------------------

    async def hangup(self) -> None:
        """End the call. The handler is cancelled when Telnyx confirms it."""
        await self._line.send(Hangup())

    async def speak(self, text: str, *, voice: str = "female", language: str = "en-US") -> None:
        """Let Telnyx speak `text` (at most 3,000 characters); it does not pass through our stream."""
        await self._line.send(Speak(payload=text, voice=voice, language=language))

    async def transfer(self, to: str) -> None:
        """Send the caller on to another number or SIP address."""
        await self._line.send(Transfer(to=to))

    async def send(self, command: Command) -> None:
        """Send any other Call Control command about this call."""
        await self._line.send(command)

    def note(self, text: str) -> None:
        """Write a line into the call's timeline. No secrets and no numbers: timelines are shared."""
        self._line.note(Noted(text=text))

    def record(self, path: Path | str | None = None) -> Path:
        """Record both sides from now on, until the call ends: a stereo WAV, the caller left, what he heard right.

        Without `path` it goes to recordings/ in the data directory. Returns where it goes; the timeline gets an entry
        when it is finished. Calling it again changes nothing.
        """
        if self._recording is None:
            if self._raw:
                raise LocalProtocolError("a raw call is not decoded, so it cannot be recorded")
            where = Path(path) if path is not None else self.recording_path()
            self._recording = Recording(where, self._recording_rate_hz(), self._clock.now_ms())
            if self._stream is not None:
                self._recording.attach(self._stream)
        return self._recording.path

    def recording_path(self) -> Path:
        """Where a recording of this call goes by itself. One that was begun by another process is not written over, here
        or where recordings are kept."""
        name = f"{self.session_id}-{self._clock.now_unix_ms()}" if self.facts.resumed else self.session_id
        return self.facts.data_dir / "recordings" / f"{name}.wav"

    def _recording_rate_hz(self) -> int:
        return 8000 if self._stream is None else max(self._stream.received_rate_hz, self._stream.play_rate_hz)

    def note_recording(self, path: Path, duration_ms: float) -> None:
        """Tell the timeline where a recording of this call lies."""
        self._line.note(RecordingSaved(path=str(path), duration_ms=duration_ms))

    # --- for the server ----------------------------------------------------------------------------------------------

    def attach(self, stream: MediaStream, outlet: Outlet) -> None:
        """Carry on over `stream`: the first one, or a new one after the socket was lost. `outlet` sends what it holds."""
        self._stream = stream
        self._outlet = outlet
        self._let_out = outlet.play_payload if self._raw else outlet.play
        if self._recording is not None:
            self._recording.attach(stream)
        self._make_room()
        if self._raw:
            frame_bytes = stream.frame_payload_bytes
            self._payload_bytes_max = frame_bytes * PLAY_PIECE_MS // PTIME_MS if frame_bytes else sys.maxsize
            return
        self._from_stream = _resampler(stream.received_rate_hz, self.sample_rate_hz)
        self._to_stream = _resampler(self._play_rate_hz, stream.play_rate_hz)

    def detach(self) -> None:
        """The socket is gone; it may come back, but nothing of what it held."""
        if self._stream is not None:
            playout = self._stream.playout
            self._heard_before_ms += playout.heard_since_clear_ms(self._clock.now_ms())
            for name in playout.take_marks():
                self.events.put(MarkHandedBack(name, heard=False))
        self._stream = None
        self._outlet = _NOWHERE
        self._let_out = _NOWHERE.play

    def receive(self, event: AudioReceived | PayloadReceived | DtmfPressed | MarkHandedBack) -> None:
        """Hand one event of the stream to the handler."""
        if isinstance(event, AudioReceived):
            self.hear(event.pcm)
        elif isinstance(event, PayloadReceived):
            self.audio.put(event.payload)
        else:
            self.events.put(event)

    def hear_bytes(self, audio: bytes) -> None:
        """Hand audio of the stream to the handler, given as PCM16."""
        if self._from_stream is None and self._recording is None:
            self.audio.put(audio)
        else:
            self.hear(as_pcm(audio))

    def hear(self, pcm: Pcm) -> None:
        """Hand audio of the stream to the handler."""
        if self._recording is not None and self._stream is not None:
            self._recording.hear(pcm, self._stream.received_rate_hz, self._clock.now_ms())
        if self._from_stream is not None:
            pcm = self._from_stream.push(pcm)
        self.audio.put(pcm.tobytes())

    def look(self, now_ms: float) -> None:
        """A second has passed."""
        if self._recording is not None:
            self._recording.write(now_ms)

    def sent(self) -> None:
        """The socket took what was due: there may be room for more."""
        self._make_room()

    def end(self) -> None:
        """No more audio will come."""
        if self._recording is not None:
            recording, self._recording = self._recording, None
            if self._stream is not None:
                self._stream.playout.on_sent = None
            self.note_recording(recording.path, recording.close(self._clock.now_ms()))
        self.audio.close()
        self.events.close()

    # -----------------------------------------------------------------------------------------------------------------

    async def _play_in_turn(self, source: Source, rate_hz: int) -> bool:
        cuts = self._cuts
        turn = self._turn
        if turn is None:
            turn = self._turn = _Turn()
        turn.sources += 1
        try:
            async with turn.lock:
                return self._cuts == cuts and await self._play_source(source, rate_hz, cuts, turn)
        finally:
            turn.sources -= 1
            if not turn.sources and self._turn is turn:
                self._turn = None

    async def _play_source(self, source: Source, rate_hz: int, cuts: int, turn: _Turn) -> bool:
        match source:
            case str() | Path():
                pcm, rate_hz = read_wav(Path(source))
                return await self._play_pcm(pcm, rate_hz, cuts)
            case bytes() | bytearray() | memoryview():
                return await self._play_bytes(bytes(source), rate_hz, cuts)
            case np.ndarray():
                if source.dtype != np.int16 or source.ndim != 1:
                    shape = f"{source.ndim} dimensions of {source.dtype}"
                    raise AudioError(f"an array to play is mono PCM: one dimension of int16, not {shape}")
                return await self._play_pcm(source, rate_hz, cuts)
            case _:
                return await self._play_iterator(source, rate_hz, cuts, turn)

    async def _play_iterator(self, source: AsyncIterator[bytes], rate_hz: int, cuts: int, turn: _Turn) -> bool:
        """In a task of its own, one for all pieces, so that a clear can end the wait for a piece that never comes."""
        player = asyncio.current_task()
        assert player is not None
        cancelled = player.cancelling()
        reading = self._play_pieces_of(source, rate_hz, cuts)
        turn.reader = asyncio.create_task(reading, name="read source")  # noqa: TID251 (a group would wrap what it raises)
        try:
            return await turn.reader
        except asyncio.CancelledError:
            if self._cuts == cuts or player.cancelling() > cancelled:
                raise
            return False  # the clear cancelled the reader, and nobody this task
        finally:
            turn.reader = None

    async def _play_pieces_of(self, source: AsyncIterator[bytes], rate_hz: int, cuts: int) -> bool:
        rest = b""
        try:
            async for piece in source:
                audio = rest + bytes(piece)
                whole = len(audio) if self._raw else len(audio) - len(audio) % PCM16_BYTES
                rest = audio[whole:]
                if not await self._play_bytes(audio[:whole], rate_hz, cuts):
                    return False
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
        if rest:
            raise AudioError("an async iterator of PCM16 bytes ended with half a sample: is it another encoding?")
        return self._cuts == cuts

    async def _play_bytes(self, audio: bytes, rate_hz: int, cuts: int) -> bool:
        if not self._raw:
            return await self._play_pcm(as_pcm(audio), rate_hz, cuts)
        return await self._play_pieces(self._payloads(audio), rate_hz, cuts)

    async def _play_pcm(self, pcm: Pcm, rate_hz: int, cuts: int) -> bool:
        if self._raw:
            raise AudioError("a raw call plays payloads, not PCM: give bytes in the encoding of the stream")
        if not RATE_HZ_MIN <= rate_hz <= RATE_HZ_MAX:
            raise AudioError(f"audio to play can be at {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz, not at {rate_hz} Hz")
        piece_samples = rate_hz * PLAY_PIECE_MS // 1000
        pieces = (pcm[start : start + piece_samples].tobytes() for start in range(0, len(pcm), piece_samples))
        return await self._play_pieces(pieces, rate_hz, cuts)

    def _payloads(self, audio: bytes) -> list[bytes]:
        """A payload as it is; one that is too long as frames, the last of them with what is left over."""
        if not audio:
            return []
        if len(audio) <= self._payload_bytes_max:
            return [audio]
        size = self._payload_bytes_max * PTIME_MS // PLAY_PIECE_MS
        last = (len(audio) // size - 1) * size
        return [*(audio[start : start + size] for start in range(0, last, size)), audio[last:]]

    async def _play_pieces(self, pieces: Iterable[bytes], rate_hz: int, cuts: int) -> bool:
        for piece in pieces:
            while True:
                if self._cuts != cuts:
                    return False
                if self._play_piece(piece, rate_hz):
                    break
                await self._wait_for_room()
        return True

    def _play_piece(self, audio: bytes, rate_hz: int) -> bool:
        """Queue at most PLAY_PIECE_MS, as a payload or PCM16; False if it is longer, or there is no room, or no stream, at
        the moment."""
        stream = self._stream
        if stream is None or stream.playout.queued_ms > PLAY_QUEUED_MS_MAX:
            return False
        if self._raw:
            if not 0 < len(audio) <= self._payload_bytes_max:
                return False
            self._let_out(audio)
            return True
        if 500 * len(audio) > PLAY_PIECE_MS * rate_hz:
            return False
        if rate_hz != self._play_rate_hz:
            self._to_stream = _resampler(rate_hz, stream.play_rate_hz)
            self._play_rate_hz = rate_hz
        if self._to_stream is not None:
            audio = self._to_stream.push(as_pcm(audio)).tobytes()
        self._let_out(audio)
        return True

    async def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = asyncio.Event()
        await self._room.wait()

    def _make_room(self) -> None:
        if self._room is not None:
            self._room.set()
            self._room = None

    async def _connected(self) -> MediaStream:
        while self._stream is None:
            await self._wait_for_room()
        return self._stream


class _Turn:
    """A lock that knows how many have it or wait for it. `locked()` does not tell: while it goes from one to the next it is
    open, and a chunk would slip in between."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sources = 0
        self.reader: asyncio.Task[bool] | None = None
        """Reads the iterator whose turn it is."""

    def cut(self) -> None:
        """Nobody waits any longer for what the iterator would give; unless it is itself what cuts."""
        if self.reader is not None and self.reader is not asyncio.current_task():
            self.reader.cancel()


class _Nowhere:
    """The outlet of a call without a stream. Nothing is played then; a clear and a mark have nobody to be told to."""

    def play(self, audio: bytes) -> None:
        """Never called."""

    def play_payload(self, payload: bytes) -> None:
        """Never called."""

    def flush(self) -> None:
        """Nobody is there."""


_NOWHERE = _Nowhere()


def _resampler(from_hz: int, to_hz: int) -> Resampler | None:
    return None if from_hz == to_hz else Resampler(from_hz, to_hz)
