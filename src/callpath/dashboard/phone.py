"""The browser as a phone: its microphone becomes the caller of a Telnyx simulator, which calls the user's own App.

Nothing is taken a short cut: signed webhooks, Call Control commands, the media WebSocket and the codec of a phone leg are
those of a real call; only the way from the ear to Telnyx is a WebSocket of ours.

    browser → us    {"type": "call", …} first, then PCM16 little-endian mono as binary, press, faults, ping, hangup
    us → browser    ringing, streaming, status, ended, pong; and what the ear hears as binary, in the same form
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath.audio.codec import Decoder, Encoder, open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.level import FLOOR_DBFS, level_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.resample import RATE_HZ_MAX, RATE_HZ_MIN, Resampler
from callpath.audio.tone import find_delay_ms
from callpath.clock import Clock
from callpath.dashboard.door import Door, PhoneCodec
from callpath.dashboard.masking import mask_text
from callpath.errors import CallpathError
from callpath.simulator.caller import Caller
from callpath.simulator.carrier import PACKET_MS, CarrierStream
from callpath.simulator.link import FAULTS, Fault, Frame
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator

PHONE_NUMBER = "+15555550100"
CALLED_NUMBER = "+15555550199"
"""Numbers of fiction: nobody has them."""

PHONES_MAX = 4
CALL_MS_MAX = 1_800_000.0
"""Half an hour; the simulator remembers no more of what was heard."""

START_MS_MAX = 10_000.0
PREFILL_PACKETS = 2
"""Silence put before speech that begins anew, so that a browser which delivers unevenly is not chopped up."""

LEAD_MS_MAX = 240.0
"""More of the microphone than this never waits: what comes late is dropped, since delay would only add up."""

CHUNK_BYTES_MAX = 192_000
STATUS_MS = 100.0
ECHO_EVERY = 10
"""Each so many statuses, what was heard is laid over what was said."""

ECHO_S = 3
ECHO_LIKENESS_MIN = 0.5
VOICE_DBFS = -42.0
PAUSE_MS = 240.0
"""A voice that was silent for so long has finished; between words it is shorter."""


# --- what the browser says --------------------------------------------------------------------------------------------


class Knobs(msgspec.Struct, tag_field="type", tag="faults"):
    """What the network does to the caller's audio, on its way from Telnyx to the server. May change in mid-call."""

    delay_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    jitter_ms: Annotated[float, msgspec.Meta(ge=0, le=500)] = 0.0
    loss_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    swap_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0


class Order(msgspec.Struct, tag_field="type", tag="call"):
    """Place a call. `rate_hz` is that of the browser's audio, both ways; `fault` one of the simulator's by name."""

    encoding: PhoneCodec = "PCMU"
    rate_hz: Annotated[int, msgspec.Meta(ge=RATE_HZ_MIN, le=RATE_HZ_MAX)] = 48_000
    fault: str | None = None
    knobs: Knobs = msgspec.field(default_factory=Knobs)


class Press(msgspec.Struct, tag_field="type", tag="press"):
    """Press keys."""

    digits: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-D*#]{1,32}$")]


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Say the same back."""

    at: float


class HangUp(msgspec.Struct, tag_field="type", tag="hangup"):
    """Put the phone down."""


_orders = msgspec.json.Decoder(Order | Press | Ping | HangUp | Knobs)


# --- the network -------------------------------------------------------------------------------------------------------


@dataclass
class Weather(Fault):
    """Delay, jitter, loss and disorder of the caller's audio, as the knobs stand at this moment."""

    knobs: Knobs = field(default_factory=Knobs)
    NAME = "weather"
    _due_ms: float = field(default=0.0, init=False, repr=False)

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        knobs = self.knobs
        if '"event":"media"' not in frame.text:  # the encoder writes no spaces
            return [frame._replace(at_ms=max(frame.at_ms, self._due_ms))]
        if rng.random() * 100 < knobs.loss_percent:
            return []
        # One TCP connection keeps the order of what it carries: a late frame holds up those behind it.
        self._due_ms = max(self._due_ms, frame.at_ms + knobs.delay_ms + rng.random() * knobs.jitter_ms)
        overtaken = rng.random() * 100 < knobs.swap_percent
        return [frame._replace(at_ms=self._due_ms + (OVERTAKEN_MS if overtaken else 0.0))]


OVERTAKEN_MS = 1.25 * PACKET_MS
"""So much later, a frame comes after the one behind it."""


# --- the two ends of the wire ------------------------------------------------------------------------------------------


class Mouth:
    """The microphone, made into packets of the stream."""

    def __init__(self, stream: CarrierStream, rate_hz: int) -> None:
        media_format = stream.request.media_format
        self._stream = stream
        self._encoder: Encoder = open_encoder(media_format.encoding, media_format.sample_rate)
        self._resampler = Resampler(rate_hz, self._encoder.sample_rate_hz)
        self._framer = Framer(self._encoder.sample_rate_hz * PACKET_MS // 1000)
        self._silence = self._encoder.silence(PACKET_MS)
        self._until_ms = 0.0
        self.dropped_ms = 0.0

    def lead_ms(self, now_ms: float) -> float:
        """How much of the microphone waits to be sent."""
        return max(0.0, self._until_ms - now_ms)

    @property
    def sample_rate_hz(self) -> int:
        """Of what `push` returns."""
        return self._encoder.sample_rate_hz

    def push(self, pcm: Pcm, now_ms: float) -> list[tuple[float, Pcm]]:
        """Speak on. Returns what was said now, and when it goes out."""
        spoken = self._framer.push(self._resampler.push(pcm))
        if not spoken:
            return []
        frames = [self._encoder.encode(frame) for frame in spoken]
        lead_ms = self.lead_ms(now_ms)
        if lead_ms > LEAD_MS_MAX:
            self.dropped_ms += PACKET_MS * len(frames)
            return []
        pause = [self._silence] * PREFILL_PACKETS if lead_ms == 0.0 else []
        begins_ms = self._stream.say(pause + frames) + PACKET_MS * len(pause)
        self._until_ms = begins_ms + PACKET_MS * len(frames)
        return [(begins_ms + PACKET_MS * number, frame) for number, frame in enumerate(spoken)]


class Ear:
    """What reached the caller's ear, as the browser plays it."""

    def __init__(self, stream: CarrierStream, rate_hz: int) -> None:
        request = stream.request
        self._stream = stream
        self._decoder: Decoder = open_decoder(request.codec, request.sample_rate_hz)
        self._resampler = Resampler(self._decoder.sample_rate_hz, rate_hz)
        self._taken = 0

    @property
    def sample_rate_hz(self) -> int:
        """Of what `take` returns."""
        return self._decoder.sample_rate_hz

    def take(self) -> list[tuple[float, Pcm]]:
        """What is new since the last time, and when it was heard."""
        fresh = self._stream.heard[self._taken :]
        self._taken += len(fresh)
        return [(at_ms, self._decoder.decode(payload)) for at_ms, payload in fresh]

    def for_browser(self, pieces: list[tuple[float, Pcm]]) -> Pcm:
        """The same at the browser's rate."""
        return np.concatenate([self._resampler.push(pcm) for _, pcm in pieces])


class Turns:
    """How long the bot takes to answer: from the end of what the caller said to the first sound of the bot."""

    def __init__(self) -> None:
        self.answer_ms: float | None = None
        self._spoke_at_ms: float | None = None
        self._heard_at_ms: float | None = None
        self._waiting = False

    def said(self, level: float, now_ms: float) -> None:
        if level >= VOICE_DBFS:
            self._spoke_at_ms, self._waiting = now_ms, True

    def heard(self, level: float, now_ms: float) -> None:
        if level < VOICE_DBFS:
            return
        quiet = self._heard_at_ms is None or now_ms - self._heard_at_ms > PAUSE_MS
        self._heard_at_ms = now_ms
        if quiet and self._waiting and self._spoke_at_ms is not None and now_ms - self._spoke_at_ms >= PAUSE_MS:
            self.answer_ms, self._waiting = now_ms - self._spoke_at_ms, False


class Trace:
    """The last seconds of one side at 8 kHz, each piece at its time, to find the echo in."""

    def __init__(self, rate_hz: int) -> None:
        self._resampler = Resampler(rate_hz, 8000)
        self._audio = np.zeros(8000 * ECHO_S, np.int16)
        self._end = 0

    def place(self, pcm: Pcm, at_ms: float) -> None:
        """Put a piece where it belongs."""
        audio = self._resampler.push(pcm)
        start = round(at_ms * 8)
        self._move_on(start + audio.size)
        at = self._audio.size - (self._end - start)
        if at >= 0:
            self._audio[at : at + audio.size] = audio

    def until(self, now_ms: float) -> Pcm:
        """The last seconds before `now_ms`."""
        self._move_on(round(now_ms * 8))
        return self._audio.copy()

    def _move_on(self, end: int) -> None:
        gone = min(max(0, end - self._end), self._audio.size)
        if gone:
            self._audio[:-gone] = self._audio[gone:]
            self._audio[-gone:] = 0
        self._end = max(end, self._end)


# --- the call ----------------------------------------------------------------------------------------------------------

_phones: set[WebSocket] = set()
"""In use, in this process."""


async def answer_phone(websocket: WebSocket, door: Door, *, masked: bool) -> None:
    """Serve one browser phone from its order to the end of its call."""
    await websocket.accept()
    if len(_phones) >= PHONES_MAX:
        await _end(websocket, f"{PHONES_MAX} browser phones are in use already: hang one up first")
        return
    _phones.add(websocket)
    try:
        async with asyncio.timeout(START_MS_MAX / 1000):
            order = _orders.decode(await websocket.receive_text())
        if not isinstance(order, Order):
            raise msgspec.ValidationError("the first message must be a call")
        if order.fault is not None and order.fault not in FAULTS:
            raise msgspec.ValidationError(f"there is no fault {order.fault[:40]!r}; known: {', '.join(FAULTS)}")
        await _PhoneCall(websocket, door, order, masked=masked).run()
    except (WebSocketDisconnect, TimeoutError):
        return
    except (msgspec.DecodeError, KeyError) as error:
        await _end(websocket, f"this is no order of a phone: {error}")
    except CallpathError as error:
        await _end(websocket, str(error))
    finally:
        _phones.discard(websocket)


async def _end(websocket: WebSocket, failure: str) -> None:
    await websocket.send_json({"type": "ended", "failure": failure, "session": None, "hangup_cause": None})
    await websocket.close(1000)


class _PhoneCall:
    def __init__(self, websocket: WebSocket, door: Door, order: Order, *, masked: bool) -> None:
        self._websocket = websocket
        self._door = door
        self._order = order
        self._masked = masked
        self._clock: Clock = door.clock
        self._knobs = order.knobs
        self._mouth: Mouth | None = None
        self._turns = Turns()
        self._said: Trace
        self._heard: Trace
        self._said_level = FLOOR_DBFS
        self._heard_level = FLOOR_DBFS
        self._echo: dict[str, float] | None = None
        self._gone = False
        self._tasks: asyncio.TaskGroup

    async def run(self) -> None:
        order = self._order
        options = CarrierOptions(leg_codec=order.encoding)
        async with Simulator(options=options) as telnyx, self._door.serve_for(telnyx, order.encoding) as webhook_url:
            telnyx.webhook_url = webhook_url
            faults: list[Fault | str] = [Weather(self._knobs), *([order.fault] if order.fault else [])]
            caller = await telnyx.call(PHONE_NUMBER, CALLED_NUMBER, faults=faults)
            session = caller.call.leg.call_session_id
            await self._tell({"type": "ringing", "session": session})
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                listening = tasks.create_task(self._listen(caller), name="listen to the browser")
                speaking = tasks.create_task(self._speak(caller), name="speak to the browser")
                await caller.until(lambda: caller.call.state == "ended", CALL_MS_MAX)
                if caller.call.state != "ended":
                    await caller.hangup()
                await caller.ended()
                listening.cancel()
                speaking.cancel()
            if not self._gone:
                await self._tell(self._last_word(caller))
                await self._send(self._websocket.close(1000))

    def _last_word(self, caller: Caller) -> dict[str, Any]:
        hangup = caller.call.hangup
        failure = caller.failure
        return {
            "type": "ended",
            "session": caller.call.leg.call_session_id,
            "failure": mask_text(failure) if failure and self._masked else failure,
            "hangup_cause": hangup.hangup_cause if hangup else None,
        }

    async def _listen(self, caller: Caller) -> None:
        try:
            while True:
                message = await self._websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect
                if message.get("bytes"):
                    self._hear_browser(message["bytes"])
                elif message.get("text"):
                    await self._obey(message["text"], caller)
        except WebSocketDisconnect:
            self._gone = True
            await caller.hangup()

    async def _obey(self, text: str, caller: Caller) -> None:
        try:
            order = _orders.decode(text)
        except msgspec.DecodeError:
            return  # a page of another version: what it wants is not known here
        match order:
            case Press():
                self._tasks.create_task(caller.press(order.digits), name="press keys")
            case Ping():
                await self._tell({"type": "pong", "at": order.at})
            case Knobs():
                for name in Knobs.__struct_fields__:
                    setattr(self._knobs, name, getattr(order, name))
            case HangUp():
                await caller.hangup()
            case _:
                pass

    def _hear_browser(self, data: bytes) -> None:
        pcm = np.frombuffer(data[: min(len(data), CHUNK_BYTES_MAX) // 2 * 2], "<i2")
        now_ms = self._clock.now_ms()
        if self._mouth is not None and pcm.size:
            for at_ms, frame in self._mouth.push(pcm, now_ms):
                self._said.place(frame, at_ms)
            self._said_level = max(self._said_level, level_dbfs(pcm))
            self._turns.said(level_dbfs(pcm), now_ms)

    async def _speak(self, caller: Caller) -> None:
        """What the ear hears, every packet; levels and times ten times a second."""
        await caller.until(lambda: caller.call.stream is not None and caller.call.stream.opened, CALL_MS_MAX)
        stream = caller.call.stream
        if stream is None:
            return
        ear = Ear(stream, self._order.rate_hz)
        self._mouth = Mouth(stream, self._order.rate_hz)
        self._said, self._heard = Trace(self._mouth.sample_rate_hz), Trace(ear.sample_rate_hz)
        request = stream.request
        codec = {"encoding": request.media_format.encoding, "rate_hz": request.media_format.sample_rate}
        await self._tell({"type": "streaming", **codec})
        status_at_ms, statuses = self._clock.now_ms(), 0
        while True:
            now_ms = self._clock.now_ms()
            if pieces := ear.take():
                for at_ms, pcm in pieces:
                    self._heard.place(pcm, at_ms)
                heard = ear.for_browser(pieces)
                level = level_dbfs(heard)
                self._heard_level = max(self._heard_level, level)
                self._turns.heard(level, now_ms)
                await self._send_audio(heard)
            if now_ms >= status_at_ms:
                status_at_ms, statuses = now_ms + STATUS_MS, statuses + 1
                if statuses % ECHO_EVERY == 0:
                    await self._find_echo(now_ms)
                await self._tell(self._status(caller, now_ms))
                self._said_level = self._heard_level = FLOOR_DBFS
            await self._clock.sleep_ms(PACKET_MS)

    async def _find_echo(self, now_ms: float) -> None:
        said, heard = self._said.until(now_ms), self._heard.until(now_ms)
        loud = level_dbfs(said) > VOICE_DBFS and level_dbfs(heard) > VOICE_DBFS
        match = await asyncio.to_thread(find_delay_ms, said, heard, 8000) if loud else None
        if match is not None and match.correlation >= ECHO_LIKENESS_MIN:
            self._echo = {"delay_ms": round(match.delay_ms), "likeness": round(match.correlation, 3)}

    def _status(self, caller: Caller, now_ms: float) -> dict[str, Any]:
        assert self._mouth is not None
        counters = caller.stream
        return {
            "type": "status",
            "said_dbfs": round(self._said_level, 1),
            "heard_dbfs": round(self._heard_level, 1),
            "echo": self._echo,
            "answer_ms": self._turns.answer_ms,
            "waiting_ms": round(self._mouth.lead_ms(now_ms)),
            "dropped_ms": round(self._mouth.dropped_ms),
            "frames_out": counters.frames_out,
            "frames_in": counters.frames_in,
            "clears": counters.clears_in,
        }

    async def _send_audio(self, pcm: Pcm) -> None:
        await self._send(self._websocket.send_bytes(pcm.astype("<i2").tobytes()))

    async def _tell(self, document: dict[str, Any]) -> None:
        await self._send(self._websocket.send_json(document))

    async def _send(self, sending: Coroutine[Any, Any, None]) -> None:
        """A browser that has gone is noticed by the one that listens to it; the call ends there."""
        try:
            await sending
        except (WebSocketDisconnect, RuntimeError):
            self._gone = True
