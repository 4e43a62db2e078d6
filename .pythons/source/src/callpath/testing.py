"""Test a handler with no network and no waiting: seconds of a call pass in milliseconds.

    from callpath.testing import place_call

    async def test_my_bot_greets() -> None:
        async with place_call(app, say=speech) as caller:
            await caller.run(ms=3000)
            assert caller.heard_hz() == 440

It is the real handler on the real stream code, joined to the stand-in's carrier on a manual clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import dominant_frequency_hz
from callpath.call.stream import (
    AudioReceived,
    DtmfPressed,
    MarkHandedBack,
    MediaStream,
    PayloadReceived,
    StreamEvent,
    StreamOpened,
)
from callpath.clock import ManualClock
from callpath.errors import LocalProtocolError
from callpath.server.handler import App, Call, CallFacts
from callpath.simulator.carrier import CarrierStream, StreamRequest
from callpath.timeline import What
from callpath.wire.command import Command, Encoding, Hangup
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat


class Pair:
    """Our stream and the stand-in's carrier, joined by nothing but time. Pure: no tasks, no sockets."""

    def __init__(
        self,
        *,
        encoding: Encoding = "PCMU",
        rate_hz: int | None = None,
        play_encoding: Encoding = "PCMU",
        play_rate_hz: int = 8000,
        raw: bool = False,
    ) -> None:
        rate_hz = rate_hz or (16000 if encoding == "L16" else 8000)
        request = StreamRequest(
            url="wss://calls.example.com/api/calls/s/audio",
            stream_id=StreamId("stream-1"),
            call_control_id=CallControlId("v3:pair"),
            call_session_id=SessionId("session-1"),
            media_format=MediaFormat(encoding=encoding, sample_rate=rate_hz),
            mode="rtp",
            codec=play_encoding,
            sample_rate_hz=play_rate_hz,
            target_legs="self",
            from_="+15555550123",
            to="+15555550199",
        )
        self._speech_encoder = open_encoder(encoding, rate_hz)
        self._speech_encoder.silence(20)  # G722's very first frame, repeated, would be an offset and no silence
        self.carrier = CarrierStream(request, silence=self._speech_encoder.silence(20))
        self.server = MediaStream(play_encoding=play_encoding, play_rate_hz=play_rate_hz, raw=raw)
        self.now_ms = 0.0
        self.events: list[StreamEvent] = []
        """What our side made of the carrier's frames."""

    @property
    def speech_rate_hz(self) -> int:
        """Sampling rate that `say` takes: the codec's."""
        return self._speech_encoder.sample_rate_hz

    def say(self, pcm: Pcm) -> None:
        """Let the caller speak; `pcm` is at the rate of the codec (8000 for G.711)."""
        framer = Framer(self.speech_rate_hz // 50)
        frames = framer.push(pcm)
        tail = framer.flush()
        self.carrier.say(
            [self._speech_encoder.encode(frame) for frame in (frames if tail is None else [*frames, tail])]
        )

    def run(self, ms: float) -> list[StreamEvent]:
        """Let `ms` pass, frame by frame. Returns the events of our side in that time."""
        end_ms = self.now_ms + ms
        fresh: list[StreamEvent] = []
        while True:
            fresh += self._exchange()
            due = [at for at in (self._next_due_ms(),) if at is not None and at <= end_ms]
            if not due:
                break
            self.now_ms = max(self.now_ms, due[0])
        self.now_ms = end_ms
        self.events += fresh
        return fresh

    def heard(self) -> Pcm:
        """What reached the caller's ear so far, silence included, at 8 kHz for G.711."""
        request = self.carrier.request
        decoder = open_decoder(request.codec, request.sample_rate_hz)
        rate_hz = decoder.sample_rate_hz
        heard = np.zeros(int(self.now_ms * rate_hz / 1000) + rate_hz // 50, np.int16)
        for at_ms, payload in self.carrier.heard:
            pcm = decoder.decode(payload)
            start = int(at_ms * rate_hz / 1000)
            piece = pcm[: max(0, heard.size - start)]
            heard[start : start + piece.size] = piece
        return heard

    def _next_due_ms(self) -> float | None:
        times = (self.carrier.next_send_at_ms(), self.server.next_send_at_ms(), self.server.next_event_at_ms())
        return min((at for at in times if at is not None and at > self.now_ms), default=None)

    def _exchange(self) -> list[StreamEvent]:
        """Carry texts to and fro until neither side has anything more to say at this moment."""
        events: list[StreamEvent] = []
        while True:
            to_server = self.carrier.texts_to_send(self.now_ms)
            for text in to_server:
                events += self.server.receive_text(text, self.now_ms)
            events += self.server.due_events(self.now_ms)
            to_carrier = self.server.texts_to_send(self.now_ms)
            for sent in to_carrier:
                self.carrier.receive_text(sent.decode(), self.now_ms)
            if not to_server and not to_carrier:
                return events


class _Queued:
    """An outlet that only queues: `HandlerUnderTest.run` carries what is played."""

    def __init__(self, stream: MediaStream) -> None:
        self.play_payload = stream.play_payload
        self._stream = stream

    def play(self, audio: bytes) -> None:
        """As `StreamDriver` does where a frame has to wait."""
        self._stream.play(as_pcm(audio))

    def flush(self) -> None:
        """It will be carried in its time."""


class HandlerUnderTest:
    """One call to a handler. Made by `place_call`."""

    def __init__(self, app: App, pair: Pair, clock: ManualClock, data_dir: Path) -> None:
        self.commands: list[Command] = []
        """Call Control commands that the handler had sent."""
        self.timeline: list[What] = []
        """Entries that the handler caused."""
        self.call: Call | None = None
        self._app = app
        self._pair = pair
        self._clock = clock
        self._data_dir = data_dir
        self._looked_ms = 0.0
        self._handler: asyncio.Task[None] | None = None
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self, ms: float) -> None:
        """Let `ms` of the call pass."""
        end_ms = self._clock.now_ms() + ms
        while self._clock.now_ms() < end_ms:
            await self._clock.advance(min(5.0, end_ms - self._clock.now_ms()))
            for event in self._pair.run(self._clock.now_ms() - self._pair.now_ms):
                self._take(event)
            if self.call is not None:
                self.call.sent()
                if self._clock.now_ms() >= self._looked_ms + 1000:
                    self._looked_ms = self._clock.now_ms()
                    self.call.look(self._looked_ms)

    def press(self, digit: str) -> None:
        """Press a key."""
        self._pair.carrier.press(digit, self._clock.now_ms())

    def say(self, pcm: Pcm) -> None:
        """Speak (PCM at 8 kHz)."""
        self._pair.say(resample_file_audio(pcm, 8000, self._pair.speech_rate_hz))

    async def hang_up(self) -> None:
        """The caller hangs up: the handler is cancelled."""
        if self._handler is not None and not self._handler.done():
            self._handler.cancel()
        if self.call is not None:
            self.call.end()
        await self._clock.advance(0)

    @property
    def heard(self) -> Pcm:
        """What the caller heard so far, at 8 kHz."""
        return self._pair.heard()

    def heard_hz(self) -> float:
        """The loudest frequency in what the caller heard."""
        return dominant_frequency_hz(self.heard, 8000)

    @property
    def returned(self) -> bool:
        """Whether the handler has returned by itself."""
        return self._handler is not None and self._handler.done() and not self._handler.cancelled()

    # --- the handler's Line ------------------------------------------------------------------------------------------

    async def send(self, command: Command) -> None:
        """Every command is accepted; a hang-up ends the call."""
        self.commands.append(command)
        if isinstance(command, Hangup):
            await self.hang_up()

    def note(self, what: What) -> None:
        self.timeline.append(what)

    # -----------------------------------------------------------------------------------------------------------------

    def _take(self, event: StreamEvent) -> None:
        if isinstance(event, StreamOpened):
            facts = CallFacts(
                session_id=SessionId("session-1"),
                call_control_id=event.start.call_control_id,
                leg_id=LegId("leg-1"),
                from_=event.start.from_,
                to=event.start.to,
                direction="incoming",
                client_state=event.start.client_state,
                custom_parameters=event.start.custom_parameters or {},
                data_dir=self._data_dir,
            )
            self.call = Call(
                facts, sample_rate_hz=self._app.sample_rate_hz, line=self, clock=self._clock, raw=self._app.raw
            )
            self.call.attach(self._pair.server, _Queued(self._pair.server))
            assert self._tasks is not None and self._app.handler is not None
            self._handler = self._tasks.create_task(self._enter(self.call), name="handler under test")
        elif (
            isinstance(event, AudioReceived | PayloadReceived | DtmfPressed | MarkHandedBack) and self.call is not None
        ):
            self.call.receive(event)

    async def _enter(self, call: Call) -> None:
        assert self._app.handler is not None
        await self._app.handler(call)
        await call.finished()


@asynccontextmanager
async def place_call(
    app: App, *, say: Pcm | None = None, encoding: Encoding = "PCMU", data_dir: Path = Path()
) -> AsyncIterator[HandlerUnderTest]:
    """Enter the handler of `app` for one call that lasts as long as the block. What the handler raises, this raises.

    `say` is what the caller says from the beginning, PCM at 8 kHz. `encoding` is the phone leg's.
    """
    if app.handler is None:
        raise LocalProtocolError("this App has no handler: decorate one with @app.call")
    pair = Pair(encoding=encoding, raw=app.raw)
    caller = HandlerUnderTest(app, pair, ManualClock(), data_dir)
    if say is not None:
        caller.say(say)
    try:
        async with asyncio.TaskGroup() as tasks:
            caller._tasks = tasks  # noqa: SLF001 (made here)
            await caller.run(ms=1)
            yield caller
            await caller.hang_up()
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
