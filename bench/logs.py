"""How fast `callpath doctor logs` reads, beside plain tools on the same file in the same run.

    python bench/logs.py              100 MB of each kind: some three minutes
    python bench/logs.py --mb 20      less of it; the limit is scaled

Kinds: `frames` (a text log that tells each media frame), `pino` (JSON, with a request id of its own on every line),
`words` (a text log in which every line differs, as transcripts and prompts do), `rows` (nginx rows, all different).
Each has 20 calls in it; all of them must be found. grep -c and jq read the same file: their time says what the machine
can do at this moment.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from pydoc_data.topics import topics

SECONDS_MAX = 10.0
"""For 100 MB, with the start of Python and the filter of words."""

STARTUP_SECONDS = 1.5

MEMORY_MB_MAX = 150
CALLS = 20
BEGUN = datetime(2026, 3, 17, 14, 0, 0, tzinfo=UTC)

Line = Callable[[datetime, int, random.Random], str]


def call_id(number: int) -> str:
    return f"v3:wQmZtYhBv2LnPqRs7TuVwXyZa1BcDeFgHiJkLmNoPqRsTuV{number:06d}"


def story(number: int) -> Iterator[str]:
    """What a program says of one call that worked."""
    of = f"call_control_id={call_id(number)}"
    yield f"Telnyx webhook call.initiated {of}"
    yield f"answer accepted, 200 {of}"
    yield f"Telnyx webhook call.answered {of}"
    yield f"streaming_start accepted, 200 {of} stream_url=wss://bot.example.com/media stream_bidirectional_mode=rtp"
    yield f"media websocket connected {of}"
    yield f"start event {of} encoding=PCMU"
    yield f"first media frame received {of}"
    yield f"first audio frame sent to caller {of}"
    yield f"stop event {of}"
    yield f"media websocket closed {of} code=1000"
    yield f"Telnyx webhook call.hangup {of} hangup_cause=normal_clearing hangup_source=caller"


WORDS = " ".join(str(text) for text in topics.values()).split()
WORDS = [word for word in WORDS if word.isalpha()][:60_000]
"""English about programs, from Python's own help."""


def frames(at: datetime, number: int, _: random.Random) -> str:
    said = f"media frame received chunk={number} of {call_id(0)}"
    return f"{at:%Y-%m-%d %H:%M:%S},{number % 1000:03d} - bot - DEBUG - {said}"


def words(at: datetime, number: int, chance: random.Random) -> str:
    said = " ".join(chance.choices(WORDS, k=14))
    return f"{at:%Y-%m-%d %H:%M:%S},{number % 1000:03d} - bot.brain - INFO - thought {number:x}: {said}"


def pino(at: datetime, number: int, chance: random.Random) -> str:
    return json.dumps(
        {
            "level": 30, "time": int(at.timestamp() * 1000) + number % 1000, "pid": 17, "hostname": "web-1",
            "req": {"id": f"{chance.getrandbits(64):016x}", "method": "GET",
                    "url": f"/users/{chance.getrandbits(20)}/profile",
                    "remoteAddress": f"10.0.{number % 250}.{number % 200}", "remotePort": 1024 + number % 60000},
            "res": {"statusCode": 200}, "responseTime": chance.randrange(1, 900), "msg": "request completed",
        }
    )  # fmt: skip


def rows(at: datetime, number: int, chance: random.Random) -> str:
    return (
        f'203.0.113.{number % 250} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "GET /shop/{"-".join(chance.choices(WORDS, k=3))}'
        f'?page={number} HTTP/1.1" 200 {chance.randrange(90_000)} "https://example.com/{number:x}" '
        '"Mozilla/5.0 (X11; Linux)"'
    )


KINDS: dict[str, Line] = {"frames": frames, "pino": pino, "words": words, "rows": rows}


def write(path: Path, line: Line, size: int) -> int:
    """A file of `size` bytes with the calls spread over it. Returns its number of lines."""
    chance = random.Random(1)
    told: list[list[str]] = [list(story(number)) for number in range(1, CALLS + 1)]
    events = [(index, text) for index, lines in enumerate(told) for text in lines]
    written = number = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            number += 1
            at = BEGUN + timedelta(milliseconds=50 * number)
            written += file.write(line(at, number, chance).replace("\n", " ") + "\n")
            if events and written >= size * (len(told) * 11 - len(events)) / (len(told) * 11 + 1):
                text = events.pop(0)[1]
                stamp = f"{at:%Y-%m-%d %H:%M:%S},{number % 1000:03d}"
                row = json.dumps(
                    {"level": 30, "time": int(at.timestamp() * 1000) + number % 1000, "pid": 17, "msg": text}
                )
                plain = f"{stamp} - bot - INFO - {text}"
                written += file.write((row if line is pino else plain) + "\n")
    return number


def timed(*command: str) -> tuple[float, str, str]:
    """CPU seconds, and what was printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout, done.stderr


MEASURED = """
import json, resource, sys
from callpath.cli import main
sys.argv = ["callpath", "doctor", "logs", sys.argv[1], "--json"]
try:
    main()
finally:
    sys.stderr.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
"""


def measure(path: Path, size_mb: float) -> bool:
    """One line for one file; True where it is within the limits."""
    spent, printed, errors = timed(sys.executable, "-c", MEASURED, str(path))
    memory = int(errors.strip().split()[-1] or 0)
    calls = json.loads(printed)["calls_found"]
    tools = {"grep -c": ("grep", "-c", "call.initiated", str(path)), "rg -c": ("rg", "-c", "call.initiated", str(path))}
    if path.name == "pino":
        tools["jq"] = ("jq", "-c", "select(.level > 40)", str(path))
    beside = {name: timed(*command)[0] for name, command in tools.items() if shutil.which(command[0])}
    limit = STARTUP_SECONDS + (SECONDS_MAX - STARTUP_SECONDS) * size_mb / 100
    ok = spent <= limit and memory <= MEMORY_MB_MAX and calls in {CALLS, CALLS + 1}
    ratios = ", ".join(f"{spent / max(took, 0.001):.0f} x {name}" for name, took in beside.items())
    sys.stdout.write(
        f"{path.name:8} {spent:6.1f} s CPU limit {limit:.1f}, {memory:4d} MB limit {MEMORY_MB_MAX}, "
        f"{calls} calls, {ratios}: {'ok' if ok else 'FAIL'}\n"
    )
    sys.stdout.flush()
    return ok


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=float, default=100)
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, separated by commas")
    given = parser.parse_args()
    fine = True
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.only.split(","):
            path = Path(folder) / kind
            write(path, KINDS[kind], int(given.mb * 1e6))
            fine = measure(path, given.mb) and fine
            path.unlink()
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
