"""Where the microseconds of one frame go, without the kernel: python bench/frame.py

The whole way, from the bytes that a transport hands over to the bytes that it is handed, through the built-in echo
handler; and its parts one by one. What is missing against `make bench` is the kernel's share, and cold caches.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

import uvloop
from websockets.utils import apply_mask

from callpath.api.app import App
from callpath.api.call import Call, CallFacts
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.jitter import JitterBuffer
from callpath.audio.pcm import as_pcm
from callpath.audio.resample import Resampler
from callpath.call.playout import Playout
from callpath.call.session import CallSession
from callpath.call.stream import MediaStream
from callpath.call.symptoms import Watch
from callpath.clock import SystemClock
from callpath.server.builtin import BUILTIN
from callpath.server.frames import FrameReader
from callpath.server.line import Carrier
from callpath.server.media import StreamDriver
from callpath.server.pacer import Pacer
from callpath.server.read_coalescer import ReadCoalescer
from callpath.server.socket import FrameSocket
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.media import Start, encode_media_utf8, read_audio

FRAMES = 20_000
PAYLOAD = bytes(range(256))[:160]
KEY = b"\x11\x22\x33\x44"


class Clock(SystemClock):
    """Stands where it is put."""

    at_ms = 0.0

    def now_ms(self) -> float:
        return self.at_ms

    def block_ms(self, duration_ms: float) -> None:
        """Time stands still."""


class Transport:
    """Takes everything, at once."""

    def write(self, data: bytes) -> None: ...

    def set_write_buffer_limits(self, **_limits: int) -> None: ...

    def set_protocol(self, _protocol: object) -> None: ...

    def is_closing(self) -> bool:
        return False


class Live:
    """What a driver needs of a call."""

    def __init__(self, app: App, clock: Clock) -> None:
        self.app, self.clock = app, clock
        self.call: Call | None = None
        self.stream: MediaStream | None = None
        self.session = CallSession(SessionId("s"))

    def socket_opened(self, *_: object) -> None: ...

    def note(self, _what: object, _at_unix_ms: int | None = None) -> None: ...

    def stream_started(self, start: Start, stream: MediaStream, carrier: Carrier) -> None:
        facts = CallFacts(SessionId("s"), CallControlId("c"), None, start.from_, start.to, None, None)
        backend: Any = self
        self.call = Call(facts, sample_rate_hz=self.app.sample_rate_hz, backend=backend, clock=self.clock)
        self.call.attach(stream, carrier)
        assert self.app.handler is not None
        self.task = asyncio.get_running_loop().create_task(self.app.handler(self.call))  # type: ignore[arg-type]


def text(chunk: int) -> bytes:
    return encode_media_utf8(PAYLOAD).replace(
        b'"media":{',
        f'"sequence_number":"{chunk + 1}","stream_id":"32de0dea-53cb-4b21-89a4-9e1819c043bc",'
        f'"media":{{"track":"inbound","chunk":"{chunk}","timestamp":"{20 * chunk}",'.encode(),
    )


def masked(message: bytes) -> bytes:
    return b"\x81\xfe" + len(message).to_bytes(2, "big") + KEY + apply_mask(message, KEY)


START = {"call_control_id": "c", "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1}}


async def whole_way(app: App, calls: int) -> float:
    """Microseconds for one frame in and one out, with `calls` calls in turn."""
    clock = Clock()
    pacer, coalescer = Pacer(clock), ReadCoalescer(clock)
    loop = asyncio.get_running_loop()
    sockets, lives = [], []
    for _ in range(calls):
        live: Any = Live(app, clock)
        live.stream = MediaStream()
        driver = StreamDriver(live, live.stream, clock, pacer, coalescer)
        transport: Any = Transport()
        socket = FrameSocket(transport, driver, set(), coalescer)
        driver.begin(socket)
        document = json.dumps({"event": "start", "sequence_number": "1", "start": START, "stream_id": "s"}).encode()
        loop.call_soon(socket.data_received, masked(document))
        sockets.append(socket)
        lives.append(live)
    await asyncio.sleep(0.05)
    frames = [masked(text(chunk)) for chunk in range(1, FRAMES // calls + 1)]
    done = loop.create_future()
    left = iter(frames)

    def turn(
        began: float,
    ) -> None:  # as the loop would: not within a task, and the handlers have theirs before the next
        data = next(left, None)
        if data is None:
            done.set_result((time.perf_counter() - began) / (len(frames) * calls) * 1e6)
            return
        clock.at_ms += 20.0
        for socket in sockets:
            socket.data_received(data)
        loop.call_soon(turn, began)

    gc.collect()
    loop.call_soon(lambda: turn(time.perf_counter()))
    us = await done
    for live in lives:
        live.task.cancel()
    return float(us)


def part(name: str, work: Callable[[int], object]) -> None:
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for number in range(1, FRAMES + 1):
            work(number)
        best = min(best, time.perf_counter() - began)
    print(f"{best / FRAMES * 1e6:8.2f}  {name}")


def main() -> None:
    wide = App()

    @wide.call(sample_rate_hz=16000)
    async def echo(call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)

    print("µs a frame pair, the whole way")
    for name, app, calls in (
        ("one call", BUILTIN["echo"](), 1),
        ("200 calls", BUILTIN["echo"](), 200),
        ("at 16 kHz", wide, 1),
    ):
        us = min(uvloop.run(whole_way(app, calls)) for _ in range(3))
        print(f"{us:8.2f}  {name}")

    reader, data = FrameReader(1 << 20), masked(text(1))
    message = text(1)
    decoder, encoder = open_decoder("PCMU", 8000), open_encoder("PCMU", 8000)
    audio = decoder.decode_bytes(PAYLOAD)
    jitter, playout, watch = [JitterBuffer()], Playout(), Watch("PCMU", 8000, "little")
    up, down = Resampler(8000, 16000), Resampler(16000, 8000)
    wide_pcm = up.push(as_pcm(audio))

    def in_order(number: int) -> None:
        if number == 1:
            jitter[0] = JitterBuffer()
            jitter[0].push(1, PAYLOAD, 0.0)
        else:
            jitter[0].passes(number)

    sent = [0.0]

    def paced(_number: int) -> None:
        sent[0] += 20.0
        if playout.may_send_at_once(20, sent[0]):
            playout.send_at_once(PAYLOAD, 20, sent[0])

    print("µs, part by part")
    reader.feed(data)  # from here on it knows the usual frame
    part("WebSocket frame to text (server/frames)", lambda _: reader.whole_text(data))
    part("text to payload (wire/media)", lambda _: read_audio(message))
    part("notice symptoms (call/symptoms)", lambda number: watch.frame(PAYLOAD, 20.0 * number))
    part("order (audio/jitter)", in_order)
    part("PCMU to PCM (audio/g711)", lambda _: decoder.decode_bytes(PAYLOAD))
    part("PCM to PCMU (audio/g711)", lambda _: encoder.encode_bytes(audio))
    part("pace (call/playout)", paced)
    part("payload to text (wire/media)", lambda _: encode_media_utf8(PAYLOAD))
    part("8 to 16 kHz (audio/resample)", lambda _: up.push(as_pcm(audio)))
    part("16 to 8 kHz (audio/resample)", lambda _: down.push(wide_pcm))


if __name__ == "__main__":
    main()
