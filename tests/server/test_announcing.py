"""Calls that only say or play something."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from callpath import App
from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.call.dials import ANNOUNCEMENT, SOUNDS
from callpath.commands import Hangup, PlaybackStart, Speak
from callpath.server.announcing import DETECTED_S_MAX, announce
from callpath.testing import HandlerUnderTest, place_call

BEEP = np.concatenate((tone(0.0, duration_ms=2_500), tone(1000, duration_ms=400), tone(0.0, duration_ms=100)))


def announcing() -> App:
    app = App()
    app.call(announce)
    return app


def placed(order: dict[str, Any], folder: Path = Path(), **how: Any) -> Any:
    return place_call(announcing(), direction="outgoing", variables={ANNOUNCEMENT: order}, data_dir=folder, **how)


def spoken(caller: HandlerUnderTest) -> list[str]:
    return [command.payload for command in caller.commands if isinstance(command, Speak)]


async def test_a_text_is_said_and_the_call_hung_up() -> None:
    """Nobody else ends it."""
    async with placed({"say": "Hello"}) as caller:
        await caller.run(ms=8_000)

    assert spoken(caller) == ["Hello"]
    assert any(isinstance(command, Hangup) for command in caller.commands)


async def test_a_file_is_played(tmp_path: Path) -> None:
    """From the server's own folder."""
    (tmp_path / SOUNDS).mkdir()
    write_wav(tmp_path / SOUNDS / "a.wav", tone(440, duration_ms=1_000), 8000)
    async with placed({"file": "a.wav"}, tmp_path) as caller:
        await caller.run(ms=500)
        heard_hz = caller.heard_hz()
        await caller.run(ms=8_000)

    assert abs(heard_hz - 440) < 3
    assert any(isinstance(command, Hangup) for command in caller.commands)


async def test_a_url_is_played_by_telnyx() -> None:
    """It fetches it."""
    async with placed({"url": "https://example.com/a.mp3"}) as caller:
        await caller.run(ms=8_000)

    assert ["https://example.com/a.mp3"] == [
        command.audio_url for command in caller.commands if isinstance(command, PlaybackStart)
    ]


async def test_a_machine_hears_it_after_its_beep() -> None:
    """The beep is heard here, since Telnyx says nothing of it."""
    async with placed({"say": "Hello", "detect": True}, answered_by="machine", say=BEEP) as caller:
        await caller.run(ms=2_400)
        before = spoken(caller)
        await caller.run(ms=1_500)
        after = spoken(caller)

    assert (before, after) == ([], ["Hello"])


@pytest.mark.parametrize("verdict", ["human_residence", "not_sure"])
async def test_a_person_hears_it_at_once(verdict: str) -> None:
    """Dead air makes people hang up."""
    async with placed({"say": "Hello", "detect": True}, answered_by=verdict) as caller:
        await caller.run(ms=500)
        said = spoken(caller)

    assert said == ["Hello"]


async def test_a_verdict_that_never_comes_is_not_waited_for() -> None:
    """It may be lost."""
    async with placed({"say": "Hello", "detect": True}) as caller:
        await caller.run(ms=1_000 * DETECTED_S_MAX - 500)
        before = spoken(caller)
        await caller.run(ms=1_500)
        after = spoken(caller)

    assert (before, after) == ([], ["Hello"])


async def test_a_fax_hears_nothing() -> None:
    """And is hung up."""
    async with placed({"say": "Hello", "detect": True}, answered_by="fax_detected") as caller:
        await caller.run(ms=8_000)

    assert spoken(caller) == []
    assert any(isinstance(command, Hangup) for command in caller.commands)
