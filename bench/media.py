"""How much one core carries: our media path beside its peers, in one run on one machine.

    make bench                       everything: three rounds, largest number of calls in each; half an hour
    python bench/media.py --quick    one short round: under two minutes
    python bench/media.py --only callpath,limit --rounds 1

Ours is `callpath serve echo` as in production: webhook store, tokens, timeline, pacing, and a handler that plays what
it hears; compiled as in the Dockerfile, and "pure" as pip installs it. The peers echo too, and do nothing else: no
reordering, no pacing, no marks, no limits.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from compiled import compiled
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from measure import CALLS_MAX, Figures, Search, Server, run, search_by_turns

from callpath.audio.resample import Resampler
from callpath.audio.tone import find_delay_ms, sweep
from callpath.server.tokens import CallTokens
from callpath.store.sql import open_call_log
from callpath.timeline import CommandAnswered, CommandSent, Entry, StreamAccepted, StreamStarting, WebhookReceived
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PEERS = HERE / "peers"
SAMPLES = HERE.parent / "tests" / "golden" / "telnyx" / "samples" / "webhooks"
API_KEY = "KEY-bench"

LIMITS = (
    ("limit", 200, 1.70, 1.45),
    ("node", 200, 1.00, 0.90),
    ("aiohttp", 200, 0.88, 0.80),
    ("fastapi", 200, 0.65, 0.58),
    ("pipecat", 50, 0.28, 0.20),
)
"""Our cost against each peer's at equal N: must, goal."""

LARGEST = (("node", 1.0, 1.2), ("fastapi", 2.3, 3.0), ("pipecat", 11.0, 14.0))
"""Our largest number of calls against each peer's: must, goal."""

RUN_MS_MAX = 30_000
"""How long one run takes, its start included. Calls of the log without a socket count as new until then: recovering them
would be measured, too."""

KB_PER_CALL_MAX = 35
RTT_P99_MS_MAX = 1.0
DELAY_MS_MAX = 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, no search for the largest number")
    parser.add_argument("--rounds", type=int, help="rounds; medians are taken (default 3, quick 1)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (default 5, quick 3)")
    parser.add_argument("--only", default="", help="names from the table, with commas")
    parser.add_argument("--calls", default="", help="numbers of calls, with commas, instead of those of the limits")
    parser.add_argument("--no-largest", action="store_true", help="do not look for the largest number of calls")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    seconds = options.seconds or (3 if options.quick else 5)

    CACHE.mkdir(exist_ok=True)
    loadgen = _program(HERE / "loadgen.c")
    only = set(filter(None, options.only.split(",")))
    servers = _servers(options.quick, only)

    results: dict[tuple[str, int], list[Figures]] = {}
    most: dict[str, list[int]] = {}
    for number in range(rounds):
        for server in servers:
            for calls in _points(server.name, options.calls, options.quick):
                figures = run(server, loadgen, calls, seconds)
                if figures is None:
                    print(f"round {number + 1}  {server.name:14} N={calls:<5} failed", flush=True)
                    continue
                results.setdefault((server.name, calls), []).append(figures)
                print(f"round {number + 1}  {_line(server.name, figures)}", flush=True)
        if not (options.quick or options.no_largest):
            searches = [
                _search(server, results, most.get(server.name, [])) for server in servers if "16k" not in server.name
            ]
            search_by_turns(searches, loadgen, seconds)
            for search in searches:
                most.setdefault(search.server.name, []).append(search.low)
                print(f"round {number + 1}  {search.server.name:14} largest {search.low}", flush=True)
    sys.exit(0 if _report(results, most) else 1)


def _points(name: str, given: str, quick: bool) -> list[int]:
    if given:
        return [int(text) for text in given.split(",")]
    if name == "pipecat":
        return [50]
    if name == "callpath" or (name == "limit" and not quick):
        return [50, 200]
    return [100] if "16k" in name else [200]


def _search(server: Server, results: dict[tuple[str, int], list[Figures]], before: list[int]) -> Search:
    good = [
        (calls, rows) for (name, calls), rows in results.items() if name == server.name and all(r.good for r in rows)
    ]
    calls, rows = max(good, default=(10, []))
    cpu = statistics.median(row.cpu for row in rows) if rows else 0.5
    guess = round(statistics.median(before)) if before else int(0.95 * calls / max(cpu, 0.05))
    return Search(server, low=calls, guess=guess)


# --- what is measured ------------------------------------------------------------------------------------------------


def _servers(quick: bool, only: set[str]) -> list[Server]:
    targets, pure = _prepared_calls()
    callpath = [sys.executable, "-m", "callpath", "serve"]
    folder = compiled()
    env = pure if folder is None else pure | {"PYTHONPATH": str(folder)}
    servers = [
        Server("limit", [str(_program(PEERS / "limit_echo.c")), "$PORT"]),
        Server("callpath", [*callpath, "echo"], targets=targets, env=env, prepare=_fresh_calls),
        Server(
            "callpath 16k",
            [*callpath, "bench_handlers:echo16k"],
            targets=targets,
            env=env,
            cwd=HERE,
            prepare=_fresh_calls,
            match="order",
        ),
    ]
    if folder is None:
        print("callpath is not compiled: there is no C compiler")
    else:
        servers.insert(2, Server("callpath pure", [*callpath, "echo"], targets=targets, env=pure, prepare=_fresh_calls))
    node = _node_with_ws()
    if node is not None:
        servers.append(Server("node", ["node", str(PEERS / "ws_echo.js")], env={"NODE_PATH": str(node)}))
    peers = _environment(
        "peers", "aiohttp fastapi uvicorn[standard] uvloop numpy soxr audioop-lts;python_version>='3.13'"
    )
    if peers is not None:
        servers += [
            Server("aiohttp", [str(peers), str(PEERS / "aiohttp_echo.py")]),
            Server("fastapi", [str(peers), str(PEERS / "fastapi_echo.py")]),
            Server(
                "fastapi 16k", [str(peers), str(PEERS / "fastapi_echo.py")], env={"RATE_HZ": "16000"}, match="order"
            ),
        ]
    pipecat = _environment("pipecat", "pipecat-ai[websocket] uvicorn[standard]", install=not quick)
    if pipecat is not None:
        # Pipecat's default: replies of 40 ms.
        servers.append(Server("pipecat", [str(pipecat), str(PEERS / "pipecat_echo.py")]))
    if quick:
        servers = [server for server in servers if "16k" not in server.name]
    return [server for server in servers if not only or server.name in only]


def _prepared_calls() -> tuple[Path, dict[str, str]]:
    """The addresses and tokens of calls, and the settings of a server to which only their sockets are missing."""
    sessions = _sessions()
    tokens = CallTokens(API_KEY)
    targets = CACHE / "targets.txt"
    targets.write_text(
        "".join(f"/api/calls/{session}/audio {AUTH_TOKEN_HEADER}: {tokens.of(session)}\n" for session in sessions)
    )
    public = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    env = {
        "TELNYX_API_KEY": API_KEY,
        "TELNYX_PUBLIC_KEY": base64.b64encode(public).decode(),
        "TELNYX_API_BASE": "http://127.0.0.1:9/v2",
        "PUBLIC_URL": "http://127.0.0.1:9",
        "HOST": "127.0.0.1",
        "CALLPATH_DATA_DIR": str(CACHE / "calls"),
    }
    return targets, env


def _fresh_calls() -> None:
    """A call log in which every call has just been answered and its stream asked for. Of calls a minute old the server
    would ask Telnyx what has become of them, and there is none."""
    shutil.rmtree(CACHE / "calls", ignore_errors=True)
    (CACHE / "calls").mkdir()
    asyncio.run(_write_log(CACHE / "calls" / "callpath.db", _sessions()))


def _sessions() -> list[SessionId]:
    return [SessionId(f"bench-{number}") for number in range(CALLS_MAX)]


async def _write_log(path: Path, sessions: list[SessionId]) -> None:
    initiated = (SAMPLES / "call.initiated.inbound.json").read_text()
    answered = (SAMPLES / "call.answered.json").read_text()
    now = time.time_ns() // 1_000_000 + RUN_MS_MAX
    async with open_call_log(f"sqlite:///{path}") as log:

        async def write(number: int, session: SessionId) -> None:
            for text in (initiated, answered):
                document = json.loads(text)
                payload = document["data"]["payload"]
                payload |= {
                    "call_session_id": session,
                    "call_leg_id": f"leg-{number}",
                    "call_control_id": f"v3:bench-{number}",
                }
                what = WebhookReceived(
                    event_type=document["data"]["event_type"], event_id=document["data"]["id"], body=document
                )
                await log.append(Entry(session=session, at_unix_ms=now, what=what))
            for sent in (
                CommandSent(command="answer", command_id="a"),
                CommandAnswered(command="answer", command_id="a", status=200),
                StreamStarting(within="streaming_start"),
                CommandSent(command="streaming_start", command_id="s"),
                CommandAnswered(command="streaming_start", command_id="s", status=200),
                StreamAccepted(status=200),
            ):
                await log.append(Entry(session=session, at_unix_ms=now, what=sent))

        for start in range(0, len(sessions), 100):
            batch = list(enumerate(sessions))[start : start + 100]
            await asyncio.gather(*[write(number, session) for number, session in batch])


# --- what it needs ---------------------------------------------------------------------------------------------------


def _program(source: Path) -> Path:
    program = CACHE / source.stem
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-o", str(program), str(source)], check=True)
    return program


def _environment(name: str, packages: str, *, install: bool = True) -> Path | None:
    """The Python of an environment with `packages`, made once; None where they cannot be installed."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        if not install:
            print(f"{name}: not installed (run without --quick once)")
            return None
        print(f"{name}: installing {packages} …", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages.split()],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            print(f"{name}: not installed: {done.stderr.decode()[-200:]}")
            return None
        (folder / "ready").touch()
    return python


def _node_with_ws() -> Path | None:
    modules = CACHE / "node" / "node_modules"
    if not (modules / "ws").exists():
        if shutil.which("npm") is None:
            print("node: not installed")
            return None
        modules.parent.mkdir(exist_ok=True)
        subprocess.run(["npm", "install", "--silent", "--prefix", str(modules.parent), "ws@8"], check=False)
    return modules if (modules / "ws").exists() else None


# --- what is said ----------------------------------------------------------------------------------------------------


def _line(name: str, row: Figures) -> str:
    trouble = f"  lost {row.lost} corrupt {row.corrupt} closed {row.closed_early}" if not row.good else ""
    if not row.fair:
        trouble += f"  the generator was {row.sent_late_p99_ms:.0f} ms late"
    return (
        f"{name:14} N={row.calls:<5} {row.us_per_pair:6.1f} µs a frame pair  "
        f"{row.us_per_pair * 50 / 1000:5.2f} CPU s in 1,000 s of a call  cpu {row.cpu:4.0%}  "
        f"rtt p50 {row.rtt_p50_ms:.2f} p99 {row.rtt_p99_ms:.2f} ms  {row.kb_per_call:.1f} kB a call{trouble}"
    )


def _report(results: dict[tuple[str, int], list[Figures]], most: dict[str, list[int]]) -> bool:
    medians = {key: _median(rows) for key, rows in results.items()}
    print("\nMedians\n")
    for (name, _), row in medians.items():
        print(_line(name, row) + (f"  largest N {statistics.median(most[name]):.0f}" if name in most else ""))

    checks: list[tuple[str, float, float, float | None, bool]] = []
    for peer, calls, must, goal in LIMITS:
        ratios = [
            ours.us_per_pair / theirs.us_per_pair
            for ours, theirs in zip(results.get(("callpath", calls), []), results.get((peer, calls), []), strict=False)
        ]
        if ratios:
            checks.append((f"cost against {peer}, {calls} calls", statistics.median(ratios), must, goal, True))
    for peer, must, goal in LARGEST:
        ratios = [ours / theirs for ours, theirs in zip(most.get("callpath", []), most.get(peer, []), strict=False)]
        if ratios:
            print(f"largest number against {peer}, round by round: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
            checks.append((f"largest number against {peer}", statistics.median(ratios), must, goal, False))
    ours = medians.get(("callpath", 200))
    if ours is not None:
        checks.append(("round trip p99 at 200 calls, ms", ours.rtt_p99_ms, RTT_P99_MS_MAX, None, True))
        checks.append(("memory a call at 200 calls, kB", ours.kb_per_call, KB_PER_CALL_MAX, None, True))
    checks.append(("8 to 16 to 8 kHz, delay in ms", _delay_there_and_back_ms(), DELAY_MS_MAX, None, True))

    print("\nLimits\n")
    fine = True
    for what, value, must, goal, at_most in checks:
        ok = value <= must if at_most else value >= must
        fine = fine and ok
        sign = "≤" if at_most else "≥"
        reached = goal is not None and (value <= goal if at_most else value >= goal)
        wish = "" if goal is None else f"  goal {sign} {goal:<5} {'reached' if reached else 'not yet'}"
        print(f"{'ok  ' if ok else 'FAIL'} {what:36} {value:6.2f} {sign} {must:<5}{wish}")
    return fine


def _median(rows: list[Figures]) -> Figures:
    def of(name: str) -> float:
        return statistics.median(getattr(row, name) for row in rows)

    names = ("us_per_pair", "cpu", "rtt_p50_ms", "rtt_p99_ms", "age_p50_ms", "kb_per_call", "sent_late_p99_ms")
    return Figures(
        calls=rows[0].calls,
        lost=max(row.lost for row in rows),
        corrupt=max(row.corrupt for row in rows),
        closed_early=max(row.closed_early for row in rows),
        **{name: of(name) for name in names},
    )


def _delay_there_and_back_ms() -> float:
    speech = sweep(200, 3400, duration_ms=1000, sample_rate_hz=8000)
    up, down = Resampler(8000, 16000), Resampler(16000, 8000)
    heard = [down.push(up.push(speech[start : start + 160])) for start in range(0, speech.size, 160)]
    import numpy as np

    return find_delay_ms(speech, np.concatenate(heard), 8000).delay_ms


if __name__ == "__main__":
    os.environ["PYTHONWARNINGS"] = "ignore"
    main()
