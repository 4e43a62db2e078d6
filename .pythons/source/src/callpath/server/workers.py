"""Several processes of one server on one machine: `callpath serve --workers N`.

A small parent, which carries no call, starts them, passes signals on, and puts another in the place of one that died. A
socket pair joins it with each: the worker says once that it is ready, and the parent passes on each signal as a byte of its
number. Not as a signal: terminals and platforms send theirs to every process, and a second one stops at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from tempfile import TemporaryDirectory

import msgspec
import structlog

from callpath.clock import Clock

READY = b"r"
KILL_AT = 3
"""The signal, counted from the first, at which all workers are killed."""

STEADY_MS = 60_000.0
"""A worker that lived this long is replaced at once when it dies: the cause is a new one."""

PAUSE_MS, PAUSE_MS_MAX = 1_000.0, 30_000.0
"""The pause before a worker that keeps dying is started again; doubled each time."""

IN_VAIN_MAX = 5
"""Maximum starts in a row that fail while no worker is ready. Then the server exits."""

logger = structlog.get_logger("callpath")


class Worker(msgspec.Struct, frozen=True):
    """Which one of several this process is. `orders` and `listener` are descriptors that it has inherited."""

    number: int
    of: int
    node: str
    """What it holds leases under. Who takes its place goes by the same, and so finds its calls."""
    folder: str
    """Here each worker answers the others when they ask for its metrics."""
    orders: int
    listener: int | None = None
    """The socket that all listen on; None: each has one of its own on the same port, and the kernel deals out."""

    def page_path(self, number: int) -> str:
        """Where worker `number` tells its metrics."""
        return f"{self.folder}/{number}"


def parse_worker(text: str) -> Worker:
    """The inverse of `encode_worker`. Raises ValueError."""
    return msgspec.json.decode(text, type=Worker)


def encode_worker(worker: Worker) -> str:
    """A worker as an argument of a command."""
    return msgspec.json.encode(worker).decode()


class Supervisor:
    """The parent. `command` is what starts a worker; it must send READY when it serves."""

    def __init__(
        self,
        count: int,
        command: Callable[[Worker], Sequence[str]],
        *,
        clock: Clock,
        listener: socket.socket | None = None,
    ) -> None:
        self._count = count
        self._command = command
        self._clock = clock
        self._listener = listener
        self._name = secrets.token_hex(6)
        self._signals: list[int] = []
        self._stopping = False
        self._exit_code = 0
        self._in_vain = 0
        self._alive: dict[int, tuple[asyncio.subprocess.Process, socket.socket]] = {}
        self._ready: set[int] = set()
        self._begun = asyncio.Event()
        """The first worker serves, or never will: what is wrong with the settings is told once, by it alone."""
        self._wakes = [asyncio.Event() for _ in range(count)]

    async def run(self) -> int:
        """Until all workers have ended. Returns the exit code of the server: 0 after a stop that cut nothing short."""
        loop = asyncio.get_running_loop()
        for one in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(one, self._pass_on, one)
        with TemporaryDirectory(prefix="callpath-") as folder:
            async with asyncio.TaskGroup() as tasks:
                for number in range(1, self._count + 1):
                    tasks.create_task(self._keep(number, folder), name=f"worker {number}")
        return self._exit_code

    def _pass_on(self, number: int) -> None:
        """A signal of ours is one of each worker's."""
        self._signals.append(number)
        if len(self._signals) >= KILL_AT:
            for process, _ in self._alive.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        self._stop(number)

    def _stop(self, number: int) -> None:
        self._stopping = True
        for _, orders in self._alive.values():
            _send(orders, number)
        for wake in (self._begun, *self._wakes):
            wake.set()

    async def _keep(self, number: int, folder: str) -> None:
        """Have a worker in this place until the server stops."""
        if number > 1:
            await self._begun.wait()
        pause_ms = 0.0
        while not self._stopping:
            since_ms = self._clock.now_ms()
            was_ready, code = await self._live(number, folder)
            if self._stopping:
                self._exit_code = max(self._exit_code, code)
                return
            if not self._begun.is_set():
                self._give_up(code)
            elif code == 0:
                logger.info(f"Worker {number} has ended, another takes its place", event_name="worker.ended")
            else:
                lived_ms = self._clock.now_ms() - since_ms
                pause_ms = 0.0 if was_ready and lived_ms > STEADY_MS else pause_ms
                self._log_exit(number, code, pause_ms)
                self._in_vain = 0 if was_ready else self._in_vain + 1
                if self._in_vain >= IN_VAIN_MAX and not self._ready:
                    logger.error(f"Giving up: {self._in_vain} workers in a row died before they were ready", event_name="workers.given_up")
                    self._give_up(code)
                elif pause_ms:
                    await self._clock.wait(self._wakes[number - 1], self._clock.now_ms() + pause_ms)
                pause_ms = min(max(PAUSE_MS, 2 * pause_ms), PAUSE_MS_MAX)

    def _give_up(self, code: int) -> None:
        self._exit_code = max(self._exit_code, code, 1)
        self._stop(signal.SIGTERM)

    async def _live(self, number: int, folder: str) -> tuple[bool, int]:
        """Start a worker and wait for its end. Whether it was ever ready, and its exit code."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            with theirs:
                worker = Worker(
                    number=number,
                    of=self._count,
                    node=f"{self._name}-{number}",
                    folder=folder,
                    orders=theirs.fileno(),
                    listener=None if self._listener is None else self._listener.fileno(),
                )
                try:
                    process = await asyncio.create_subprocess_exec(
                        *self._command(worker),
                        stdin=asyncio.subprocess.DEVNULL,
                        pass_fds=[one for one in (worker.orders, worker.listener) if one is not None],
                        process_group=0,  # Ctrl-C is the parent's to hear
                    )
                except OSError as error:  # no memory, no process left, the program gone
                    logger.error(f"Worker {number} cannot be started: {error}", event_name="worker.not_started")
                    return False, 1
            self._alive[number] = process, ours
            for signal_ in self._signals:  # that came while it was being started
                _send(ours, signal_)
            ready = False
            try:
                with contextlib.suppress(ConnectionError):  # it died and left something unread
                    ready = await asyncio.get_running_loop().sock_recv(ours, len(READY)) == READY
                if ready:
                    logger.info(
                        f"Worker {number} of {self._count} is ready", event_name="worker.ready", pid=process.pid
                    )
                    self._ready.add(number)
                    self._begun.set()
                code = await process.wait()
            finally:
                del self._alive[number]
                self._ready.discard(number)
        return ready, code if code >= 0 else 128 - code

    def _log_exit(self, number: int, code: int, pause_ms: float) -> None:
        of = f"was killed by {signal.Signals(code - 128).name}" if code > 128 else f"ended with exit code {code}"
        when = f"in {pause_ms / 1000:.0f} s" if pause_ms else "now"
        logger.error(
            f"Worker {number} {of}; another is started {when} and recovers its calls",
            event_name="worker.died",
            exit_code=code,
        )


def _send(orders: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):  # it is gone: who waits for it knows
        orders.send(bytes([number]))
