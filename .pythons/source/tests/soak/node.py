"""`callpath serve` as a process that can be killed, a balancer in front of several, and a sender of signed webhooks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from callpath.wire.signature import PrivateKey, public_key_text, sign
from tests.soak.figures import now_s

ROOT = Path(__file__).parents[2]
KEY = PrivateKey.from_private_bytes(bytes(range(32)))
API_KEY = "KEY0123456789ABCDEF-soak"
SECRET = "the-audio-tokens-of-the-soak"
REST = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
READY_S_MAX = 60.0
STOP_S_MAX = 90.0
"""A drain, and storing."""
ANSWER_S_MAX = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Node:
    """One server process. It keeps its port over restarts."""

    def __init__(
        self, data_dir: Path, api_base: str = "http://127.0.0.1:9/v2", handler: str = "echo", **env: str
    ) -> None:
        self.port = free_port()
        self._handler = handler
        self._data_dir = data_dir
        self.environment = {
            "TELNYX_API_KEY": API_KEY,
            "TELNYX_PUBLIC_KEY": public_key_text(KEY),
            "TELNYX_API_BASE": api_base,
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "CALLPATH_DATA_DIR": str(data_dir),
            "CALLPATH_SECRET": SECRET,
            "CALLPATH_DASHBOARD": "off",
            "CALLPATH_LOG_FORMAT": "json",
        } | env
        self._process: asyncio.subprocess.Process | None = None
        self.output = data_dir / f"output-{self.port}.txt"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/calls/webhook"

    async def start(self) -> float:
        """Returns after how many seconds it was ready."""
        began_s = now_s()
        with self.output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "callpath", "serve", self._handler),
                env=os.environ | self.environment,
                cwd=self._data_dir,
                stdout=output,
                stderr=output,
            )
        async with asyncio.timeout(READY_S_MAX):
            while b"200 OK" not in await self.asked(b"GET /readyz" + REST):
                assert self._process.returncode is None, self.output.read_text()[-2000:]
                await asyncio.sleep(0.02)
        return now_s() - began_s

    async def metrics(self) -> str:
        return (await self.asked(b"GET /metrics" + REST.replace(b"Host: x", b"Host: 127.0.0.1"))).decode()

    async def asked(self, request: bytes) -> bytes:
        """All that is answered; nothing where nobody listens."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return b""
        try:
            writer.write(request)
            return await reader.read()
        except OSError:
            return b""
        finally:
            writer.close()

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Returns its exit code."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(how)
        async with asyncio.timeout(STOP_S_MAX):
            return await self._process.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@contextmanager
def balanced(folder: Path, front: int, *ports: int) -> Iterator[None]:
    """The nginx of deploy/, in front of `ports`, in the order of dice."""
    servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    conf = conf.replace("server callpath:8000 max_fails=0;", f"random; {servers}").replace(
        "listen 8080;", f"listen 127.0.0.1:{front};"
    )
    conf = conf.replace(
        "http {", f"http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};", 1
    )
    place = folder / "nginx.conf"
    place.write_text(f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n{conf}")
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(place)]) as process:
        try:
            yield
        finally:
            process.terminate()  # else Popen would wait for it for ever, and what went wrong would never be told


class Sender:
    """One kept-alive connection that posts webhooks, cheap enough for hundreds a second."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def post(self, body: bytes) -> int:
        """The status; 0 where there was no answer."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await self._post(body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0

    async def _post(self, body: bytes) -> int:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        headers = sign(body, KEY, int(time.time())) | {"content-length": str(len(body)), "host": "soak"}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(b"POST /api/calls/webhook HTTP/1.1\r\n" + head.encode() + b"\r\n" + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await self._reader.readexactly(int(length))
        if b"connection: close" in answer.lower():
            self.close()
        return int(answer.split(b" ", 2)[1])

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


@asynccontextmanager
async def senders(port: int, number: int) -> AsyncIterator[list[Sender]]:
    them = [Sender(port) for _ in range(number)]
    try:
        yield them
    finally:
        for one in them:
            one.close()


def event(session: str, event_id: str, event_type: str = "call.hangup", **payload: Any) -> bytes:
    """A webhook as Telnyx writes it. One of these two kinds asks for no command."""
    given = {
        "call_session_id": session,
        "call_leg_id": f"leg of {session}",
        "call_control_id": f"v3:{session}",
        "connection_id": "1",
        "direction": "incoming",
        "from": "+15555550123",
        "to": "+15555550199",
    }
    data = {
        "record_type": "event",
        "event_type": event_type,
        "id": event_id,
        "occurred_at": "2026-01-02T03:04:05.000000Z",
        "payload": given | payload,
    }
    return json.dumps({"data": data, "meta": {"attempt": 1, "delivered_to": "https://x.example"}}).encode()
