"""A server written by hand on bare sockets: canned answers, and handshakes and frames that no library would let out.

    python -m tests.lab.backends.odd_server --host 127.0.0.1 --port 443 --mode answer --answer FILE [--cert FILE --key FILE]

FILE is a whole HTTP response; lengths are counted here. `--fails N` plays the answer N times and then works.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import functools
import gzip
import hashlib
import itertools
import json
import socket
import ssl
import struct
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass
class Request:
    """The upgrade request as it came."""

    first: str
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def accept(self) -> str:
        key = self.headers.get("sec-websocket-key", "")
        return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()

    @property
    def is_upgrade(self) -> bool:
        return "sec-websocket-key" in self.headers


Mode = Callable[[StreamReader, StreamWriter, Request], Awaitable[None]]
MODES: dict[str, Mode] = {}


def mode(function: Mode) -> Mode:
    MODES[function.__name__.replace("_", "-")] = function
    return function


async def read_request(reader: StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, OSError):
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first, headers)


def response(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if not status.startswith("101"):
        lines += [f"Content-Length: {len(body)}", "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def switching(request: Request, *more: str, accept: str | None = None) -> bytes:
    return response(
        "101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept or request.accept}",
        *more,
    )


def frame(opcode: int, payload: bytes, *, first_bits: int = 0x80, mask: bool = False) -> bytes:
    head = bytes([first_bits | opcode])
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([flag | len(payload)])
    else:
        head += bytes([flag | 126]) + struct.pack(">H", len(payload))
    if not mask:
        return head + payload
    key = b"\x11\x22\x33\x44"
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


async def read_frame(reader: StreamReader) -> tuple[int, bytes]:
    first, second = await reader.readexactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack(">H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack(">Q", await reader.readexactly(8))
    key = await reader.readexactly(4) if second & 0x80 else bytes(4)
    payload = await reader.readexactly(size)
    return first & 0x0F, bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


Shape = Callable[[bytes], bytes]


PLAIN = functools.partial(frame, TEXT)


async def echo(reader: StreamReader, writer: StreamWriter, shape: Shape = PLAIN) -> None:
    """Answer media with media; `shape` makes the frame's bytes from its text."""
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == CLOSE:
            writer.write(frame(CLOSE, payload[:2]))
            return
        if opcode == PING:
            writer.write(frame(PONG, payload))
        if opcode == TEXT:
            message = json.loads(payload)
            if message["event"] == "media":
                text = json.dumps({"event": "media", "media": {"payload": message["media"]["payload"]}})
                writer.write(shape(text.encode()))
                await writer.drain()


async def until_media(reader: StreamReader) -> None:
    while True:
        opcode, payload = await read_frame(reader)
        if opcode == TEXT and json.loads(payload)["event"] == "media":
            return


async def swallow(reader: StreamReader) -> None:
    while await reader.read(65536):
        pass


# --- right, in unusual ways ---


@mode
async def right(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await echo(reader, writer)


@mode
async def right_lower_case(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    lines = (
        "upgrade: WebSocket",
        "connection: keep-alive, upgrade",
        f"sec-websocket-accept: {request.accept}",
        "server: tiny",
    )
    writer.write(response("101 Web Socket Protocol Handshake", *lines))
    await echo(reader, writer)


@mode
async def right_at_railway(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """With the headers of Railway's edge."""
    edge = ("Server: railway-edge", "X-Railway-Edge: railway/us-west2", "X-Railway-Request-Id: dddddddddddddddddddddd")
    writer.write(switching(request, *edge))
    await echo(reader, writer)


@mode
async def right_at_cloudflare(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """With the headers of Cloudflare's edge, and a balancer's cookie."""
    cookie = "Set-Cookie: AWSALB=abc; Expires=Mon, 30 Nov 2026 10:00:00 GMT; Path=/"
    writer.write(switching(request, "Server: cloudflare", "CF-RAY: 8c1234567890abcd-AMS", cookie))
    await echo(reader, writer)


@mode
async def right_in_pieces(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """The answer comes in many small packets."""
    answer = switching(request)
    for at in range(0, len(answer), 7):
        writer.write(answer[at : at + 7])
        await writer.drain()
        await asyncio.sleep(0.005)
    await echo(reader, writer)


@mode
async def right_with_greeting(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """The first frame rides in the same packet as the 101."""
    text = json.dumps({"event": "media", "media": {"payload": base64.b64encode(bytes(range(90, 250))).decode()}})
    writer.write(switching(request) + frame(TEXT, text.encode()))
    await echo(reader, writer)


@mode
async def right_fragmented(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Each message in three fragments with a ping in between, as the standard allows."""

    def in_three(text: bytes) -> bytes:
        return (
            frame(TEXT, text[:20], first_bits=0)
            + frame(0, text[20:50], first_bits=0)
            + frame(PING, b"still here")
            + frame(0, text[50:])
        )

    writer.write(switching(request))
    await echo(reader, writer, in_three)


# --- no answer, or one that is not HTTP ---


@mode
async def hang(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    await swallow(reader)


@mode
async def hang_on_upgrade(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Plain requests are answered; the upgrade never is: an `upgrade` listener that forgets to."""
    if request.is_upgrade:
        await swallow(reader)
        return
    writer.write(response("200 OK", "Content-Type: application/json", body=b'{"status":"ok"}'))


@mode
async def close_without_answer(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    pass


@mode
async def close_on_upgrade(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    if not request.is_upgrade:
        writer.write(response("200 OK", "Content-Type: application/json", body=b'{"status":"ok"}'))


@mode
async def reset_without_answer(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    reset(writer)


def reset(writer: StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@mode
async def half_an_answer(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConn")
    await swallow(reader)


@mode
async def not_http(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(b"-ERR unknown command 'GET', with args beginning with: \r\n")


# --- handshakes that a client must refuse ---


@mode
async def accept_wrong(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """The GUID mistyped, as in many first tries."""
    wrong = base64.b64encode(hashlib.sha1((request.headers["sec-websocket-key"] + GUID[:-1]).encode()).digest())
    writer.write(switching(request, accept=wrong.decode()))
    await echo(reader, writer)


@mode
async def accept_canned(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """The value from the RFC's example, as a mock or a cache would answer."""
    writer.write(switching(request, accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    await echo(reader, writer)


@mode
async def accept_missing(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(response("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"))
    await echo(reader, writer)


@mode
async def upgrade_missing(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    accept = f"Sec-WebSocket-Accept: {request.accept}"
    writer.write(response("101 Switching Protocols", "Connection: Upgrade", accept))
    await echo(reader, writer)


@mode
async def connection_missing(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    accept = f"Sec-WebSocket-Accept: {request.accept}"
    writer.write(response("101 Switching Protocols", "Upgrade: websocket", accept))
    await echo(reader, writer)


@mode
async def upgrade_to_h2c(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(response("101 Switching Protocols", "Upgrade: h2c", "Connection: Upgrade"))
    await swallow(reader)


@mode
async def status_200_with_upgrade(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    accept = f"Sec-WebSocket-Accept: {request.accept}"
    writer.write(response("200 OK", "Upgrade: websocket", "Connection: Upgrade", accept))
    await swallow(reader)


@mode
async def extension_forced(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Compression is switched on without having been offered."""
    writer.write(switching(request, "Sec-WebSocket-Extensions: x-lab-recording; level=3"))
    await echo(reader, writer)


@mode
async def subprotocol_forced(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request, "Sec-WebSocket-Protocol: audio.v1"))
    await echo(reader, writer)


@mode
async def compressed_101(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """An optimiser treats the upgraded stream as a body to be compressed."""
    writer.write(switching(request, "Content-Encoding: gzip"))
    squeeze = functools.partial(gzip.compress, mtime=0)
    await echo(reader, writer, lambda text: squeeze(frame(TEXT, text)))


@mode
async def chunked_101(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """A proxy in between puts the stream into chunks."""

    def chunk(text: bytes) -> bytes:
        body = frame(TEXT, text)
        return f"{len(body):x}\r\n".encode() + body + b"\r\n"

    writer.write(switching(request, "Transfer-Encoding: chunked"))
    await echo(reader, writer, chunk)


@mode
async def version_8(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(response("426 Upgrade Required", "Sec-WebSocket-Version: 8", "Upgrade: websocket"))


@mode
async def key_rejected(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(
        response("400 Bad Request", "Content-Type: text/plain", body=b"Sec-WebSocket-Key1 and Key2 are required\n")
    )


@mode
async def http_1_0(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    body = b"<html><body>It works!</body></html>"
    writer.write(b"HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6\r\nContent-Type: text/html\r\n\r\n" + body)


@mode
async def agent_required(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Lets browsers in and nobody else."""
    if "mozilla" in request.headers.get("user-agent", "").lower():
        await right(reader, writer, request)
        return
    writer.write(response("403 Forbidden", "Content-Type: text/plain", body=b"Automated requests are not allowed.\n"))


# --- frames that a client must refuse, and endings ---


@mode
async def half_open(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """101, and then nobody is there: nothing is read, no ping is answered."""
    writer.write(switching(request))
    await writer.drain()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


@mode
async def eof_after_101(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))


@mode
async def reset_after_101(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await writer.drain()
    await until_media(reader)
    reset(writer)


@mode
async def eof_after_media(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await until_media(reader)


@mode
async def masks(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await echo(reader, writer, functools.partial(frame, TEXT, mask=True))


@mode
async def reserved_bits(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Sends compressed-looking frames although no extension was agreed."""
    writer.write(switching(request))
    await echo(reader, writer, functools.partial(frame, TEXT, first_bits=0xC0))


@mode
async def reserved_opcode(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await echo(reader, writer, functools.partial(frame, 3))


@mode
async def bad_continuation(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    writer.write(switching(request))
    await echo(reader, writer, functools.partial(frame, 0))


@mode
async def bad_utf8(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Raw audio in text frames."""
    writer.write(switching(request))
    await echo(reader, writer, lambda text: frame(TEXT, b"\xff\xfe\x80\xd5" * 40))


@mode
async def bad_close_code(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """Sends 1006, which must never stand on the wire."""
    writer.write(switching(request))
    await until_media(reader)
    writer.write(frame(CLOSE, struct.pack(">H", 1006)))
    await swallow(reader)


@mode
async def prints_into_socket(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """A debug line goes into the stream instead of the log."""
    writer.write(switching(request))
    await until_media(reader)
    writer.write(b"DEBUG media received\n" * 10)
    await swallow(reader)


@mode
async def http_after_101(reader: StreamReader, writer: StreamWriter, request: Request) -> None:
    """The framework's own handler answers too, into the upgraded socket."""
    late = response("404 Not Found", "Content-Type: text/html", body=b"Cannot GET /api/calls")
    writer.write(switching(request) + late)
    await swallow(reader)


# --- canned answers, and servers that change their mind ---


@dataclass
class Canned:
    """Plays one answer; for the first `fails` requests, or each second one, or for seconds from the first request."""

    answer: bytes
    fails: int | None = None
    alternate: bool = False
    seconds: float | None = None
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    begin: float | None = None

    def fails_now(self) -> bool:
        number = next(self.numbers)
        if self.begin is None:
            self.begin = time.monotonic()
        if self.seconds is not None:
            return time.monotonic() - self.begin < self.seconds
        if self.alternate:
            return number % 2 == 1
        return self.fails is None or number < self.fails

    async def __call__(self, reader: StreamReader, writer: StreamWriter, request: Request) -> None:
        if self.fails_now():
            writer.write(self.answer)
        else:
            await right(reader, writer, request)


def whole(path: Path) -> bytes:
    """The file's response with line ends and a length as HTTP wants them."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    lines = head.split(b"\n")
    lines += [b"Content-Length: %d" % len(body), b"Connection: close"]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def serve(reader: StreamReader, writer: StreamWriter, *, behave: Mode) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
        request = await read_request(reader)
        if request is not None:
            sys.stdout.write(request.first + "\n")
            await behave(reader, writer, request)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--mode", default="right", choices=[*sorted(MODES), "answer"])
    parser.add_argument("--answer", type=Path)
    parser.add_argument("--fails", type=int)
    parser.add_argument("--alternate", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    arguments = parser.parse_args()
    behave: Mode
    if arguments.mode == "answer":
        behave = Canned(whole(arguments.answer), arguments.fails, arguments.alternate, arguments.seconds)
    else:
        behave = MODES[arguments.mode]
    tls = None
    if arguments.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.cert, arguments.key)
    server = await asyncio.start_server(
        functools.partial(serve, behave=behave), arguments.host, arguments.port, ssl=tls
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
