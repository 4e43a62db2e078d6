"""WebSocket frames by hand (a library would refuse what the doctor must see), and several tries in a row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts import Ending, RepeatFacts, Try
from callpath.doctor.probes.channel import Channel
from callpath.doctor.probes.shapes import Shape
from callpath.doctor.probes.upgrade import Door

MESSAGE_BYTES_MAX = 4 << 20
"""30 s, the longest chunk Telnyx takes, of 48 kHz L16 is 3.8 MB in base64."""
TRIES = 4
"""With the stream before them, five in a row miss one dead backend of two with odds of 1 in 32."""
TRY_WAIT_MS = 120.0
"""How long a try listens for an early close: the far server's own round trip is already over."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10  # RFC 6455 5.2


@dataclass(frozen=True, slots=True)
class Frame:
    """One message or control frame. `fault` names a breach of RFC 6455 that a strict client closes for."""

    kind: Literal["text", "binary", "close", "ping", "pong", "broken"]
    content: bytes
    fault: str = ""

    @property
    def code(self) -> int | None:
        return int.from_bytes(self.content[:2], "big") if self.kind == "close" and len(self.content) >= 2 else None


class Socket:
    """A WebSocket after its 101: send texts, read messages; faults of the peer are frames of kind "broken"."""

    def __init__(self, channel: Channel, rest: bytes = b"") -> None:
        self._channel = channel
        self._buffer = rest
        self.ended: Literal["", "eof", "reset"] = ""
        self.unfinished = False
        """A message has begun, and not all of it is here."""

    async def send_text(self, text: str) -> None:
        await self._send(_TEXT, text.encode())

    async def send_ping(self, content: bytes) -> None:
        await self._send(_PING, content)

    async def send_pong(self, content: bytes) -> None:
        await self._send(_PONG, content)

    async def send_close(self, code: int = 1000) -> None:
        await self._send(_CLOSE, code.to_bytes(2, "big"))

    def abort(self) -> None:
        self._channel.abort()

    async def _send(self, opcode: int, content: bytes) -> None:
        mask = os.urandom(4)
        length = len(content)
        if length < 126:
            head = bytes([0x80 | opcode, 0x80 | length])
        elif length < 65_536:
            head = bytes([0x80 | opcode, 0x80 | 126]) + length.to_bytes(2, "big")
        else:
            head = bytes([0x80 | opcode, 0x80 | 127]) + length.to_bytes(8, "big")
        key = (mask * (length // 4 + 1))[:length]
        masked = (
            (int.from_bytes(content, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big") if length else b""
        )
        await self._channel.send(head + mask + masked)

    async def frames(self) -> AsyncIterator[Frame]:
        """All that comes until the connection ends; `ended` then says how."""
        message = b""
        kind: Literal["text", "binary"] | None = None
        while True:
            self.unfinished = kind is not None
            head = await self._take(2)
            if head is None:
                return
            self.unfinished = True
            final, reserved, opcode = bool(head[0] & 0x80), head[0] & 0x70, head[0] & 0x0F
            masked, length = bool(head[1] & 0x80), head[1] & 0x7F
            if length >= 126:
                more = await self._take(2 if length == 126 else 8)
                if more is None:
                    return
                length = int.from_bytes(more, "big")
            fault = ""
            if reserved:
                fault = "a reserved bit is set"
                if reserved == 0x40 and opcode in {_TEXT, _BINARY} and not masked:
                    content = await self._take(length)
                    if content is not None and _inflates(content):
                        fault = "a message is compressed although no extension was agreed"
            elif opcode not in {_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG}:
                fault = f"unknown opcode {opcode}"
            elif masked:
                fault = "a frame from the server is masked"
            elif opcode >= _CLOSE and (length > 125 or not final):
                fault = "a control frame is too long or in pieces"
            elif length + len(message) > MESSAGE_BYTES_MAX:
                fault = f"a message of {length} bytes"
            elif opcode == _CONTINUATION and kind is None:
                fault = "a continuation without a beginning"
            elif opcode in {_TEXT, _BINARY} and kind is not None:
                fault = "a new message inside another"
            if fault:
                yield Frame("broken", head, fault)
                return
            content = await self._take(length)
            if content is None:
                return
            if opcode == _CLOSE:
                code = int.from_bytes(content[:2], "big") if len(content) >= 2 else None
                wrong = len(content) == 1 or (code is not None and (code < 1000 or code in {1004, 1005, 1006, 1015}))
                yield Frame("close", content, "a close frame with a code that may not be sent" if wrong else "")
                return
            if opcode == _PING:
                yield Frame("ping", content)
                continue
            if opcode == _PONG:
                yield Frame("pong", content)
                continue
            if opcode != _CONTINUATION:
                kind = "text" if opcode == _TEXT else "binary"
                message = b""
            message += content
            if final:
                assert kind is not None
                wrong_text = False
                if kind == "text":
                    try:
                        message.decode("utf-8")
                    except UnicodeDecodeError:
                        wrong_text = True
                if wrong_text:
                    yield Frame("broken", message[:64], "a text message that is not UTF-8")
                    return
                yield Frame(kind, message)
                kind, message = None, b""

    async def _take(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            try:
                content = await self._channel.receive()
            except (OSError, ssl.SSLError):
                self.ended = "reset"
                return None
            if not content:
                self.ended = "eof"
                return None
            self._buffer += content
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


def _inflates(content: bytes) -> bool:
    """Whether that is a message of permessage-deflate (RFC 7692 7.2.2: the tail is left out)."""
    try:
        return bool(zlib.decompressobj(-15).decompress(content + b"\x00\x00\xff\xff", 65_536))
    except zlib.error:
        return False


async def probe_repeats(
    door: Door,
    timeout_ms: float,
    opening: tuple[str, ...],
    budget_ms: float,
    tries_max: int = TRIES,
    listen_ms: float = TRY_WAIT_MS,
) -> RepeatFacts:
    """Upgrade again and again in the carrier's shape, over every address in turn, one after another.

    `opening` are the texts that a carrier sends first; a server that dislikes the call closes on them.
    """
    started_ms = door.clock.now_ms()
    tries: list[Try] = []
    for number in range(tries_max):
        at_ms = door.clock.now_ms() - started_ms
        if at_ms > budget_ms or not door.room or door.limited_at:
            break
        shape = Shape(name=f"try {number + 1}", address=door.addresses[number % len(door.addresses)])
        exchange, channel, rest = await door.ask(shape, timeout_ms)
        ending = None
        if channel is not None:
            try:
                if exchange.upgraded:
                    ending = await _listen_shortly(Socket(channel, rest), opening, door, listen_ms)
            finally:
                channel.abort()
        tries.append(Try(at_ms=at_ms, exchange=exchange, ending=ending))
    return RepeatFacts(tries=tuple(tries))


async def _listen_shortly(socket: Socket, opening: tuple[str, ...], door: Door, listen_ms: float) -> Ending:
    started_ms = door.clock.now_ms()
    try:
        for text in opening:
            await socket.send_text(text)
        async with asyncio.timeout(listen_ms / 1000):
            async for frame in socket.frames():
                if frame.kind == "close":
                    return Ending(
                        by="peer", kind="close-frame", code=frame.code, reason=_reason(frame), after="start",
                        at_ms=door.clock.now_ms() - started_ms,
                    )  # fmt: skip
    except TimeoutError:
        with contextlib.suppress(OSError, ssl.SSLError):
            await socket.send_close()
        return Ending(by="us", kind="close-frame", code=1000, at_ms=door.clock.now_ms() - started_ms)
    except (OSError, ssl.SSLError):
        pass
    kind: Literal["eof", "reset"] = "eof" if socket.ended == "eof" else "reset"
    return Ending(by="peer", kind=kind, after="start", at_ms=door.clock.now_ms() - started_ms)


def _reason(frame: Frame) -> str:
    return frame.content[2:].decode("utf-8", "replace")
