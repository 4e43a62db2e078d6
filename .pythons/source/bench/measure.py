"""Measures one server under load: it on one core, the load generator on the other.

The figures are CPU time of the server's whole process tree between the generator's two marks. They move with the
machine, up to twofold at low load: compare only what was measured in one round.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

SERVER_CPU, LOAD_CPU = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP_S = 1.6
SENT_LATE_MAX_MS = 2.0


@dataclass(frozen=True)
class Server:
    """How to start one server. `fifo`: run it before everything else on the machine, where we may; not for servers
    with threads of their own (Node), which that would starve."""

    name: str
    command: list[str]
    path: str = "/media"
    targets: Path | None = None
    """One line a call, for servers that give every call its own address and token."""
    env: dict[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    fifo: bool = True
    prepare: Callable[[], None] = lambda: None
    """Called before each start."""
    match: str = "marker"
    """"marker": replies are compared byte for byte; "order": only counted, since resampling changes them."""


@dataclass(frozen=True)
class Figures:
    """One run. `us_per_pair` is server CPU for one frame in and one out."""

    calls: int
    us_per_pair: float
    cpu: float
    rtt_p50_ms: float
    rtt_p99_ms: float
    age_p50_ms: float
    kb_per_call: float
    lost: int
    corrupt: int
    closed_early: int
    sent_late_p99_ms: float
    """How late the load generator itself was."""

    @property
    def good(self) -> bool:
        """Whether a phone call would have been fine: in time, and nothing lost."""
        return self.rtt_p99_ms < 20 and not (self.lost or self.corrupt or self.closed_early)

    @property
    def fair(self) -> bool:
        """Whether the generator kept its schedule: one that did not has measured itself."""
        return self.sent_late_p99_ms < SENT_LATE_MAX_MS


def run(server: Server, loadgen: Path, calls: int, seconds: float) -> Figures | None:
    """Start `server`, load it with `calls` calls, stop it. None: it broke."""
    server.prepare()
    port = _free_port()
    env = os.environ | {"PORT": str(port), "PYTHONWARNINGS": "ignore"} | server.env
    process = subprocess.Popen(
        ["taskset", "-c", str(SERVER_CPU), *(str(port) if part == "$PORT" else part for part in server.command)],
        env=env,
        cwd=server.cwd,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_STDERR") else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_before_others if server.fifo else _a_bit_before_others,
    )
    try:
        _wait_for(port, process)
        time.sleep(1)
        idle_kb = _memory_kb(process.pid)
        command = ["taskset", "-c", str(LOAD_CPU), str(loadgen), "--calls", str(calls), "--seconds", str(seconds)]
        command += ["--warmup", str(WARM_UP_S), "--match", server.match]
        if server.targets is None:
            command += ["--url", f"ws://127.0.0.1:{port}{server.path}"]
        else:
            command += ["--url", f"ws://127.0.0.1:{port}", "--targets", str(server.targets)]
        figures = _measure(command, process.pid, calls, idle_kb, fifo=server.fifo)
        if process.poll() is not None:
            print(f"{server.name}: the server ended by itself, with {process.returncode}")
        return figures
    finally:
        for pid in reversed(_tree(process.pid)):
            _quietly_kill(pid)
        process.wait()


def _measure(command: list[str], pid: int, calls: int, idle_kb: int, *, fifo: bool) -> Figures | None:
    first = _before_others if fifo else _a_bit_before_others
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=first) as generator:
        assert generator.stdout is not None
        begin = end = (0.0, 0.0)
        full_kb = idle_kb
        result = None
        for line in generator.stdout:
            if line.startswith("WINDOW_BEGIN"):
                begin = (time.monotonic(), _cpu_s(_tree(pid)))
            elif line.startswith("WINDOW_END"):
                end = (time.monotonic(), _cpu_s(_tree(pid)))
                full_kb = _memory_kb(pid)
            elif line.startswith("{"):
                result = json.loads(line)
    if result is None:
        return None
    window_s, cpu_s = end[0] - begin[0], end[1] - begin[1]
    return Figures(
        calls=calls,
        us_per_pair=cpu_s / (calls * window_s * 50) * 1e6,
        cpu=cpu_s / window_s,
        rtt_p50_ms=result["rtt_p50"],
        rtt_p99_ms=result["rtt_p99"],
        age_p50_ms=result["age_p50"] + (result["lag_ms"] if "lag_ms" in result and result["lag_ms"] > 20 else 0),
        kb_per_call=(full_kb - idle_kb) / calls,
        lost=result["lost"],
        corrupt=result["corrupt"],
        closed_early=result["closed_early"],
        sent_late_p99_ms=result["late_p99"],
    )


@dataclass
class Search:
    """For the largest number of calls that `server` carries with p99 under 20 ms and nothing lost, to 5 %."""

    server: Server
    low: int
    """So many were fine."""
    guess: int
    """Where to look as long as nothing was too much."""
    high: int = 0
    """So many were too much; 0: not known yet."""

    @property
    def done(self) -> bool:
        return self.low >= CALLS_MAX or bool(self.high and self.high - self.low <= max(5, 0.05 * self.high))

    def step(self, loadgen: Path, seconds: float) -> None:
        """Try one number. Where the generator could not keep its schedule the outcome is its own, which is said.

        Without SCHED_FIFO, which the kernel holds at 95 % of a core: the last twentieth is what is asked for here, of the
        server and of the generator.
        """
        server = replace(self.server, fifo=False)
        calls = (self.low + self.high) // 2 if self.high else min(max(self.guess, self.low + 10), CALLS_MAX)
        figures = run(server, loadgen, calls, seconds)
        if figures is None or not figures.good:
            figures = run(server, loadgen, calls, seconds)  # once more: the machine may have been busy
        if figures is None or not figures.good:
            self.high = calls
            if figures is not None and not figures.fair:
                late = figures.sent_late_p99_ms
                print(f"{self.server.name}: at {calls} calls the generator itself was {late:.0f} ms late")
        else:
            self.low = calls
            self.guess = max(int(calls * 1.1), min(int(calls * 0.98 / max(figures.cpu, 0.05)), 2 * calls))


def search_by_turns(searches: list[Search], loadgen: Path, seconds: float) -> None:
    """A step of each after another until all are done: a minute in which the machine is slow is everyone's."""
    while left := [search for search in searches if not search.done]:
        for search in left:
            search.step(loadgen, seconds)


CALLS_MAX = 1500


def _before_others() -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        _a_bit_before_others()


def _a_bit_before_others() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("-20")  # without it, niceness holds only within a session
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
    except PermissionError:
        return  # not root: the figures get noisier, the ratios hold


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not listen within 40 s")


def _tree(pid: int) -> list[int]:
    """`pid` and everything it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat:
                children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, ahead = [], [pid]
    while ahead:
        here = ahead.pop()
        found.append(here)
        ahead += children.get(here, [])
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def _cpu_s(pids: Iterable[int]) -> float:
    return sum((int(stat[11]) + int(stat[12])) / TICKS for pid in pids if (stat := _stat(pid)))


def _memory_kb(pid: int) -> int:
    """Memory of its own, without the pages of program files: those are the machine's, come and go with what other
    processes do, and weigh the same for one call as for a thousand."""
    total = 0
    for each in _tree(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
    return total


def _quietly_kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return
