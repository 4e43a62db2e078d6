"""The pytest fixtures, as another project meets them: in a folder of its own, with a program that is not ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.simulator.conftest import BOT

PROJECT = f"""
import json, os, subprocess, sys
import pytest

@pytest.fixture
def bot(telnyx):
    with subprocess.Popen([sys.executable, {str(BOT)!r}, "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env=os.environ | telnyx.environment) as process:
        telnyx.webhook_url = json.loads(process.stdout.readline())["webhook"]
        yield process
        process.kill()

def test_it_answers(bot, telnyx_call):
    caller = telnyx_call()
    caller.press("1")
    assert caller.failure is None

def test_it_sings(bot, telnyx_call):
    caller = telnyx_call()
    assert caller.heard.size > 10**9, "it does not sing"
"""


def test_another_project_uses_the_fixtures(tmp_path: Path) -> None:
    """It passes where the bot is right; where a test fails, the call explains itself and leaves its recording."""
    (tmp_path / "test_bot.py").write_text(PROJECT)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "temp"),
        ".",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "telnyx call 1" in done.stdout
    assert '"call.initiated"' in done.stdout
    assert list((tmp_path / "temp").rglob("call-1.wav"))


def test_it_costs_nothing_where_nobody_asks_for_it() -> None:
    """pytest loads it in every run of every project on this machine: nothing of ours may come with it."""
    code = (
        "import pytest, sys; before = set(sys.modules); import callpath.pytest_plugin; "
        "print(sorted(name for name in set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "['callpath', 'callpath.pytest_plugin']" == done.stdout.strip()
