"""A case's workplace: an address of its own, a directory, and the programs that it started.

Each bench has its own loopback address (127.a.b.n), so ports never collide and the real ones can be used: 443 for
what is public, 8080 for the app behind it. With `networked()` the bench moves into a namespace of its own, where
its address looks public.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import ssl
import sys
import textwrap
from asyncio.subprocess import Process
from pathlib import Path

from callpath.clock import SystemClock
from tests.lab import software
from tests.lab.case import Target
from tests.lab.certificates import Authority, Pair
from tests.lab.namespaces import Namespace, namespace, run

HOST = "voice.example.com"
"""The name that every case's endpoint goes by; `--resolve` or the case's own DNS gives it an address."""

PATH = "/api/calls/test-connection/audio"
PUBLIC_ADDRESS = "5.75.128.10"
"""Looks public, and is only ever used inside a namespace that has no way out."""

LEASH = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""Ends a program when the lab itself is killed, and cannot clean up."""

READY_MS_MAX = 20_000
RETRY_MS = 15.0
HERE = Path(__file__).parent
BACKENDS = HERE / "backends"
NODE = HERE / "node"
REPOSITORY = HERE.parent.parent

_clock = SystemClock()


class Bench(software.Proxies):
    """Starts real programs for one case and stops them all at the end. An async context manager."""

    def __init__(self, directory: Path, address: str, authority: Authority) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.address = address
        self.authority = authority
        self.network: Namespace | None = None
        self._processes: list[Process] = []
        self._started = 0
        self._exit = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Bench:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            await process.wait()
        await self._exit.aclose()

    # --- the network ---

    async def networked(self, *more_addresses: str) -> Namespace:
        """Move into a network of the bench's own, at PUBLIC_ADDRESS. Call it first."""
        self.network = await self._exit.enter_async_context(namespace())
        self.address = PUBLIC_ADDRESS
        for address in (PUBLIC_ADDRESS, *more_addresses):
            await self.network.add_address(address)
        return self.network

    # --- files and certificates ---

    def write(self, name: str, text: str) -> Path:
        """Put a file into the bench's directory."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def certificate(self) -> Pair:
        """The right certificate for HOST."""
        return self.authority.good(HOST)

    # --- programs ---

    async def run(
        self,
        *command: str | Path,
        port: int | None = None,
        address: str | None = None,
        environment: dict[str, str] | None = None,
        connect: bool = True,
    ) -> Process:
        """Start a program; return when it accepts connections on `port`. Raises RuntimeError with its log if not.

        Without `connect` the system's table of listeners must do, for a program that accepts nobody.
        """
        self._started += 1
        log = self.directory / f"{self._started}-{Path(command[0]).name}.log"
        inside = self.network.enter if self.network else ()
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *LEASH,
                *inside,
                *(str(word) for word in command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self._processes.append(process)
        where = (address or self.address, port or 0)
        listens = self._listens if connect and not self.network else self._is_in_table
        if port is not None and not await listens(process, *where):
            raise RuntimeError(f"{command[0]} is not ready on port {port}: {log.read_text(errors='replace')[-2000:]}")
        return process

    async def _listens(self, process: Process, address: str, port: int) -> bool:
        """Try to connect until somebody answers, the program ends, or time is up."""
        until_ms = _clock.now_ms() + READY_MS_MAX
        while process.returncode is None and _clock.now_ms() < until_ms:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await _clock.sleep_ms(RETRY_MS)
                continue
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return True
        return False

    async def _is_in_table(self, process: Process, address: str, port: int) -> bool:
        """Look into the table of listeners; from inside the bench's namespace, where this process is not."""
        until_ms = _clock.now_ms() + READY_MS_MAX
        inside = self.network.enter if self.network else ()
        locals_ = (f"{address}:{port}", f"[{address}]:{port}", f"0.0.0.0:{port}", f"*:{port}", f"[::]:{port}")
        while process.returncode is None and _clock.now_ms() < until_ms:
            ss = await asyncio.create_subprocess_exec(*inside, "ss", "-Hltn", stdout=asyncio.subprocess.PIPE)
            listeners, _ = await ss.communicate()
            if any(local in listeners.decode().split() for local in locals_):
                return True
            await _clock.sleep_ms(RETRY_MS)
        return False

    async def python(
        self, program: str, *arguments: str | Path, port: int, address: str | None = None, connect: bool = True
    ) -> Process:
        """Start one of `backends/`' Python programs; it is told where to listen."""
        where = ("--host", address or self.address, "--port", str(port))
        command = (sys.executable, "-m", f"tests.lab.backends.{program}", *where, *arguments)
        path = {"PYTHONPATH": str(REPOSITORY)}
        return await self.run(*command, port=port, address=address, connect=connect, environment=path)

    async def node(
        self, app: str, *arguments: str | Path, port: int, environment: dict[str, str] | None = None
    ) -> Process:
        """Start one of the Node applications; HOST and PORT tell it where to listen, as on most platforms."""
        place = {"HOST": self.address, "PORT": str(port), "LAB_MODULES": str(NODE / "node_modules")}
        command = ("node", BACKENDS / "node_app.js", app, *arguments)
        return await self.run(*command, port=port, environment={**place, **(environment or {})})

    async def voice_app(self, handler: str = "echo", *arguments: str, port: int = 443, tls: bool = True) -> Process:
        """The `websockets` application, with TLS of its own unless a proxy stands before it."""
        return await self.python("voice_app", "--handler", handler, *arguments, *self._tls(tls), port=port)

    async def asgi_app(self, app: str = "right", *arguments: str, port: int = 443, tls: bool = True) -> Process:
        """The Starlette application under uvicorn."""
        return await self.python("asgi_app", "--app", app, *arguments, *self._tls(tls), port=port)

    async def odd_server(self, mode: str, *arguments: str, port: int = 443, tls: bool = True) -> Process:
        """The hand-made server, for what no library would send."""
        return await self.python("odd_server", "--mode", mode, *arguments, *self._tls(tls), port=port)

    async def answers(self, answer: str, *arguments: str, port: int = 443, tls: bool = True) -> Process:
        """A server that gives one HTTP answer, headers and body as in `answer`: a platform's own page."""
        path = self.write("answer.http", textwrap.dedent(answer).strip("\n"))
        return await self.odd_server("answer", "--answer", str(path), *arguments, port=port, tls=tls)

    def _tls(self, wanted: bool) -> tuple[str, ...]:
        if not wanted:
            return ()
        pair = self.certificate()
        return ("--cert", str(pair.chain), "--key", str(pair.key))

    async def dnsmasq(self, *rows: str, port: int = 53) -> Process:
        """dnsmasq on the bench's address, with `rows` such as `address=/voice.example.com/5.75.128.10`."""
        fixed = ("no-resolv", "no-hosts", "bind-interfaces", "user=root", "group=root", f"port={port}")
        text = "\n".join([*fixed, f"listen-address={self.address}", "except-interface=none0", "pid-file=", *rows])
        path = self.write("dnsmasq.conf", text + "\n")
        return await self.run("dnsmasq", "--keep-in-foreground", f"--conf-file={path}", port=port)

    async def names(self, *rows: str, port: int = 53) -> Process:
        """A name server with a table, for answers that dnsmasq does not give."""
        return await self.python("names", *rows, port=port)

    # --- what others do before the doctor comes ---

    async def request_once(self) -> None:
        """One plain request to the public port, for limits that count."""
        reader, writer = await self._connect()
        writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        await reader.read()
        writer.close()

    async def spend_connection(self) -> None:
        """One TCP connection from inside the bench's network."""
        assert self.network is not None
        code = f"import socket; socket.create_connection(({self.address!r}, 443), 5).close()"
        await run(*self.network.enter, sys.executable, "-c", code)

    async def hold_a_stream(self) -> None:
        """Another call's WebSocket, open until the bench ends."""
        reader, writer = await self._connect()
        self._exit.callback(writer.close)
        key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: " + "A" * 22 + "=="
        head = f"GET {PATH} HTTP/1.1\r\nHost: {HOST}\r\n{key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        writer.write(head.encode())
        await reader.readuntil(b"\r\n\r\n")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context(cafile=str(self.authority.root))
        return await asyncio.open_connection(self.address, 443, ssl=context, server_hostname=HOST)

    # --- what the doctor is given ---

    def target(self, *options: str, path: str = PATH, scheme: str = "wss", port: int = 443, host: str = HOST) -> Target:
        """The endpoint under HOST, with the options that make the doctor find and trust it."""
        default = 80 if scheme in ("ws", "http") else 443
        place = host if port == default else f"{host}:{port}"
        return self.target_url(f"{scheme}://{place}{path}", "--resolve", f"{host}:{port}:{self.address}", *options)

    def target_named(self, *options: str, host: str = HOST, path: str = PATH) -> Target:
        """The endpoint under HOST, whose address the bench's own name server tells."""
        return self.target_url(f"wss://{host}{path}", "--resolver", f"{self.address}:53", *options)

    def target_url(self, url: str, *options: str) -> Target:
        """Any URL; the lab's root certificate is trusted, as a public one would be."""
        inside = self.network.enter if self.network else ()
        return Target(url, ("--ca", str(self.authority.root), *options), inside)
