"""The simulator without asyncio, against a bot that is not ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from callpath.audio.tone import sweep
from callpath.audio.wav import read_wav
from callpath.simulator.blocking import stand_in
from tests.simulator.conftest import BOT


def test_a_whole_call_without_await(tmp_path: Path) -> None:
    """What most test suites can write; each method returns when it is done."""
    with (
        stand_in() as telnyx,
        subprocess.Popen(
            [sys.executable, BOT, "talk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | telnyx.environment,
        ) as bot,
    ):
        assert bot.stdout is not None
        telnyx.webhook_url = json.loads(bot.stdout.readline())["webhook"]
        caller = telnyx.call()
        caller.stream_started()
        caller.wait_for_speech_end()
        caller.say(sweep(700, 1500, duration_ms=400))
        caller.spoken()
        caller.wait_for_speech()
        caller.barge_in(sweep(800, 1700, duration_ms=600))
        caller.press("1")
        silence = caller.listen(200)
        caller.hang_up()
        caller.ended()
        bot.kill()
        report = caller.report()
        caller.write_recording(tmp_path / "call.wav")

        assert caller.failure is None
        gap_ms = caller.hearing.response_gap_ms[0]
        stop_ms = caller.hearing.barge_in_stop_ms[0]
        assert caller.heard.size > 8_000
        assert caller.said.any()
    assert gap_ms >= 280  # the bot waits for 15 quiet packets; the rest is the machine's
    assert stop_ms >= 80  # and stops after five loud ones
    assert silence.size >= 1600
    assert report["ear"]["first_audio_ms"] is not None
    assert read_wav(tmp_path / "call.wav")[0].size > 8_000
