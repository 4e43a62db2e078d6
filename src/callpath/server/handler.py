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
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

import numpy as np

from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.resample import Resampler
from callpath.audio.wav import read_wav
from callpath.call.leg import Leg
from callpath.call.stream import AudioReceived, DtmfPressed, MarkHandedBack, MediaStream
from callpath.clock import Clock
from callpath.errors import AudioError, LocalProtocolError
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

EVENTS_MAX = 256
"""Keys and marks that wait for a handler which does not read `call.events`; then the oldest is dropped."""

Handler = Callable[["Call"], Awaitable[None]]
Event = DtmfPressed | MarkHandedBack
Item = TypeVar("Item")
Source = bytes | Pcm | str | Path | AsyncIterator[bytes]


class App:
    """An application: one coroutine per call. Hand it to `callpath serve module:app`."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.sample_rate_hz = 8000

    @overload
    def call(self, handler: Handler, /) -> Handler: ...

    @overload
    def call(self, /, *, sample_rate_hz: int = 8000) -> Callable[[Handler], Handler]: ...

    def call(
        self, handler: Handler | None = None, /, *, sample_rate_hz: int = 8000
    ) -> Handler | Callable[[Handler], Handler]:
        """Decorator: enter `handler` for every call; its audio comes and goes at `sample_rate_hz`."""
        if sample_rate_hz not in (8000, 16000, 24000, 48000):
            raise AudioError(f"a handler's audio can be at 8000, 16000, 24000 or 48000 Hz, not at {sample_rate_hz}")

        def register(handler: Handler) -> Handler:
            if self.handler is not None:
                raise LocalProtocolError("this App has a handler already: one App, one @app.call")
            self.handler = handler
            self.sample_rate_hz = sample_rate_hz
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


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Who is calling whom. `data_dir` is where the handler may write."""

    session_id: SessionId
    call_control_id: CallControlId
    leg_id: LegId | None
    from_: str | None
    to: str | None
    direction: str | None
    client_state: str | None
    custom_parameters: dict[str, str] = field(default_factory=dict)
    data_dir: Path = Path()

    @staticmethod
    def of(session: SessionId, leg: Leg | None, start: Start, data_dir: Path) -> CallFacts:
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
        )


class Call:
    """One phone call, as its handler sees it. All audio is PCM16, mono, little-endian, at `sample_rate_hz`."""

    def __init__(self, facts: CallFacts, *, sample_rate_hz: int, line: Line, clock: Clock) -> None:
        self.facts = facts
        self.sample_rate_hz = sample_rate_hz
        self.audio = _Waiting[bytes](limit=AUDIO_QUEUE_MS_MAX // 20)
        """The caller's speech in chunks of 20 ms: `async for chunk in call.audio`. Ends with the call."""
        self.events = _Waiting[Event](limit=EVENTS_MAX)
        """Keys pressed (`DtmfPressed`) and marks that came back (`MarkHandedBack`)."""
        self._line = line
        self._clock = clock
        self._stream: MediaStream | None = None
        self._wake_socket = asyncio.Event()
        self._room = asyncio.Event()
        self._from_stream = Resampler(sample_rate_hz, sample_rate_hz)
        self._to_stream = Resampler(sample_rate_hz, sample_rate_hz)
        self._play_rate_hz = sample_rate_hz

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
    def custom_parameters(self) -> dict[str, str]:
        """What was given in streaming_start's custom_parameters."""
        return self.facts.custom_parameters

    # --- what the caller hears ---------------------------------------------------------------------------------------

    async def play(self, source: Source, *, sample_rate_hz: int | None = None) -> None:
        """Play PCM16 bytes, an int16 array, a WAV file, or an async iterator of PCM16 bytes, after what is queued.

        Returns when all of it is queued, at most 0.4 s before it is heard: speech that is cleared is never far ahead.
        `finished()` waits until it was heard. Audio at another rate than the call's needs `sample_rate_hz` (a WAV file
        says its own). Raises AudioError for audio that cannot be used.
        """
        rate_hz = sample_rate_hz or self.sample_rate_hz
        match source:
            case str() | Path():
                pcm, rate_hz = read_wav(Path(source))
                await self._play_pcm(pcm, rate_hz)
            case bytes() | bytearray() | memoryview():
                await self._play_pcm(as_pcm(bytes(source)), rate_hz)
            case np.ndarray():
                await self._play_pcm(source, rate_hz)
            case _:
                async for piece in source:
                    await self._play_pcm(as_pcm(piece), rate_hz)

    async def clear(self) -> float:
        """Stop playing at once and forget what is queued: the caller speaks. Returns the ms that were really heard
        since the last clear."""
        if self._stream is None:
            return 0.0
        cleared = self._stream.clear(self._clock.now_ms())
        self._to_stream.reset()
        self._wake_socket.set()
        self._room.set()
        self._line.note(PlayoutCleared(heard_ms=cleared.heard_ms, dropped_ms=cleared.dropped_ms))
        return cleared.heard_ms

    async def mark(self, name: str) -> None:
        """Ask to be told (in `events`) when everything played so far was heard, or thrown away by a clear."""
        (await self._connected()).mark(name)
        self._wake_socket.set()

    async def finished(self) -> None:
        """Wait until everything that was played has been heard."""
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

    def note_recording(self, path: Path, duration_ms: float) -> None:
        """Tell the timeline where a recording of this call lies."""
        self._line.note(RecordingSaved(path=str(path), duration_ms=duration_ms))

    # --- for the server ----------------------------------------------------------------------------------------------

    def attach(self, stream: MediaStream, wake_socket: asyncio.Event) -> None:
        """Carry on over `stream`: the first one, or a new one after the socket was lost."""
        self._stream = stream
        self._wake_socket = wake_socket
        self._from_stream = Resampler(stream.received_rate_hz, self.sample_rate_hz)
        self._to_stream = Resampler(self._play_rate_hz, stream.play_rate_hz)
        self._room.set()

    def detach(self) -> None:
        """The socket is gone; it may come back."""
        self._stream = None

    def receive(self, event: AudioReceived | DtmfPressed | MarkHandedBack) -> None:
        """Hand one event of the stream to the handler."""
        if isinstance(event, AudioReceived):
            self.audio.put(self._from_stream.push(event.pcm).tobytes())
        else:
            self.events.put(event)

    def sent(self) -> None:
        """The socket took what was due: there may be room for more."""
        self._room.set()

    def end(self) -> None:
        """No more audio will come."""
        self.audio.close()
        self.events.close()

    # -----------------------------------------------------------------------------------------------------------------

    async def _play_pcm(self, pcm: Pcm, rate_hz: int) -> None:
        piece_samples = rate_hz * PLAY_PIECE_MS // 1000
        for start in range(0, len(pcm), piece_samples):
            stream = await self._connected()
            while stream.playout.queued_ms > PLAY_QUEUE_MS_MAX - PLAY_PIECE_MS:
                self._room.clear()
                await self._room.wait()
                stream = await self._connected()
            if rate_hz != self._play_rate_hz:
                self._play_rate_hz = rate_hz
                self._to_stream = Resampler(rate_hz, stream.play_rate_hz)
            stream.play(self._to_stream.push(pcm[start : start + piece_samples]))
            self._wake_socket.set()

    async def _connected(self) -> MediaStream:
        while self._stream is None:
            self._room.clear()
            await self._room.wait()
        return self._stream


class _Waiting(Generic[Item]):
    """Items on their way to the handler: an async iterator over a bounded queue that drops its oldest, and counts."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._items: deque[Item] = deque()
        self._limit = limit
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, item: Item) -> None:
        if len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._changed.set()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._items.popleft()
