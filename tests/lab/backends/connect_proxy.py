"""An HTTP proxy that knows CONNECT and nothing else, and where the one name leads.

python -m tests.lab.backends.connect_proxy --host 127.0.0.1 --port 3128 --to ADDRESS
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    writer.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True, help="the address of whatever is asked for")
    arguments = parser.parse_args()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            far_reader, far_writer = await asyncio.open_connection(arguments.to, port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pipe(reader, far_writer))
                tasks.create_task(pipe(far_reader, writer))

    server = await asyncio.start_server(serve, arguments.host, arguments.port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
