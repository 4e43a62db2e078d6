"""Audio that several tests listen to: see golden/README.md for where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from callpath.audio.pcm import Pcm
from callpath.audio.wav import read_wav

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def golden_payloads() -> Callable[[str], list[bytes]]:
    return lambda name: [bytes.fromhex(line) for line in (GOLDEN / name).read_text().split()]


@pytest.fixture(scope="session")
def speech_8k() -> Pcm:
    return read_wav(GOLDEN / "speech-8k.wav")[0]


@pytest.fixture(scope="session")
def speech_16k() -> Pcm:
    return read_wav(GOLDEN / "speech-16k.wav")[0]
