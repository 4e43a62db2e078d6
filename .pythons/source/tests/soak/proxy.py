"""A TCP proxy that breaks connections on purpose: reset, half-open, frozen, partitioned, one byte at a time.

async with FaultProxy(port) as proxy:
    ...                      # connect to proxy.port
    proxy.freeze()
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Self

CHUNK = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends RST


class FaultProxy:
    """Carries connections to `to_port` on this machine, until told otherwise."""

    def __init__(self, to_port: int) -> None:
        self.drip = False
        """Every byte is sent by itself."""
        self._to_port = to_port
        self._links: set[_Link] = set()
        self._open = asyncio.Event()
        self._open.set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def held_by_server(self) -> int:
        """Connections that the server has not let go."""
        return sum(not link.ended_by_server for link in self._links)

    def reset(self) -> None:
        """Both ends get RST, as from a box on the way that has forgotten the connection."""
        for link in self._links:
            for writer in (link.to_client, link.to_server):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                writer.transport.abort()

    def half_open(self) -> None:
        """The client is gone, and nobody tells the server."""
        for link in self._links:
            link.flows.clear()
            link.to_client.transport.abort()

    def freeze(self) -> None:
        """What is connected stands still in both directions."""
        for link in self._links:
            link.flows.clear()

    def partition(self) -> None:
        """The same, and who connects anew gets no answer either."""
        self._open.clear()
        self.freeze()

    def heal(self) -> None:
        """What was held up comes now."""
        self._open.set()
        for link in self._links:
            link.flows.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self._links.copy():
            link.flows.set()
            link.to_client.transport.abort()
            link.to_server.transport.abort()
        while self._links:
            await asyncio.sleep(0)
        await self._server.wait_closed()

    async def _carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        await self._open.wait()
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._to_port)
        for writer in (to_client, to_server):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(to_client, to_server)
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(link, from_client, to_server))
                tasks.create_task(self._watch(link, from_server, to_client))
        finally:
            self._links.discard(link)
            to_client.transport.abort()
            to_server.transport.abort()

    async def _watch(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pump(link, reader, writer)
        link.ended_by_server = True
        link.to_server.transport.abort()

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await link.flows.wait()
                for piece in [data[at : at + 1] for at in range(len(data))] if self.drip else [data]:
                    writer.write(piece)
                    if self.drip:
                        await asyncio.sleep(0)
                await writer.drain()
            await link.flows.wait()
            if writer.can_write_eof():
                writer.write_eof()


class _Link:
    """One connection from a client, and ours to the server."""

    def __init__(self, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter) -> None:
        self.to_client = to_client
        self.to_server = to_server
        self.ended_by_server = False
        self.flows = asyncio.Event()
        self.flows.set()
