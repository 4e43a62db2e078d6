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

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from callpath.api.app import App
from callpath.api.call import Call
from callpath.api.files import Files
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import dominant_frequency_hz
from callpath.call.client_state import ClientState, decode_client_state, encode_client_state
from callpath.call.plan import StreamPlan
from callpath.call.policies import CallPolicy, Step
from callpath.call.stream import MediaStream, StreamEvent
from callpath.clock import ManualClock
from callpath.control import CommandReply, Control, Retry
from callpath.errors import ControlError, LocalProtocolError
from callpath.server.application import HandlerRun
from callpath.server.calls import Calls
from callpath.server.context import Context, DialsAs
from callpath.server.dialling import Dials
from callpath.server.media import StreamDriver
from callpath.simulator.carrier import CarrierStream, StreamRequest
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Entry, HandlerEnded, SocketClosed, What
from callpath.wire.api import CallEvent, CallStatus
from callpath.wire.command import (
    Answer,
    Bridge,
    Command,
    Dial,
    Encoding,
    Gather,
    GatherUsingAudio,
    GatherUsingSpeak,
    Hangup,
    PlaybackStart,
    PlaybackStop,
    RecordPause,
    RecordResume,
    RecordStart,
    RecordStop,
    Refer,
    Reject,
    Speak,
    StreamingStart,
    StreamingStop,
    TranscriptionStart,
    TranscriptionStop,
    Transfer,
)
from callpath.wire.conference import (
    Conference,
    ConferenceCommand,
    ConferenceCreate,
    ConferenceEnd,
    ConferenceJoin,
    ConferenceLeave,
    ConferenceName,
    ConferencePlay,
    ConferenceSpeak,
    Participant,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat, Stop, encode_message
from callpath.wire.webhook import ConferenceWebhook, Webhook, read_webhook

SPEAK_MS_PER_CHAR = 65
"""How long our Telnyx takes to speak: 15 characters a second."""

PLAYBACK_MS = 2_000
"""How long everything takes that our Telnyx plays."""

SETTLE_TURNS_MAX = 50
"""How often a cancelled handler is given time to end."""

ANSWERS_AFTER_MS = 1_000
"""When the phone is answered to which a caller is transferred."""

FRAME_MS = 20.0
"""The longest step in which time passes: one frame of the caller's."""

DECIDED_MS_MAX = 6_000
"""How long a call rings until @app.incoming has decided about it."""

Callee = Literal["answers", "busy", "no_answer", "rejects", "unreachable", "machine", "silent"]
"""What becomes of a phone to which a caller is transferred: `machine` is an answering machine that answers, `silent`
rings, and Telnyx never tells what became of it."""

_HANGUPS = {
    "busy": ("user_busy", "486"),
    "no_answer": ("timeout", "487"),
    "rejects": ("call_rejected", "603"),
    "unreachable": ("not_found", "404"),
}

SESSION, LEG, LEG_B = SessionId("session-1"), "leg-1", "leg-2"


class Pair:
    """Our stream and the simulator's carrier, joined by nothing but time. Pure: no tasks, no sockets."""

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
        call_control_id: str = "v3:pair",
        session: str = "session-1",
    ) -> None:
        rate_hz = rate_hz or (16000 if encoding == "L16" else 8000)
        request = StreamRequest(
            url="wss://calls.example.com/api/calls/s/audio",
            stream_id=StreamId("stream-1"),
            call_control_id=CallControlId(call_control_id),
            call_session_id=SessionId(session),
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


class _Phone:
    """One phone on the line: what it says and hears, and what Telnyx tells about its leg."""

    commands: list[Command]
    callees: dict[str, Callee]
    silent = False
    """Telnyx does not tell the end of what it speaks and plays."""

    def __init__(self, pair: Pair, clock: ManualClock, session: SessionId, leg: str) -> None:
        self._pair = pair
        self._clock = clock
        self._session = session
        self.leg = leg
        self._context: Context
        self._calls: Calls
        self._telnyx: _Telnyx
        self._driver: StreamDriver | None = None
        self._events = 0
        self._occurred_ms = 0.0
        self.call: Call | None = None
        """The Call of the handler that talks to this phone."""

    @property
    def call_control_id(self) -> CallControlId:
        """Of this phone's leg."""
        return self._pair.carrier.request.call_control_id

    def press(self, digits: str) -> None:
        """Press a key, or several, one right after the other."""
        for digit in digits:
            self._pair.carrier.press(digit, self._clock.now_ms())
            self._telnyx.press(digit)

    def say(self, pcm: Pcm) -> None:
        """Speak (PCM at 8 kHz)."""
        self._pair.say(resample_file_audio(pcm, 8000, self._pair.speech_rate_hz))

    async def connect(self) -> None:
        """Telnyx opens an audio socket: the first one, or another after `lose_socket`."""
        live = self._calls.load(self._session)
        self._driver = StreamDriver(live, live.new_stream(), self._clock, self._context.pacer, self._context.coalescer)
        self._driver.begin(_Socket(self))
        await self._clock.advance(0)

    async def lose_socket(self) -> None:
        """The audio socket breaks off. The handler waits for another one for a while."""
        if self._driver is not None:
            self._driver.lost(SocketClosed(code=1006))
            self._driver = None
            self._pair.reconnect()
        await self._clock.advance(0)

    async def event(
        self, event_type: str, *, leg: str | None = None, occurred_at: str | None = None, **payload: Any
    ) -> None:
        """Telnyx tells of an event, as in `await caller.event("call.speak.ended")`. `occurred_at`: of a late one."""
        self._events += 1
        self._occurred_ms = max(self._occurred_ms + 1, self._clock.now_ms())  # of two events, one is the later one
        occurred = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self._occurred_ms)
        mine = leg is None or leg == self.leg
        document = {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": f"event-{self._events}" if self._session == SESSION else f"{self._session}-event-{self._events}",
                "occurred_at": occurred_at or occurred.isoformat(),
                "payload": {
                    "call_control_id": self.call_control_id if mine else f"v3:{leg}",
                    "call_leg_id": leg or self.leg,
                    "call_session_id": self._session,
                    **{name: value for name, value in payload.items() if value is not None},
                },
            }
        }
        webhook = read_webhook(document)
        assert isinstance(webhook, Webhook)
        await self._calls.receive_webhook(webhook, document)

    async def conference_event(self, event_type: str, conference: str, **payload: Any) -> None:
        """Telnyx tells of an event about a whole conference that this call has made, as `conference.speak.ended`."""
        self._events += 1
        document = {
            "data": {
                "record_type": "event",
                "event_type": event_type,
                "id": f"{self._session}-conference-event-{self._events}",
                "payload": {"conference_id": conference, "creator_call_session_id": self._session, **payload},
            }
        }
        webhook = read_webhook(document)
        assert isinstance(webhook, ConferenceWebhook)
        await self._calls.receive_conference_webhook(webhook, document)

    async def stop_stream(self) -> None:
        """Telnyx ends the stream, as after streaming_stop."""
        if self._driver is not None:
            driver, self._driver = self._driver, None
            driver.receive_text(encode_message(Stop(stream_id=self._pair.carrier.request.stream_id)).encode())
            driver.lost(SocketClosed(code=1000))
        await self._clock.advance(0)

    @property
    def heard(self) -> Pcm:
        """What was heard on this phone so far, at 8 kHz."""
        self._pair.now_ms = self._clock.now_ms()
        return self._pair.heard()

    def heard_hz(self) -> float:
        """The loudest frequency in what was heard on this phone."""
        return dominant_frequency_hz(self.heard, 8000)

    def _exchange(self) -> None:
        """Carry what this phone's side has to say."""
        live = self._calls.live.get(self._session)
        if self._driver is not None:
            for text in self._pair.carrier.texts_to_send(self._clock.now_ms()):
                self._driver.receive_text(text.encode())
        if live is not None and live.application.run is not None:
            self.call = live.application.run.call


class Party(_Phone):
    """A phone that was called by `app.dial` or `call.consult`, as the test plays it: `caller.party("+15555550177")`.

    Whether it is answered, `callees` of `place_call` says.
    """

    def __init__(self, caller: HandlerUnderTest, command: Dial, number: str, leg: str) -> None:
        pair = Pair(
            from_=command.from_,
            to=number,
            client_state=command.client_state,
            call_control_id=f"v3:{leg}",
            session=f"session-{leg}",
        )
        super().__init__(pair, caller._clock, SessionId(f"session-{leg}"), leg)  # noqa: SLF001
        self.number = number
        self.command = command
        """The dial."""
        self.commands = []
        """Call Control commands about this phone's leg."""
        self.callees = caller.callees
        self.answered = self.ended = False
        self.joined_with: _Phone | None = None
        """The phone that this one talks to, since the two were joined."""
        self._caller = caller
        self._context, self._calls = caller._context, caller._calls  # noqa: SLF001
        self._telnyx = _Telnyx(self, self._clock, {})

    @property
    def joined(self) -> bool:
        """It talks to the caller."""
        return self.joined_with is not None and not self.ended

    async def ring(self) -> None:
        """Ring, as `callees` says."""
        how = self.callees.get(self.number, "answers")
        await self._tell("call.initiated", direction="outgoing", state="bridging")
        if how == "silent":
            return
        rings_ms = 1000 * (self.command.timeout_secs or 30) if how == "no_answer" else ANSWERS_AFTER_MS
        await self._clock.sleep_ms(rings_ms)
        if self.ended:
            return
        if how in _HANGUPS:
            cause, sip_code = _HANGUPS[how]
            await self.end(cause, "unknown", sip_code)
            return
        self.answered = True
        await self._tell("call.answered")
        if self.command.answering_machine_detection not in (None, "disabled"):
            await self._clock.sleep_ms(ANSWERS_AFTER_MS)
            result = "machine" if how == "machine" else "human_residence"
            await self._tell("call.machine.premium.detection.ended", result=result)

    async def hang_up(self) -> None:
        """This phone hangs up."""
        await self.end("normal_clearing" if self.answered else "call_rejected", "callee")

    async def end(self, cause: str, source: str, sip_code: str | None = None) -> None:
        """The leg is over, and that of the phone it is joined with, too, unless that is to be parked."""
        if self.ended:
            return
        self.ended = True
        await self.stop_stream()
        await self._caller._telnyx.conference.leave(self.leg)  # noqa: SLF001
        await self._tell("call.hangup", hangup_cause=cause, hangup_source=source, sip_hangup_cause=sip_code)
        await self._clock.advance(0)

    async def _tell(self, event_type: str, **payload: Any) -> None:
        about = {"from": self.command.from_, "to": self.number, "client_state": self.command.client_state}
        await self.event(event_type, **about, **payload)

    async def run_command(self, command: Command) -> None:
        """What becomes of a command about this leg."""
        match command:
            case Hangup():
                await self.end("normal_clearing" if self.answered else "originator_cancel", "caller")
            case StreamingStart():
                await self.connect()
            case _:
                await self._telnyx._tell(command, self.call_control_id)  # noqa: SLF001


class HandlerUnderTest(_Phone):
    """One call to a handler. Made by `place_call`."""

    def __init__(
        self,
        app: App,
        pair: Pair,
        clock: ManualClock,
        data_dir: Path,
        refuse: Mapping[str, str],
        *,
        callees: Mapping[str, Callee],
        outgoing: bool = False,
        answered_by: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(pair, clock, SESSION, LEG)
        self.commands: list[Command] = []
        """Call Control commands since the stream started, or since it rang, where it was not answered: the handler's, and
        the server's hangup after it."""
        self.timeline: list[What] = []
        """Entries of the call's timeline since the stream started, in order."""
        self.callees = dict(callees)
        """What becomes of the phones to which the caller is transferred, or that are called, by number; they answer if it
        is not said."""
        self.answered = False
        """The call was answered."""
        self._outgoing = outgoing
        self._answered_by = answered_by
        self._headers = dict(headers or {})
        self._telnyx = _Telnyx(self, clock, refuse)
        self._context = Context(
            app=app,
            log=_Log(self),
            control=cast(Control, self._telnyx),
            plan=StreamPlan(public_url="https://calls.example.com"),
            clock=clock,
            data_dir=data_dir,
            files=Files.inline(),
            dials_as=DialsAs("1", "+15555550199"),
            policy=CallPolicy(no_socket_then=(Step("retry"), Step("hangup"))),
            recovers=False,
            log_entries=False,
        )
        self._calls = Calls(self._context)
        app.dialler = Dials(self._calls)
        app.conferences.directory = self._telnyx
        self._run: HandlerRun | None = None
        self._raised: BaseException | None = None

    @asynccontextmanager
    async def _placed(self) -> AsyncIterator[None]:
        async with self._calls.running():
            request = self._pair.carrier.request
            direction = "outgoing" if self._outgoing else "incoming"
            parties: dict[str, Any] = {
                "from": request.from_,
                "to": request.to,
                "direction": direction,
                "client_state": request.client_state,
            }
            headers = [{"name": name, "value": value} for name, value in self._headers.items()]
            state = "bridging" if self._outgoing else "parked"
            await self.event("call.initiated", **parties, state=state, sip_headers=headers or None)
            await self._clock.advance(0)
            if not self._outgoing:
                await self._until_decided()
            if self._outgoing or any(isinstance(command, Answer) for command in self.commands):
                self.answered = True
                await self.event("call.answered", **parties)
                if self._answered_by is not None:
                    await self.event("call.machine.premium.detection.ended", result=self._answered_by)
                await self._clock.advance(0)
                await self.connect()
                self.commands.clear()
                self.timeline.clear()
            await self.run(ms=1)
            yield
            await self.hang_up()

    async def _until_decided(self) -> None:
        """Let it ring until the application has decided."""
        end_ms = self._clock.now_ms() + DECIDED_MS_MAX
        while not self.commands and self._clock.now_ms() < end_ms:
            await self._clock.advance(5.0)

    async def run(self, ms: float) -> None:
        """Let `ms` of the call pass. What the handler raises, this raises."""
        end_ms = self._clock.now_ms() + ms
        while (now_ms := self._clock.now_ms()) < end_ms:
            due = [phone._pair.carrier.next_send_at_ms() for phone in self._phones if phone._driver is not None]  # noqa: SLF001
            next_ms = min((at_ms for at_ms in due if at_ms is not None), default=None)
            step_ms = FRAME_MS if next_ms is None else min(max(1.0, next_ms - now_ms), FRAME_MS)
            await self._clock.advance(min(step_ms, end_ms - now_ms))
            for phone in self._phones:
                phone._exchange()  # noqa: SLF001
            await self._clock.advance(0)
            self._raise()

    def party(self, number: str) -> Party:
        """The phone that was called last at this number, by `app.dial` or `call.consult`. Raises LookupError."""
        for party in reversed(self.parties):
            if party.number == number:
                return party
        raise LookupError(
            f"nobody has called {number}: called were {[party.number for party in self.parties] or 'none'}"
        )

    @property
    def parties(self) -> list[Party]:
        """Phones that were called by `app.dial` or `call.consult`, in order."""
        return list(self._telnyx.parties.values())

    @property
    def _phones(self) -> list[_Phone]:
        return [self, *self._telnyx.parties.values()]

    async def hang_up(self) -> None:
        """The caller hangs up: the handler is cancelled."""
        live = self._calls.live.get(SESSION)
        if live is not None and not live.session.ended:
            await self.event("call.hangup", hangup_cause="normal_clearing", hangup_source="caller")
            await self._telnyx.save_recordings()
            await self._telnyx.end_joined("normal_clearing", "caller")
            await self._telnyx.conference.leave(LEG)
        for _ in range(SETTLE_TURNS_MAX):
            await self._clock.advance(0)
            if live is None or live.application.is_done:
                break
        self._raise()

    async def speech(
        self, text: str, *, is_final: bool = True, confidence: float | None = 0.9, track: str | None = None
    ) -> None:
        """Telnyx has understood what was said; nothing happens unless the handler has the call transcribed."""
        if self._telnyx.transcribes:
            told = {"transcript": text, "is_final": is_final, "confidence": confidence, "transcription_track": track}
            await self.event("call.transcription", transcription_data=told)
            await self._clock.advance(0)

    async def guest_joins(self, leg: str = "guest") -> None:
        """Somebody else joins the conference that the call is in: a leg of the same session, without a sound."""
        await self._telnyx.conference.join(leg)
        await self._clock.advance(0)

    async def guest_leaves(self, leg: str = "guest") -> None:
        """A guest leaves the conference."""
        await self._telnyx.conference.leave(leg)
        await self._clock.advance(0)

    async def other_hangs_up(self) -> None:
        """The party to which the caller was transferred hangs up: Telnyx ends both legs, or parks the caller's."""
        await self._telnyx.end_other("normal_clearing", "callee")

    @property
    def returned(self) -> bool:
        """Whether the handler has returned by itself."""
        return any(isinstance(what, HandlerEnded) and not what.cancelled for what in self.timeline)

    # -----------------------------------------------------------------------------------------------------------------

    def _exchange(self) -> None:
        super()._exchange()
        live = self._calls.live.get(SESSION)
        if live is not None and live.application.run is not None:
            self._run = live.application.run

    @property
    def error(self) -> BaseException | None:
        """What the handler raised."""
        return self._run.error if self._run is not None else None

    def _raise(self) -> None:
        error = self.error
        if error is not None and error is not self._raised and self._context.app.error_handler is None:
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
            self._caller.timeline += [entry.what for entry in entries if entry.session == SESSION]
        return new


class _Socket:
    """Our side of the audio socket: what is sent is at the carrier at once."""

    writable = True

    def __init__(self, caller: _Phone) -> None:
        self._caller = caller

    def send(self, text: bytes) -> None:
        self._caller._pair.carrier.receive_text(text.decode(), self._caller._clock.now_ms())  # noqa: SLF001

    def close(self, code: int, reason: str) -> None:
        """The caller goes on listening: the call is over by another event."""

    def on_second(self, now_ms: float) -> None:
        """No ping is due."""


class _Telnyx:
    """Call Control without HTTP: accepts every command that it was not told to refuse, and tells what becomes of it."""

    def __init__(self, caller: _Phone, clock: ManualClock, refuse: Mapping[str, str]) -> None:
        self._caller = caller
        self._clock = clock
        self._refuse = refuse
        self._stops = asyncio.Event()
        """Set when what is spoken and played is to stop."""
        self._playing: asyncio.Event | None = None
        """Set when what was asked for last is over."""
        self._gathering: Command | None = None
        self._pressed = ""
        self._key = asyncio.Event()
        self._recorded: list[tuple[RecordStart, float]] = []
        """Recordings that run, with the time since when."""
        self._saved = 0
        self.transcribes = False
        self.parties: dict[CallControlId | None, Party] = {}
        """Phones that the application called, by call_control_id."""
        self.conference = _Conference(self)
        self._transfers = 0
        self._leg_b = ""
        """The leg to which the caller is transferred, while it lives."""
        self._joined = self._parks = False

    async def send(
        self,
        command: Command,
        call_control_id: CallControlId | None = None,
        *,
        conference: str | None = None,  # noqa: ARG002
        spent_ms: float = 0.0,  # noqa: ARG002
        is_over: Callable[[], bool] = lambda: False,  # noqa: ARG002
        on_retry: Callable[[Retry], None] = lambda _: None,  # noqa: ARG002
    ) -> CommandReply:
        """Carry out a command. Raises ControlError for one that is to be refused."""
        party = self.parties.get(call_control_id) if not isinstance(command, Dial) else None
        (party or self._caller).commands.append(command)
        if party is not None:
            if party.ended:
                raise self._refused(command, "90018", "the call has ended")
            if not isinstance(command, ConferenceCommand):
                self._spawn(party.run_command(command), command)
                return CommandReply(200, {}, 0.0, 1)
        code = self._refuse.get(command.entry_name)
        if code is not None:
            raise self._refused(command, code, "refused by the test")
        if isinstance(command, ConferenceCommand):
            assert call_control_id is not None, "a command of a conference goes through a call"
            return CommandReply(200, self.conference.receive_command(command, call_control_id), 0.0, 1)
        if isinstance(command, Dial):
            return CommandReply(200, {"data": self._dial(command)}, 0.0, 1)
        assert call_control_id is not None, "only a dial is about no call"
        self._spawn(self._tell(command, call_control_id), command)
        return CommandReply(200, {}, 0.0, 1)

    async def save_recordings(self) -> None:
        """Tell where Telnyx's recordings are: they were stopped, or the call has ended."""
        recorded, self._recorded = self._recorded, []
        for number, (command, began_ms) in enumerate(recorded, start=self._saved + 1):
            began = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=began_ms)
            lasted = timedelta(milliseconds=self._clock.now_ms() - began_ms)
            await self._caller.event(
                "call.recording.saved",
                recording_id=f"recording-{number}",
                channels=command.channels,
                format=command.format,
                recording_started_at=began.isoformat(),
                recording_ended_at=(began + lasted).isoformat(),
                recording_urls={command.format: f"https://recordings.example.com/{number}.{command.format}"},
                public_recording_urls={},
            )
        self._saved += len(recorded)

    @staticmethod
    def _refused(command: Command, code: str, detail: str) -> ControlError:
        return ControlError(
            f"{command.NAME} was refused: 422 {code}",
            command=command.NAME,
            command_id=command.command_id,
            status=422,
            code=code,
            detail=detail,
            retryable=False,
        )

    def _spawn(self, work: Coroutine[Any, Any, None], command: Command) -> None:
        self._caller._context.tasks.spawn(work, name=f"events of {command.NAME}")  # noqa: SLF001

    def _dial(self, command: Dial) -> dict[str, Any]:
        """A call of its own. One command_id is one call."""
        known = next((one for one in self.parties.values() if one.command.command_id == command.command_id), None)
        if known is None:
            leg = f"dialled-{len(self.parties) + 1}"
            to = command.to if isinstance(command.to, str) else command.to[0]
            caller = self._caller
            assert isinstance(caller, HandlerUnderTest), "all dials go to the network of the call under test"
            known = self.parties[CallControlId(f"v3:{leg}")] = Party(caller, command, to, leg)
            self._spawn(known.ring(), command)
        return {
            "call_control_id": known.call_control_id,
            "call_leg_id": known.leg,
            "call_session_id": known._session,  # noqa: SLF001
            "is_alive": False,
        }

    async def _bridge(self, command: Bridge) -> None:
        """Join the caller with a phone that was called. Each end of a leg ends the other, unless that is to be parked."""
        party = self.parties.get(CallControlId(command.call_control_id or ""))
        if party is None or party.ended:
            return
        party.joined_with = self._caller
        await party.event("call.bridged", client_state=party.command.client_state)
        await self._caller.event("call.bridged")

    def press(self, digit: str) -> None:
        """The caller pressed a key."""
        if self._gathering is not None:
            self._pressed += digit
            self._key.set()

    async def _tell(self, command: Command, addressed_to: CallControlId) -> None:
        event = self._caller.event
        match command:
            case Hangup() if addressed_to != self._caller._pair.carrier.request.call_control_id:  # noqa: SLF001
                await self.end_other("normal_clearing", "callee")
            case Hangup():
                await event("call.hangup", hangup_cause="normal_clearing", hangup_source="callee")
                await self.save_recordings()
                await self.end_joined("normal_clearing", "callee")
            case Reject():
                cause = "user_busy" if command.cause == "USER_BUSY" else "call_rejected"
                await event("call.hangup", hangup_cause=cause, hangup_source="callee")
            case Speak():
                await self._play("call.speak", SPEAK_MS_PER_CHAR * len(command.payload))
            case PlaybackStart():
                await self._play("call.playback", float("inf") if command.loop == "infinity" else PLAYBACK_MS)
            case PlaybackStop():
                self._stops.set()
                self._stops = asyncio.Event()
            case Gather() | GatherUsingSpeak() | GatherUsingAudio():
                await self._gather(command)
            case RecordStart():
                self._recorded.append((command, self._clock.now_ms()))
            case RecordPause() | RecordResume():
                pass
            case RecordStop():
                await self.save_recordings()
            case TranscriptionStart() | TranscriptionStop():
                self.transcribes = isinstance(command, TranscriptionStart)
            case StreamingStop():
                await self._caller.stop_stream()
            case Transfer():
                await self._transfer(command)
            case Bridge():
                await self._bridge(command)
            case Refer():
                await self._refer(command)
            case _:
                pass

    async def _play(self, name: str, duration_ms: float) -> None:
        """Speak or play, after what was asked for before."""
        stops = self._stops
        before, self._playing = self._playing, asyncio.Event()
        ours = self._playing
        if before is not None:
            await before.wait()
        if not stops.is_set():
            await self._caller.event(f"{name}.started")
            until_ms = None if duration_ms == float("inf") else self._clock.now_ms() + duration_ms
            await self._clock.wait(stops, until_ms)
        ours.set()
        if not self._caller.silent:
            status = "cancelled" if stops.is_set() and name == "call.playback" else "completed"
            await self._caller.event(f"{name}.ended", status=status)

    async def _gather(self, command: Gather | GatherUsingSpeak | GatherUsingAudio) -> None:
        self._gathering, self._pressed = command, ""
        terminator = "#" if command.terminating_digit is None else command.terminating_digit
        most = command.maximum_digits or 128
        wait_ms = float(command.inter_digit_timeout_millis or 5_000)
        status = "valid"
        while True:
            if terminator and terminator in self._pressed:
                self._pressed = self._pressed.partition(terminator)[0]
                break
            if len(self._pressed) >= most:
                break
            if not await self._clock.wait(self._key, self._clock.now_ms() + wait_ms):
                status = "valid" if len(self._pressed) >= (command.minimum_digits or 1) else "timeout"
                break
        self._gathering = None
        if not self._caller.silent:
            await self._caller.event("call.gather.ended", digits=self._pressed[:most], status=status)

    async def _transfer(self, command: Transfer) -> None:
        event, how = self._caller.event, self._caller.callees.get(command.to, "answers")
        self._leg_b = LEG_B if not self._transfers else f"leg-{self._transfers + 2}"
        self._transfers += 1
        leg = self._leg_b
        self._parks = command.park_after_unbridge is not None
        about = {"to": command.to, "direction": "outgoing", "client_state": command.target_leg_client_state}
        await event("call.initiated", leg=leg, state="bridging", **about)
        if how == "silent":
            return
        rings_ms = 1000 * (command.timeout_secs or 30) if how == "no_answer" else ANSWERS_AFTER_MS
        await self._clock.sleep_ms(rings_ms)
        if self._leg_b != leg:
            return
        if how in _HANGUPS:
            cause, sip_code = _HANGUPS[how]
            self._leg_b = ""
            about["sip_hangup_cause"] = sip_code
            await event("call.hangup", leg=leg, hangup_cause=cause, hangup_source="callee", **about)
            return
        self._joined = True
        await event("call.answered", leg=leg, **about)
        await event("call.bridged", leg=leg, client_state=command.target_leg_client_state)
        await event("call.bridged")
        if command.answering_machine_detection not in (None, "disabled"):
            await self._clock.sleep_ms(ANSWERS_AFTER_MS)
            result = "machine" if how == "machine" else "human_residence"
            about = {"client_state": command.target_leg_client_state}
            await event("call.machine.premium.detection.ended", leg=leg, result=result, **about)

    async def end_joined(self, cause: str, source: str) -> None:
        """The caller's leg is over: a phone that it was joined with is hung up."""
        for party in self.parties.values():
            if party.joined:
                await party.end(cause, source)

    async def _refer(self, command: Refer) -> None:
        how = self._caller.callees.get(command.sip_address, "answers")
        await self._caller.event("call.refer.started")
        if how == "silent":
            return
        await self._clock.sleep_ms(ANSWERS_AFTER_MS)
        if how in _HANGUPS:
            await self._caller.event("call.refer.failed", sip_notify_response=int(_HANGUPS[how][1]))
            return
        await self._caller.event("call.refer.completed", sip_notify_response=200)
        await self._clock.sleep_ms(ANSWERS_AFTER_MS)
        await self._caller.event("call.hangup", hangup_cause="normal_clearing", hangup_source="caller")

    async def end_other(self, cause: str, source: str) -> None:
        """The leg to which the caller was transferred ends, and with it the caller's, unless that one is to be parked."""
        leg, self._leg_b = self._leg_b, ""
        joined, self._joined = self._joined, False
        if not leg:
            return
        await self._caller.event("call.hangup", leg=leg, hangup_cause=cause, hangup_source=source)
        if joined and not self._parks:
            await self._caller.event("call.hangup", hangup_cause=cause, hangup_source=source)

    async def find_conference(self, name: str) -> Conference | None:
        """The conference of this name that a phone of the test has made."""
        row = self.conference.row
        return row if row is not None and row.name == name else None

    async def participants(self, conference: str) -> list[Participant]:  # noqa: ARG002
        """The phones in it, and the guests."""
        return self.conference.rows()

    async def call_events(self, session: SessionId) -> list[CallEvent]:  # noqa: ARG002
        """Nothing was missed."""
        return []

    async def call_status(self, call_control_id: CallControlId) -> CallStatus:
        """The line is up."""
        return CallStatus(
            call_control_id=call_control_id, call_leg_id=LegId(LEG), call_session_id=SESSION, is_alive=True
        )


class _Conference:
    """One conference at a time, of the phones of a test and of guests that have no sound."""

    def __init__(self, telnyx: _Telnyx) -> None:
        self._telnyx = telnyx
        self._made = 0
        self.row: Conference | None = None
        """The conference that goes on."""
        self._creator: _Phone = telnyx._caller  # noqa: SLF001
        self.inside: dict[str, CallControlId] = {}
        """Who is in it, by leg."""

    def receive_command(self, command: ConferenceCommand, sent_on: CallControlId) -> dict[str, Any]:
        """Carry it out. Returns the answer. Raises ControlError where Telnyx refuses."""
        leg = self._leg_of(getattr(command, "call_control_id", sent_on))
        match command:
            case ConferenceCreate():
                if self.row is not None and self.row.name == command.name:
                    raise self._refused(command, "90033")
                self._made += 1
                conference = f"conference-{self._made}"
                self.row = Conference(
                    id=conference, name=command.name, created_at="", expires_at="", status="in_progress"
                )
                self._creator = self._phone(leg)
                self._spawn(self._begin(leg), command)
                return {"data": {"id": conference, "name": command.name}}
            case _ if self.row is None:
                raise self._refused(command, "90019")
            case ConferenceJoin():
                if leg in self.inside:
                    raise self._refused(command, "90044")
                self._spawn(self.join(leg), command)
            case ConferenceLeave():
                if leg not in self.inside:
                    raise self._refused(command, "90015")
                self._spawn(self.leave(leg), command)
            case ConferenceEnd():
                self._spawn(self._end(), command)
            case ConferenceSpeak():
                duration_ms = SPEAK_MS_PER_CHAR * len(command.payload)
                self._spawn(self._play("speak", command.call_control_ids, duration_ms), command)
            case ConferencePlay():
                self._spawn(self._play("playback", command.call_control_ids, PLAYBACK_MS), command)
            case _:
                pass
        return {"data": {"result": "ok"}}

    def rows(self) -> list[Participant]:
        """Who is in it, as Telnyx lists it."""
        assert self.row is not None
        room = ConferenceName(id=self.row.id)
        return [
            Participant(id=leg, call_control_id=one, call_leg_id=LegId(leg), conference=room, status="joined")
            for leg, one in self.inside.items()
        ]

    async def join(self, leg: str) -> None:
        """A leg joins."""
        phone = self._phone(leg)
        self.inside[leg] = phone.call_control_id if phone.leg == leg else CallControlId(f"v3:{leg}")
        await self._event("conference.participant.joined", leg)

    async def leave(self, leg: str) -> None:
        """A leg leaves, and with the last one the conference ends."""
        if self.inside.pop(leg, None) is None:
            return
        await self._event("conference.participant.left", leg)
        if not self.inside and self.row is not None:
            await self._over()

    async def _begin(self, leg: str) -> None:
        await self._event("conference.created", leg)
        await self.join(leg)

    async def _end(self) -> None:
        """Everybody is hung up."""
        legs = list(self.inside)
        for leg in legs:
            self.inside.pop(leg)
            await self._event("conference.participant.left", leg)
        await self._over()
        for phone in {self._creator, *(self._phone(leg) for leg in legs)}:
            if isinstance(phone, Party):
                await phone.end("normal_clearing", "unknown")
            else:
                await phone.event("call.hangup", hangup_cause="time_limit")

    async def _over(self) -> None:
        await self._event("conference.ended", self._creator.leg, reason="all_left")
        self.row = None

    async def _play(self, kind: str, ids: list[str] | None, duration_ms: float) -> None:
        legs = [leg for leg, one in self.inside.items() if ids and one in ids]
        for step in ("started", "ended"):
            for leg in legs:
                await self._event(f"conference.participant.{kind}.{step}", leg)
            if not ids and self.row is not None:
                await self._creator.conference_event(f"conference.{kind}.{step}", self.row.id)
            if step == "started":
                await self._telnyx._clock.sleep_ms(duration_ms)  # noqa: SLF001

    async def _event(self, name: str, leg: str, **payload: Any) -> None:
        if self.row is not None:
            await self._phone(leg).event(name, leg=leg, conference_id=self.row.id, **payload)

    def _phone(self, leg: str) -> _Phone:
        """The phone of a leg; a guest's events come with the call under test."""
        parties = self._telnyx.parties.values()
        return next((party for party in parties if party.leg == leg), self._telnyx._caller)  # noqa: SLF001

    def _leg_of(self, call_control_id: CallControlId) -> str:
        parties = self._telnyx.parties.values()
        known = next((party.leg for party in parties if party.call_control_id == call_control_id), LEG)
        return next((leg for leg, one in self.inside.items() if one == call_control_id), known)

    def _refused(self, command: Command, code: str) -> ControlError:
        return self._telnyx._refused(command, code, "refused by the conference")  # noqa: SLF001

    def _spawn(self, work: Coroutine[Any, Any, None], command: Command) -> None:
        self._telnyx._spawn(work, command)  # noqa: SLF001


@contextmanager
def _timers_follow(clock: ManualClock) -> Iterator[None]:
    """Let `asyncio.timeout` and `asyncio.sleep` of the handler, and of the test, go by the call's time."""
    loop: Any = asyncio.get_running_loop()
    began_s, real = loop.time(), loop.time
    try:
        loop.time = lambda: began_s + clock.now_ms() / 1000
    except AttributeError:  # an event loop that is not Python's own: its timers go by real time
        yield
        return
    try:
        yield
    finally:
        loop.time = real


@asynccontextmanager
async def place_call(
    app: App,
    *,
    say: Pcm | None = None,
    encoding: Encoding = "PCMU",
    data_dir: Path = Path(),
    from_: str = "+15555550123",
    to: str = "+15555550199",
    direction: Literal["incoming", "outgoing"] = "incoming",
    client_state: str | None = None,
    handler: str | None = None,
    variables: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    answered_by: str | None = None,
    callees: Mapping[str, Callee] | None = None,
    custom_parameters: Mapping[str, str] | None = None,
    refuse: Mapping[str, str] | None = None,
) -> AsyncIterator[HandlerUnderTest]:
    """Enter the handler of `app` for one call that lasts as long as the block, or until the handler has ended it.

    What the handler raises, `run` and the end of the block raise, unless the App has an `@app.on_error`. Inside the
    block `asyncio.timeout` and
    `asyncio.sleep` go by the call's time, which passes only in `run`. `say` is what the caller says from the beginning,
    PCM at 8 kHz. `encoding` is the phone leg's. `client_state` is base64, as Telnyx repeats it. `headers` are SIP
    headers of the INVITE. `refuse` names commands that Telnyx refuses, with the code: `{"transfer": "10015"}`.
    `callees` says what becomes of phones that the caller is transferred or referred to, or that `app.dial` and
    `call.consult` call: `{"+15555550177": "busy"}`. A phone that was called is `caller.party("+15555550177")`: it presses
    keys, says and hears something, and hangs up.

    An `outgoing` call is one that was dialled and answered, for the handler named `handler`, with `variables`;
    `answered_by` is what answering machine detection finds (`human_residence`, `machine`, …). A call that
    `@app.incoming` does not answer has no stream: `caller.answered` is False, and `caller.commands` has what was sent.
    """
    if app.handler is None:
        raise LocalProtocolError("this App has no handler: decorate one with @app.call")
    if handler is not None or variables is not None:
        text = decode_client_state(client_state).text
        name = app.name_of(handler) if handler is not None else None
        client_state = encode_client_state(ClientState(text=text, handler=name, variables=dict(variables or {})))
    pair = Pair(
        encoding=encoding,
        raw=app.raw,
        from_=from_,
        to=to,
        client_state=client_state,
        custom_parameters=custom_parameters,
    )
    clock = ManualClock()
    caller = HandlerUnderTest(
        app,
        pair,
        clock,
        data_dir,
        refuse or {},
        callees=callees or {},
        outgoing=direction == "outgoing",
        answered_by=answered_by,
        headers=headers,
    )
    if say is not None:
        caller.say(say)
    try:
        with _timers_follow(clock):
            async with caller._placed():  # noqa: SLF001 (made here)
                yield caller
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
