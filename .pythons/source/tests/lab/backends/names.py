"""A name server with a table, for answers that dnsmasq does not give: dangling aliases, failures, empty answers.

    python -m tests.lab.backends.names --host 127.0.0.1 --port 53 'a.example.com A 5.75.128.10' 'b.example.com CNAME c.'

A name without the asked type is answered empty; an unknown name with NXDOMAIN.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Table = dict[str, list[tuple[str, str]]]


def answer(table: Table, wire: bytes) -> bytes:
    query = dns.message.from_wire(wire)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA | dns.flags.RA
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    wanted = dns.rdatatype.to_text(question.rdtype)
    for _ in range(8):
        rows = table.get(name)
        if rows is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            break
        for kind, value in rows:
            if kind == "RCODE":
                reply.set_rcode(dns.rcode.from_text(value))
            elif kind in (wanted, "CNAME"):
                reply.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, value))
        alias = next((value for kind, value in rows if kind == "CNAME"), None)
        if alias is None or wanted == "CNAME":
            break
        name = alias.rstrip(".")
    return reply.to_wire()


class Names(asyncio.DatagramProtocol):
    def __init__(self, table: Table) -> None:
        self._table = table

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(answer(self._table, data), addr)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("rows", nargs="*")
    arguments = parser.parse_args()
    table: Table = {}
    for row in arguments.rows:
        name, kind, value = row.split(" ", 2)
        table.setdefault(name, []).append((kind, value))

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2))
        reply = answer(table, await reader.readexactly(size))
        writer.write(len(reply).to_bytes(2) + reply)
        writer.close()

    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Names(table), (arguments.host, arguments.port))
    # Listening on TCP too tells the lab that the server is ready.
    server = await asyncio.start_server(over_tcp, arguments.host, arguments.port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
