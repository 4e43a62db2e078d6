"""The socket on the bare transport, with a peer that goes away or does not read. (Whole calls over it: test_media.py.)"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.utils import apply_mask

from callpath.clock import ManualClock
from callpath.server.frames import Opcode, encode_frame
from callpath.server.read_coalescer import ReadCoalescer
from callpath.server.socket import CLOSE_WAIT_MS, PING_EVERY_MS, FrameSocket
from callpath.timeline import SocketClosed

KEY = b"\x01\x02\x03\x04"


class Receiver:
    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.rooms = 0
        self.how: asyncio.Future[SocketClosed] = asyncio.get_running_loop().create_future()

    def receive_text(self, text: bytes) -> None:
        self.texts.append(text)

    def receive_binary(self) -> None:
        raise AssertionError("nobody sends binary here")

    def room(self) -> None:
        self.rooms += 1

    def lost(self, how: SocketClosed) -> None:
        self.how.set_result(how)


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[FrameSocket, Receiver, socket.socket]]:
    """Our socket, what it calls, and the peer's end of the connection."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    theirs.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    receiver = Receiver()
    connections: set[Any] = set()
    with theirs:
        yield (
            FrameSocket(transport, receiver, connections, ReadCoalescer(ManualClock())),
            receiver,
            theirs,
        )
        transport.abort()
        await receiver.how

        assert connections == set()


async def read(peer: socket.socket, length: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < length:
        piece = await asyncio.get_running_loop().sock_recv(peer, length - len(data))
        assert piece, "closed too early"
        data += piece
    return data


async def test_a_peer_that_went_silent_is_pinged_then_closed_then_cut_off() -> None:
    """A phone network that lost its route sends no goodbye. Without this the call would be alive for ever."""
    async with joined() as (ours, receiver, peer):
        ours.on_second(0)
        ours.on_second(PING_EVERY_MS)
        ping = await read(peer, 2)
        ours.on_second(2 * PING_EVERY_MS)
        close = await read(peer, 4)
        ours.on_second(2 * PING_EVERY_MS + 1000)  # from here on it waits for an answer
        ours.on_second(2 * PING_EVERY_MS + 1000 + CLOSE_WAIT_MS)
        how = await receiver.how

    assert ping == encode_frame(Opcode.PING, b"")
    assert (close[0], close[2:4]) == (0x88, (1011).to_bytes(2, "big"))
    assert (how.code, how.by) == (1011, "us")


async def test_whoever_sends_anything_lives() -> None:
    """An answer to the ping, or a frame of audio, which comes fifty times a second anyway."""
    async with joined() as (ours, receiver, peer):
        ours.on_second(0)
        for number, frame in enumerate((b"\x8a\x80" + KEY, b"\x81\x82" + KEY + apply_mask(b"{}", KEY)), 1):
            ours.on_second(number * PING_EVERY_MS)
            await read(peer, 2)
            peer.send(frame)
            await asyncio.sleep(0)
            while not (receiver.texts or number == 1):
                await asyncio.sleep(0)
            for _ in range(10):  # a pong calls nobody
                await asyncio.sleep(0)
        ours.on_second(3 * PING_EVERY_MS)
        ping = await read(peer, 2)

        assert ping == encode_frame(Opcode.PING, b"")
        assert receiver.texts == [b"{}"]
        assert not receiver.how.done()


async def test_a_peer_that_does_not_read_is_waited_for() -> None:
    """What it does not take stays in the playout, where a clear still reaches it, and not in a growing buffer; when it
    reads again, everything comes, in order."""
    async with joined() as (ours, receiver, peer):
        sent: list[bytes] = []
        while ours.writable:
            sent.append(b"%06d" % len(sent) + b"x" * 300)
            ours.send(sent[-1])
            assert len(sent) * 310 < 1_000_000, "it takes everything"
        rooms_before = receiver.rooms
        arrived = await read(peer, sum(len(encode_frame(Opcode.TEXT, text)) for text in sent))

        assert rooms_before == 0
        assert b"".join(encode_frame(Opcode.TEXT, text) for text in sent) == arrived
        while not receiver.rooms:
            await asyncio.sleep(0)
        assert ours.writable
        assert receiver.rooms == 1


async def test_pongs_do_not_pile_up_for_a_peer_that_does_not_read() -> None:
    """A million pings of his would else be a hundred megabytes of ours."""
    async with joined() as (ours, _, peer):
        while ours.writable:
            ours.send(b"x" * 1000)
        before = ours._transport.get_write_buffer_size()
        for _ in range(1000):
            ours.data_received(b"\x89\xfd" + KEY + b"p" * 125)

        assert before == ours._transport.get_write_buffer_size()
        assert peer.fileno() > 0
