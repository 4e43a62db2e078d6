"""A recording outlives its process. (What is in it: tests/test_testing.py and tests/call/test_recorder.py.)"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from callpath.api.recording import Recording
from callpath.audio.codec import open_encoder
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import read_wav, read_wav_sides, wav_duration_ms
from callpath.call.stream import MediaStream
from callpath.wire.ids import StreamId
from callpath.wire.media import Media, encode_message
from tests.telnyx import sample_text

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


@pytest.mark.parametrize("lead_ms", [0.0, 100.0, 200.0])
def test_what_we_say_to_a_caller_who_is_not_heard_is_written_in_time(tmp_path: Path, lead_ms: float) -> None:
    """His frames do not come, and only ours would tell what happened: with a look a second 1.3 s were lost."""
    path = tmp_path / "call.wav"
    recording = Recording(path, 8000, 0.0)
    stream = MediaStream()
    recording.attach(stream)
    assert stream.playout.on_sent is not None
    lost_ms = []
    for number in range(500):
        now_ms = 20.0 * number
        if now_ms % 1000 == 980:
            recording.write(now_ms)
        if now_ms >= 1000:
            lost_ms.append(now_ms - wav_duration_ms(path))
        stream.playout.on_sent(b"\x10" * 160, now_ms + lead_ms)
    recording.close(10_000.0)

    assert max(lost_ms) <= 1000


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


def test_our_side_is_recorded_in_the_byte_order_that_the_stream_went_over_to(tmp_path: Path) -> None:
    """With `detect` a stream begins little-endian and follows the sound; its recording stayed behind, and was noise."""
    stream = MediaStream(play_encoding="L16", byte_order="detect")
    stream.receive_text(sample_text("ws/t-start-l16-8k.json"), 0)
    recording = Recording(tmp_path / "call.wav", 8000, 0)
    recording.attach(stream)
    encoder = open_encoder("L16", 8000, byte_order="big")
    speech = np.tile(read_wav(Path(__file__).parents[1] / "audio" / "golden" / "speech-8k.wav")[0], 2)
    for number in range(100):
        now_ms = 20.0 * number
        payload = encoder.encode(speech[160 * number : 160 * number + 160])
        media = Media(payload=payload, chunk=number + 1, stream_id=StreamId("s"))
        stream.receive_text(encode_message(media), now_ms)
        if number == 49:
            stream.on_second(now_ms, waiting_ms=0, lag_ms=0, may_take_long=True)
        stream.play(tone(450, duration_ms=20))
        stream.texts_to_send(now_ms)
    recording.close(2000)
    (_, right), _ = read_wav_sides(tmp_path / "call.wav")

    assert "big" == stream.byte_order
    assert abs(dominant_frequency_hz(right[8800:], 8000) - 450) < 10
    assert np.abs(right[8800:]).max() < 12_000
