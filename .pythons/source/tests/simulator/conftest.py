"""A program that is not ours, for what must work with any."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BOT = Path(__file__).parent / "foreign_bot.py"


@dataclass(frozen=True)
class Foreign:
    """A foreign bot that runs: where it is, and the port at which it expects Telnyx."""

    webhook: str
    dial: str
    port: int


@contextmanager
def foreign(kind: str) -> Iterator[Foreign]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"TELNYX_API_BASE": f"http://127.0.0.1:{port}/v2", "TELNYX_API_KEY": "KEYcallpath-development-only"}
    with subprocess.Popen(
        [sys.executable, BOT, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        assert process.stdout is not None
        yield Foreign(**json.loads(process.stdout.readline()), port=port)
        process.kill()


@pytest.fixture
def echo_bot() -> Iterator[Foreign]:
    """It sends everything back."""
    with foreign("echo") as bot:
        yield bot


@pytest.fixture
def menu_bot() -> Iterator[Foreign]:
    """It needs no stream."""
    with foreign("menu") as bot:
        yield bot


@pytest.fixture
def talking_bot() -> Iterator[Foreign]:
    """It greets, stops when it is interrupted, and answers."""
    with foreign("talk") as bot:
        yield bot
