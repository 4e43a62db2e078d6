"""RFC 6455 for a server, sans I/O: bytes of a client in, its messages out; our messages in, bytes out.

Only what a media socket needs, and quick at the one thing that comes 50 times a second on every call: a whole masked
text of some 300 bytes. No extensions (deflate costs 40 KiB a socket, and base64 audio hardly shrinks).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from websockets.exceptions import ProtocolError
from websockets.frames import Close as CloseFrame

from callpath.private_api import apply_mask


class Opcode(IntEnum):
    """What a frame is (RFC 6455, 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@dataclass(frozen=True, slots=True)
class Control:
    """A frame that is no text: binary message, ping, pong or close. For a close, `code` is the peer's, 1005 if none."""

    opcode: Opcode
    body: bytes
    code: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """The client broke the protocol: close with `code`. Nothing after it can be read."""

    code: int
    reason: str


Item: TypeAlias = bytes | Control | Violation
"""A text message is its plain bytes."""

_FIN, _MASKED = 0x80, 0x80
_WHOLE_TEXT = _FIN | Opcode.TEXT
_CONTROL_BYTES_MAX = 125


class FrameReader:
    """One client's side of one connection. Messages longer than `message_bytes_max` are a violation (1009)."""

    def __init__(self, message_bytes_max: int) -> None:
        self._bytes_max = message_bytes_max
        self._rest = b""
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._pieces_opcode: Opcode | None = None
        self._broken = False
        self._usual_head = b""
        self._usual_bytes = 0

    def whole_text(self, data: bytes) -> bytes | None:
        """The quick way, for what nearly every read brings: the text, if `data` is one frame of the length of the last.

        None: nothing was taken; give it to `feed`.
        """
        if data[:4] != self._usual_head or len(data) != self._usual_bytes:
            return None
        text = apply_mask(data[8:], data[4:8])
        return text if text.isascii() else None

    def feed(self, data: bytes) -> list[Item]:
        """What is whole now, in order. Keeps the rest, which is bounded by the largest message."""
        if self._rest:
            data = self._rest + data
        items: list[Item] = []
        at, end = 0, len(data)
        while end - at >= 6 and not self._broken:  # no masked frame is shorter
            second = data[at + 1]
            length, body = second & 0x7F, at + 6
            if length == 126:
                if end - at < 8:
                    break
                length, body = data[at + 2] << 8 | data[at + 3], at + 8
            elif length == 127:
                if end - at < 14:
                    break
                length, body = int.from_bytes(data[at + 2 : at + 10], "big"), at + 14
            if not second & _MASKED or length + self._pieces_bytes > self._bytes_max:
                items.append(self._refused(second, length))
                break
            stop = body + length
            if stop > end:
                break
            payload = apply_mask(data[body:stop], data[body - 4 : body])
            if data[at] == _WHOLE_TEXT and self._pieces_opcode is None and payload.isascii():
                items.append(payload)
            else:
                items += self._take(data[at], payload)
            at = stop
        self._rest = data[at:] if at < end and not self._broken else b""
        self._learn_usual(data, items)
        return items

    def _learn_usual(self, data: bytes, items: list[Item]) -> None:
        """Frames of one stream are all of one length, until a counter in them has one digit more."""
        clean = not (self._rest or self._broken or self._pieces_opcode)
        if clean and len(items) == 1 and data[0] == _WHOLE_TEXT and data[1] == _MASKED | 126:
            self._usual_head, self._usual_bytes = data[:4], len(data)
        elif not clean:
            self._usual_head, self._usual_bytes = b"", 0

    def _refused(self, second: int, length: int) -> Violation:
        if not second & _MASKED:
            return self._violation(1002, "a client's frames must be masked")
        return self._violation(1009, f"a message of {length + self._pieces_bytes} bytes; {self._bytes_max} are taken")

    def _take(self, first: int, payload: bytes) -> list[Item]:
        """Anything but a whole ASCII text."""
        final = bool(first & _FIN)
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            return [self._violation(1002, f"opcode {first & 0x0F} is reserved")]
        if first & 0x70:
            return [self._violation(1002, "a reserved bit is set, and no extension was agreed on")]
        if opcode >= Opcode.CLOSE:
            return self._take_control(opcode, final, payload)
        if (opcode is Opcode.CONTINUATION) != (self._pieces_opcode is not None):
            return [self._violation(1002, "fragments out of order")]
        if opcode is not Opcode.CONTINUATION:
            self._pieces_opcode = opcode
        if payload:  # empty ones are free, and would be kept without end
            self._pieces.append(payload)
            self._pieces_bytes += len(payload)
        if not final:
            return []
        message, kind = b"".join(self._pieces), self._pieces_opcode
        self._pieces, self._pieces_bytes, self._pieces_opcode = [], 0, None
        if kind is Opcode.BINARY:
            return [Control(Opcode.BINARY, message)]
        try:
            message.decode()
        except UnicodeDecodeError:
            return [self._violation(1007, "a text that is not UTF-8")]
        return [message]

    def _take_control(self, opcode: Opcode, final: bool, payload: bytes) -> list[Item]:
        if not final or len(payload) > _CONTROL_BYTES_MAX:
            return [self._violation(1002, "a control frame must be whole and short")]
        if opcode is not Opcode.CLOSE:
            return [Control(opcode, payload)]
        try:
            close = CloseFrame.parse(payload)
        except ProtocolError:
            return [self._violation(1002, "a close frame that makes no sense")]
        except UnicodeDecodeError:
            return [self._violation(1007, "a close frame whose reason is not UTF-8")]
        self._broken = True  # nothing may follow a close
        return [Control(Opcode.CLOSE, payload, close.code, close.reason)]

    def _violation(self, code: int, reason: str) -> Violation:
        self._broken = True
        return Violation(code, reason)


def encode_frame(opcode: Opcode, body: bytes) -> bytes:
    """A whole frame of ours; a server's frames are not masked."""
    length = len(body)
    if length < 126:
        return bytes((_FIN | opcode, length)) + body
    if length < 1 << 16:
        return struct.pack("!BBH", _FIN | opcode, 126, length) + body
    return struct.pack("!BBQ", _FIN | opcode, 127, length) + body


def encode_close(code: int, reason: str) -> bytes:
    """A close frame; the reason is cut to what fits."""
    text = reason.encode()[: _CONTROL_BYTES_MAX - 2].decode(errors="ignore").encode()
    return encode_frame(Opcode.CLOSE, struct.pack("!H", code) + text)
