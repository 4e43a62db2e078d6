"""A recording outlives its process. (What is in it: tests/test_testing.py and tests/call/test_recorder.py.)"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from callpath.audio.tone import dominant_frequency_hz
from callpath.audio.wav import read_wav_sides

CHILD = """
import asyncio, sys
from pathlib import Path
from callpath import App, Call
from callpath.audio.tone import tone
from callpath.testing import place_call

app = App()

@app.call
async def handle(call: Call) -> None:
    call.record(sys.argv[1])
    async for chunk in call.audio:
        await call.play(tone(450, duration_ms=20))

async def main() -> None:
    async with place_call(app, say=tone(700, duration_ms=20_000)) as caller:
        for tenth in range(1, 200):
            await caller.run(ms=100)
            print(100 * tenth, flush=True)
            sys.stdin.readline()

asyncio.run(main())
"""
"""A call that is recorded, a tenth of a second for each line on standard input."""


def test_kill_9_loses_at_most_a_second(tmp_path: Path) -> None:
    """An evicted container gets no chance to close its files; the conversation until then may be all there is."""
    path = tmp_path / "call.wav"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        lost_ms: list[float] = []
        for line in child.stdout:
            (left, right), rate_hz = read_wav_sides(path)  # as one would find it, were it killed now
            lost_ms.append(int(line) - 1000 * left.size / rate_hz)
            if int(line) == 3700:
                break
            child.stdin.write("\n")
            child.stdin.flush()
        child.send_signal(signal.SIGKILL)
    killed, _ = read_wav_sides(path)

    assert child.returncode == -signal.SIGKILL
    assert max(lost_ms) <= 1000
    assert [side.size for side in killed] == [left.size, right.size]
    assert abs(dominant_frequency_hz(left[8000:16000], rate_hz) - 700) < 3
    assert abs(dominant_frequency_hz(right[8000:16000], rate_hz) - 450) < 3
    assert np.abs(right[-800:]).max() > 1000  # to the very end
