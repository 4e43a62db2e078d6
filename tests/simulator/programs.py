"""Programs that speak to Telnyx, each right or with one defect, for the table in `test_verdict`.

A program is a webhook handler and a WebSocket handler. They run in the test's own process, on one server: `/NAME/hook`,
`/NAME/ws`, `/NAME/texml`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import tone
from callpath.audio.wav import read_wav
from callpath.clock import SystemClock, Wake
from callpath.simulator.link import Fault, parse_fault
from callpath.simulator.simulator import Simulator, hello_wav
from callpath.wire.command import Encoding
from callpath.wire.document import Json

STREAM: Json = {
    "stream_track": "inbound_track",
    "stream_bidirectional_mode": "rtp",
    "stream_bidirectional_codec": "PCMU",
    "stream_bidirectional_target_legs": "self",
}
SILENCE = b"\xff" * 160
DECODER, ENCODER = open_decoder("PCMU", 8000), open_encoder("PCMU", 8000)


def speech(sample_rate_hz: int = 8000) -> Any:
    """What a bot says: 3.6 s of a voice."""
    pcm, rate_hz = read_wav(hello_wav())
    return resample_file_audio(pcm, rate_hz, sample_rate_hz)


def pieces(data: bytes, size: int = 160) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data) - size + 1, size)]


def media(payload: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}})


STALL_MS_MAX, SLICE_MS = 100.0, 20.0


class SteadyClock(SystemClock):
    """The machine's clock without its stalls: of a gap between two readings 100 ms count.

    Programs and simulator share one process, so a machine that is busy elsewhere holds both of them up alike, and no case
    of the table depends on it.
    """

    def __init__(self) -> None:
        self._now_ms = self._read_at_ms = super().now_ms()

    def now_ms(self) -> float:
        real_ms = super().now_ms()
        self._now_ms += min(real_ms - self._read_at_ms, STALL_MS_MAX)
        self._read_at_ms = real_ms
        return self._now_ms

    async def sleep_ms(self, duration_ms: float) -> None:
        await self.wait(asyncio.Event(), self.now_ms() + duration_ms)

    async def wait(self, wake: asyncio.Event | Wake, until_ms: float | None) -> bool:
        while True:
            left_ms = SLICE_MS if until_ms is None else min(SLICE_MS, until_ms - self.now_ms())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left_ms) / 1000):
                    await wake.wait()
            if wake.is_set():
                wake.clear()
                return True
            if until_ms is not None and self.now_ms() >= until_ms:
                return False


Hook = Callable[["Program", Json], Awaitable[Response | None]]
Talk = Callable[["Program", WebSocket], Awaitable[None]]


@dataclass
class Program:
    """One running program. A test makes a new one for each call, and tells it where Telnyx and itself are."""

    hook: Hook
    talk: Talk
    telnyx: Simulator = field(init=False)
    base: str = field(init=False)
    http: httpx2.AsyncClient = field(init=False)
    key: str | None = None
    """The Authorization header; None: the right one."""
    calls: int = 0
    words: dict[str, str] = field(default_factory=dict)
    """Filled into stream URLs: the address of its socket, and the ports."""

    @property
    def ws(self) -> str:
        return f"{self.base.replace('http', 'ws')}/ws"

    async def post(self, path: str, body: Json, method: str = "POST") -> int:
        """One request to the API; `path` stands below the host."""
        root = self.telnyx.api_base.removesuffix("/v2")
        key = f"Bearer {self.telnyx.api_key}" if self.key is None else self.key
        headers = {"authorization": key} if key else {}
        with contextlib.suppress(httpx2.HTTPError):
            return (await self.http.request(method, f"{root}{path}", json=body, headers=headers)).status_code
        return 0

    async def act(self, event: Json, name: str, body: Json | None = None) -> int:
        return await self.post(f"/v2/calls/{quote(event['payload']['call_control_id'])}/actions/{name}", body or {})

    async def place(self, body: Json) -> None:
        """Dial; `path` in the body is where the request goes instead."""
        usual = {"connection_id": self.telnyx.options.connection_id, "from": "+15555550199", "to": "+15555550123"}
        given = {key: value.format(**self.words) if isinstance(value, str) else value for key, value in body.items()}
        path = given.pop("path", "/v2/calls")
        await self.post(path, usual | given)

    async def receive(self, request: Request) -> Response:
        event = json.loads(await request.body())["data"]
        self.calls += 1
        return await self.hook(self, event) or Response()

    async def serve(self, websocket: WebSocket) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self.talk(self, websocket)


# --- webhook handlers -------------------------------------------------------------------------------------------------


def answering(answer: Json | None = None, stream: Json | None = None, *, url: str | None = None) -> Hook:
    """Answer, then streaming_start. `answer` and `stream` change the bodies; a stream without fields asks for nothing."""

    async def hook(program: Program, event: Json) -> None:
        kind = event["event_type"]
        if kind == "call.initiated" and event["payload"]["direction"] == "incoming":
            await program.act(event, "answer", answer)
        elif kind == "call.answered" and stream != {}:
            where = (url or "{ws}").format(**program.words)
            await program.act(event, "streaming_start", STREAM | {"stream_url": where} | (stream or {}))

    return hook


def on_answer(*commands: tuple[str, Json], delay_s: float = 0.0, then: tuple[str, str] | None = None) -> Hook:
    """Answer; after the answer these commands. `then`: on that event, that command."""

    async def hook(program: Program, event: Json) -> None:
        kind = event["event_type"]
        if kind == "call.initiated" and event["payload"]["direction"] == "incoming":
            await program.act(event, "answer")
        elif kind == "call.answered":
            await asyncio.sleep(delay_s)
            for name, body in commands:
                url = {"stream_url": program.ws} if name == "streaming_start" else {}
                await program.act(event, name, url | body)
        elif then is not None and kind == then[0]:
            await program.act(event, then[1])

    return hook


def replying(status: int, on: str = "call.initiated", headers: dict[str, str] | None = None) -> Hook:
    """Answer one event with this status and do nothing; all others as `answering` does."""
    usual = answering()

    async def hook(program: Program, event: Json) -> Response | None:
        if event["event_type"] == on:
            return Response(status_code=status, headers=headers)
        await usual(program, event)
        return None

    return hook


async def nothing(_program: Program, _event: Json) -> None:
    """Take every event and do nothing."""


def requesting(method: str, path: str, body: Json | None = None) -> Hook:
    """On call.initiated one request to a path, in which {id}, {leg}, {session} and {event} are filled in."""

    async def hook(program: Program, event: Json) -> None:
        if event["event_type"] != "call.initiated":
            return
        payload = event["payload"]
        ids = {
            "id": quote(payload["call_control_id"]),
            "twice": quote(quote(payload["call_control_id"])),
            "leg": payload["call_leg_id"],
            "session": payload["call_session_id"],
            "event": event["id"],
        }
        await program.post(path.format(**ids), body or {}, method)

    return hook


async def rejecting(program: Program, event: Json) -> None:
    if event["event_type"] == "call.initiated":
        await program.act(event, "reject", {"cause": "USER_BUSY"})


# --- WebSocket handlers -----------------------------------------------------------------------------------------------


def echo(
    change: Callable[[bytes, int], bytes | str | list[str] | None] = lambda payload, _: payload,
    *,
    after: Callable[[Program, WebSocket, int], Awaitable[None]] | None = None,
) -> Talk:
    """Send every packet back, changed: bytes become a media frame, texts go as they are, None nothing."""

    async def talk(program: Program, websocket: WebSocket) -> None:
        await websocket.accept()
        count = 0
        async for text in websocket.iter_text():
            message = json.loads(text)
            if message["event"] != "media" or message["media"]["track"] != "inbound":
                continue
            count += 1
            out = change(base64.b64decode(message["media"]["payload"]), count)
            if isinstance(out, bytes):
                await websocket.send_text(media(out))
            for one in [out] if isinstance(out, str) else out if isinstance(out, list) else []:
                await websocket.send_text(one)
            if after is not None:
                await after(program, websocket, count)

    return talk


def sending(*texts: str | bytes, start: str = "start") -> Talk:
    """Send these once the stream has started, as fast as they go, then only listen. Bytes go as binary messages."""

    async def talk(_program: Program, websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if json.loads(text)["event"] == start:
                for one in texts:
                    await (websocket.send_text(one) if isinstance(one, str) else websocket.send_bytes(one))

    return talk


def closing(code: int, reason: str = "", *, on: str = "start", packets: int = 0) -> Talk:
    """Close at that event, or after so many packets that were sent back."""

    async def talk(_program: Program, websocket: WebSocket) -> None:
        await websocket.accept()
        count = 0
        async for text in websocket.iter_text():
            message = json.loads(text)
            if message["event"] == on and not packets:
                await websocket.close(code, reason)
                return
            if message["event"] == "media":
                count += 1
                await websocket.send_text(media(base64.b64decode(message["media"]["payload"])))
                if packets and count >= packets:
                    await websocket.close(code, reason)
                    return

    return talk


async def refusing(_program: Program, websocket: WebSocket) -> None:
    """No socket for anybody: starlette answers 403."""
    await websocket.close()


async def never(_program: Program, _websocket: WebSocket) -> None:
    """Answer the upgrade later than anybody waits."""
    await asyncio.sleep(2)


async def binary(_program: Program, websocket: WebSocket) -> None:
    """Send the bytes themselves back."""
    await websocket.accept()
    async for text in websocket.iter_text():
        message = json.loads(text)
        if message["event"] == "media":
            await websocket.send_bytes(base64.b64decode(message["media"]["payload"]))


def commanding(name: str, body: Json | None = None, *, at: int, closes: bool = False) -> Any:
    """After so many packets, one command; then close the socket."""

    async def after(program: Program, websocket: WebSocket, count: int) -> None:
        if count == at:
            call = next(one for one in program.telnyx.calls if one.call.state == "answered")
            event = {"payload": {"call_control_id": call.call.leg.call_control_id}}
            if closes:
                await websocket.close(1000)
            await program.act(event, name, body)

    return after


# --- payloads ---------------------------------------------------------------------------------------------------------


def rtp(payload: bytes, count: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, count & 0xFFFF, count * 160, 7) + payload


def as_pcm(payload: bytes, _count: int) -> bytes:
    return DECODER.decode(payload).astype("<i2").tobytes()


def as_pcm_24k(payload: bytes, _count: int) -> bytes:
    return np.repeat(DECODER.decode(payload), 3).astype("<i2").tobytes()


def at_16k(payload: bytes, _count: int) -> bytes:
    return bytes(ENCODER.encode(np.repeat(DECODER.decode(payload), 2)))


def swapped(payload: bytes, _count: int) -> bytes:
    return np.frombuffer(payload, "<i2").astype(">i2").tobytes()


def twilio(payload: bytes) -> str:
    text = base64.b64encode(payload).decode()
    return json.dumps({"event": "media", "streamSid": "MZ1", "media": {"track": "outbound", "payload": text}})


def with_keepalive(payload: bytes, count: int) -> list[str]:
    return [media(payload), *(['{"event":"keepalive"}'] if count % 10 == 0 else [])]


def play_audio(payload: bytes, _count: int) -> str:
    return json.dumps({"event": "playAudio", "media": {"payload": base64.b64encode(payload).decode()}})


def flat(payload: bytes, _count: int) -> str:
    return json.dumps({"event": "media", "payload": base64.b64encode(payload).decode()})


def greeting_then_nothing(_payload: bytes, count: int) -> bytes | None:
    return voice() if count == 1 else None


def with_comfort_noise() -> list[bytes]:
    """A sentence of 0.6 s, and hiss at -38 dBFS before and after it."""
    hiss = np.random.default_rng(5).normal(0, 32768 * 10 ** (-38 / 20), 8000 * 3)
    hiss[8000 : 8000 + 4800] += speech()[2000:6800]
    return pieces(bytes(ENCODER.encode(np.clip(hiss, -32768, 32767).astype(np.int16))))


RANDOM = random.Random(7)


def noise(_payload: bytes, _count: int) -> bytes:
    return RANDOM.randbytes(160)


def wrapped(how: Callable[[str], str]) -> Callable[[bytes, int], str]:
    """A media frame whose payload text is changed."""

    def change(payload: bytes, _count: int) -> str:
        return json.dumps({"event": "media", "media": {"payload": how(base64.b64encode(payload).decode())}})

    return change


def voice(*, encoding: Encoding = "PCMU", sample_rate_hz: int = 8000) -> bytes:
    """The bot's sentence in an encoding of Telnyx's."""
    encoder = open_encoder(encoding, sample_rate_hz)
    framer = Framer(encoder.sample_rate_hz // 50)
    return b"".join(encoder.encode(frame) for frame in framer.push(speech(encoder.sample_rate_hz)))


def paced(payloads: list[bytes]) -> Talk:
    """Send these in real time, one every 20 ms, by the caller's own packets."""
    left = list(payloads)
    return echo(lambda _payload, count: left[count - 1] if count <= len(left) else None)


def wav_file() -> bytes:
    return Path(hello_wav()).read_bytes()


def tones() -> list[bytes]:
    pcm = np.concatenate([tone(one, duration_ms=500) for one in (262, 330, 392, 523)])
    return pieces(bytes(ENCODER.encode(pcm)))


def fault(text: str) -> Fault:
    return parse_fault(text)
