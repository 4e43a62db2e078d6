"""Test a handler with no network and no waiting: seconds of a call pass in milliseconds.

    from callpath.testing import place_call

    async def test_my_bot_greets() -> None:
        async with place_call(app, say=speech) as caller:
            await caller.run(ms=3000)
            assert caller.heard_hz() == 440

It is the server's own code from the webhook to the hangup, joined to the simulator's carrier on a manual clock. Only
sockets and HTTP are left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.files import Files
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import dominant_frequency_hz
from callpath.call.plan import StreamPlan
from callpath.call.policies import CallPolicy, Step
from callpath.call.stream import MediaStream, StreamEvent
from callpath.clock import ManualClock
from callpath.control import CommandReply, Control, Retry
from callpath.errors import ControlError, LocalProtocolError
from callpath.server.application import HandlerRun
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.media import StreamDriver
from callpath.simulator.carrier import CarrierStream, StreamRequest
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Entry, HandlerEnded, SocketClosed, What
from callpath.wire.api import CallEvent, CallStatus
from callpath.wire.command import Command, Encoding, Hangup, PlaybackStart, Speak, Transfer
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat
from callpath.wire.webhook import Webhook, read_webhook

SPEAK_MS_PER_CHAR = 65
"""How long our Telnyx takes to speak: 15 characters a second."""

PLAYBACK_MS = 2_000
"""How long everything takes that our Telnyx plays."""

SETTLE_TURNS_MAX = 50
"""How often a cancelled handler is given time to end."""

ANSWERS_AFTER_MS = 1_000
"""When the phone is answered to which a caller is transferred."""

SESSION, LEG, LEG_B = SessionId("session-1"), "leg-1", "leg-2"


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
        from_: str = "+15555550123",
        to: str = "+15555550199",
        client_state: str | None = None,
        custom_parameters: Mapping[str, str] | None = None,
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
            from_=from_,
            to=to,
            client_state=client_state,
            custom_parameters=dict(custom_parameters or {}),
        )
        self._speech_encoder = open_encoder(encoding, rate_hz)
        self._speech_encoder.silence(20)  # G722's very first frame, repeated, would be an offset and no silence
        self.carrier = CarrierStream(request, silence=self._speech_encoder.silence(20))
        self._heard_before: list[tuple[float, bytes]] = []
        """What was heard on sockets that are lost."""
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

    def reconnect(self) -> None:
        """The carrier's side of the next socket, with a stream of its own."""
        self._heard_before += self.carrier.heard
        before = self.carrier.request
        number = int(before.stream_id.rpartition("-")[2]) + 1
        request = replace(before, stream_id=StreamId(f"stream-{number}"))
        self.carrier = CarrierStream(request, silence=self._speech_encoder.silence(20))

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
        for at_ms, payload in [*self._heard_before, *self.carrier.heard]:
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


class HandlerUnderTest:
    """One call to a handler. Made by `place_call`."""

    def __init__(self, app: App, pair: Pair, clock: ManualClock, data_dir: Path, refuse: Mapping[str, str]) -> None:
        self.commands: list[Command] = []
        """Call Control commands since the stream started: the handler's, and the server's hangup after it."""
        self.timeline: list[What] = []
        """Entries of the call's timeline since the stream started, in order."""
        self.call: Call | None = None
        """The handler's Call."""
        self.silent = False
        """Telnyx does not tell the end of what it speaks and plays."""
        self._pair = pair
        self._clock = clock
        self._telnyx = _Telnyx(self, clock, refuse)
        self._context = Context(
            app=app,
            log=_Log(self),
            control=cast(Control, self._telnyx),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=clock,
            data_dir=data_dir,
            files=Files.inline(),
            policy=CallPolicy(no_socket_then=(Step("retry"), Step("hangup"))),
            recovers=False,
            log_entries=False,
        )
        self._calls = Calls(self._context)
        self._driver: StreamDriver | None = None
        self._run: HandlerRun | None = None
        self._raised: BaseException | None = None
        self._events = 0

    @asynccontextmanager
    async def _placed(self) -> AsyncIterator[None]:
        async with self._calls.running():
            request = self._pair.carrier.request
            numbers: dict[str, Any] = {"from": request.from_, "to": request.to, "direction": "incoming"}
            await self.event("call.initiated", **numbers, state="parked", client_state=request.client_state)
            await self._clock.advance(0)
            await self.event("call.answered", **numbers, client_state=request.client_state)
            await self._clock.advance(0)
            await self.connect()
            self.commands.clear()
            self.timeline.clear()
            await self.run(ms=1)
            yield
            await self.hang_up()

    async def run(self, ms: float) -> None:
        """Let `ms` of the call pass. What the handler raises, this raises."""
        end_ms = self._clock.now_ms() + ms
        while self._clock.now_ms() < end_ms:
            await self._clock.advance(min(5.0, end_ms - self._clock.now_ms()))
            self._exchange()
            await self._clock.advance(0)
            self._raise()

    def press(self, digit: str) -> None:
        """Press a key."""
        self._pair.carrier.press(digit, self._clock.now_ms())

    def say(self, pcm: Pcm) -> None:
        """Speak (PCM at 8 kHz)."""
        self._pair.say(resample_file_audio(pcm, 8000, self._pair.speech_rate_hz))

    async def hang_up(self) -> None:
        """The caller hangs up: the handler is cancelled."""
        live = self._calls.live.get(SESSION)
        if live is not None and not live.session.ended:
            await self.event("call.hangup", hangup_cause="normal_clearing", hangup_source="caller")
        for _ in range(SETTLE_TURNS_MAX):
            await self._clock.advance(0)
            if live is None or live.application.is_done:
                break
        self._raise()

    async def connect(self) -> None:
        """Telnyx opens an audio socket: the first one, or another after `lose_socket`."""
        live = self._calls.load(SESSION)
        self._driver = StreamDriver(live, live.new_stream(), self._clock, self._context.pacer, self._context.gathering)
        self._driver.begin(_Socket(self))
        await self._clock.advance(0)

    async def lose_socket(self) -> None:
        """The audio socket breaks off. The handler waits for another one for a while."""
        if self._driver is not None:
            self._driver.lost(SocketClosed(code=1006))
            self._driver = None
            self._pair.reconnect()
        await self._clock.advance(0)

    async def event(self, event_type: str, *, leg: str = LEG, **payload: Any) -> None:
        """Telnyx tells of an event, as in `await caller.event("call.speak.ended")`."""
        self._events += 1
        document = {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": f"event-{self._events}",
                "occurred_at": "2026-01-01T00:00:00.000000Z",
                "payload": {
                    "call_control_id": self._pair.carrier.request.call_control_id if leg == LEG else f"v3:{leg}",
                    "call_leg_id": leg,
                    "call_session_id": SESSION,
                    **{name: value for name, value in payload.items() if value is not None},
                },
            }
        }
        webhook = read_webhook(document)
        assert isinstance(webhook, Webhook)
        await self._calls.receive_webhook(webhook, document)

    @property
    def heard(self) -> Pcm:
        """What the caller heard so far, at 8 kHz."""
        self._pair.now_ms = self._clock.now_ms()
        return self._pair.heard()

    def heard_hz(self) -> float:
        """The loudest frequency in what the caller heard."""
        return dominant_frequency_hz(self.heard, 8000)

    @property
    def returned(self) -> bool:
        """Whether the handler has returned by itself."""
        return any(isinstance(what, HandlerEnded) and not what.cancelled for what in self.timeline)

    # -----------------------------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        """Carry what the caller's side has to say."""
        live = self._calls.live.get(SESSION)
        if self._driver is not None:
            for text in self._pair.carrier.texts_to_send(self._clock.now_ms()):
                self._driver.receive_text(text.encode())
        if live is not None and live.application.run is not None:
            self._run, self.call = live.application.run, live.application.run.call

    def _raise(self) -> None:
        error = self._run.error if self._run is not None else None
        if error is not None and error is not self._raised:
            self._raised = error
            raise error


class _Log(MemoryCallLog):
    """A log that shows its entries to the test."""

    def __init__(self, caller: HandlerUnderTest) -> None:
        super().__init__()
        self._caller = caller

    async def append(self, *entries: Entry) -> bool:
        new = await super().append(*entries)
        if new:
            self._caller.timeline += [entry.what for entry in entries]
        return new


class _Socket:
    """Our side of the audio socket: what is sent is at the carrier at once."""

    writable = True

    def __init__(self, caller: HandlerUnderTest) -> None:
        self._caller = caller

    def send(self, text: bytes) -> None:
        self._caller._pair.carrier.receive_text(text.decode(), self._caller._clock.now_ms())  # noqa: SLF001

    def close(self, code: int, reason: str) -> None:
        """The caller goes on listening: the call is over by another event."""

    def on_second(self, now_ms: float) -> None:
        """No ping is due."""


class _Telnyx:
    """Call Control without HTTP: accepts every command that it was not told to refuse, and tells what becomes of it."""

    def __init__(self, caller: HandlerUnderTest, clock: ManualClock, refuse: Mapping[str, str]) -> None:
        self._caller = caller
        self._clock = clock
        self._refuse = refuse

    async def send(
        self,
        command: Command,
        call_control_id: CallControlId,  # noqa: ARG002 (there is one call)
        *,
        spent_ms: float = 0.0,  # noqa: ARG002
        is_over: Callable[[], bool] = lambda: False,  # noqa: ARG002
        on_retry: Callable[[Retry], None] = lambda _: None,  # noqa: ARG002
    ) -> CommandReply:
        """Carry out a command. Raises ControlError for one that is to be refused."""
        self._caller.commands.append(command)
        code = self._refuse.get(command.NAME)
        if code is not None:
            raise ControlError(
                f"{command.NAME} was refused: 422 {code}",
                command=command.NAME,
                command_id=command.command_id,
                status=422,
                code=code,
                detail="refused by the test",
                retryable=False,
            )
        tasks = self._caller._context.tasks  # noqa: SLF001
        tasks.spawn(self._tell(command), name=f"events of {command.NAME}")
        return CommandReply(200, {}, 0.0, 1)

    async def _tell(self, command: Command) -> None:
        event = self._caller.event
        match command:
            case Hangup():
                await event("call.hangup", hangup_cause="normal_clearing", hangup_source="callee")
            case Speak():
                await event("call.speak.started")
                await self._clock.sleep_ms(SPEAK_MS_PER_CHAR * len(command.payload))
                if not self._caller.silent:
                    await event("call.speak.ended", status="completed")
            case PlaybackStart():
                await event("call.playback.started")
                await self._clock.sleep_ms(PLAYBACK_MS)
                if not self._caller.silent:
                    await event("call.playback.ended", status="completed")
            case Transfer():
                to = {"to": command.to, "direction": "outgoing"}
                await event("call.initiated", leg=LEG_B, state="bridging", **to)
                await self._clock.sleep_ms(ANSWERS_AFTER_MS)
                await event("call.answered", leg=LEG_B, **to)
                await event("call.bridged", leg=LEG_B)
                await event("call.bridged")
            case _:
                pass

    async def call_events(self, session: SessionId) -> list[CallEvent]:  # noqa: ARG002
        """Nothing was missed."""
        return []

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """The line is up."""
        return CallStatus(
            call_control_id=call_control_id, call_leg_id=LegId(LEG), call_session_id=SESSION, is_alive=True
        )


@asynccontextmanager
async def place_call(
    app: App,
    *,
    say: Pcm | None = None,
    encoding: Encoding = "PCMU",
    data_dir: Path = Path(),
    from_: str = "+15555550123",
    to: str = "+15555550199",
    client_state: str | None = None,
    custom_parameters: Mapping[str, str] | None = None,
    refuse: Mapping[str, str] | None = None,
) -> AsyncIterator[HandlerUnderTest]:
    """Enter the handler of `app` for one call that lasts as long as the block, or until the handler has ended it.

    What the handler raises, `run` and the end of the block raise. `say` is what the caller says from the beginning, PCM at
    8 kHz. `encoding` is the phone leg's. `client_state` is base64, as Telnyx repeats it. `refuse` names commands that
    Telnyx refuses, with the code: `{"transfer": "10015"}`.
    """
    if app.handler is None:
        raise LocalProtocolError("this App has no handler: decorate one with @app.call")
    pair = Pair(
        encoding=encoding,
        raw=app.raw,
        from_=from_,
        to=to,
        client_state=client_state,
        custom_parameters=custom_parameters,
    )
    caller = HandlerUnderTest(app, pair, ManualClock(), data_dir, refuse or {})
    if say is not None:
        caller.say(say)
    try:
        async with caller._placed():  # noqa: SLF001 (made here)
            yield caller
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
