"""Small ends of connections for the doctor's tests."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.message
import dns.rcode
import dns.rrset

from callpath.wire.media import Media, encode_media, parse_message

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def closed_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def serving(handler: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """`handler` on a free port of 127.0.0.1; connections are dropped at the end."""
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()
        await server.wait_closed()


def saying(answer: bytes) -> Handler:
    """Reads one request's head and says `answer`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return handle


def accept_of(head: bytes) -> str:
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
    assert found is not None
    return base64.b64encode(hashlib.sha1(found.group(1) + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def upgrading(then: Handler) -> Handler:
    """Answers the upgrade rightly, and goes on with `then`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Sec-WebSocket-Key" not in head:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        writer.write(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(head)}\r\n\r\n".encode()
        )
        await writer.drain()
        await then(reader, writer)

    return handle


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """(opcode, content) of one masked frame."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    mask = await reader.readexactly(4)
    content = await reader.readexactly(length)
    return head[0] & 0x0F, bytes(byte ^ mask[index % 4] for index, byte in enumerate(content))


def frame(opcode: int, content: bytes) -> bytes:
    size = bytes([len(content)]) if len(content) < 126 else b"\x7e" + len(content).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + content


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Media frames come back as a program would send them; pings are answered."""
    while True:
        opcode, content = await read_frame(reader)
        if opcode == 9:
            writer.write(frame(10, content))
        elif opcode == 8:
            writer.write(frame(8, content))
            return
        elif isinstance(message := parse_message(content), Media):
            writer.write(frame(1, encode_media(message.payload).encode()))


class Names(asyncio.DatagramProtocol):
    """A name server with one answer for A; AAAA is empty."""

    def __init__(self, rcode: int, *addresses: str) -> None:
        self._rcode = rcode
        self._addresses = addresses

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, content: bytes, sender: tuple[str, int]) -> None:
        question = dns.message.from_wire(content)
        answer = dns.message.make_response(question)
        answer.set_rcode(dns.rcode.Rcode(self._rcode))
        name = question.question[0].name
        if question.question[0].rdtype == 1 and self._addresses:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", *self._addresses))
        self._transport.sendto(answer.to_wire(), sender)
