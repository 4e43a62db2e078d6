"""A past call once more: the same words, the same keys, today's handler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from callpath.api.app import App
from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import read_wav, read_wav_sides, write_wav
from callpath.dashboard.replay import script_of
from callpath.events import DtmfPressed
from callpath.simulator.simulator import hello_wav
from callpath.store.sql import open_call_log
from callpath.timeline import DtmfReceived, RecordingSaved, StreamStarted
from callpath.wire.ids import StreamId
from tests.dashboard.browsing import dashboard_server
from tests.dashboard.calls import entries, failed_call, looking
from tests.dashboard.test_changes import parsed
from tests.dashboard.test_phone import LIKENESS_MIN, likeness


def recorded_call(path: Path, encoding: str = "PCMA") -> list[Any]:
    """Two keys, and a recording whose left side says hello."""
    voice, rate_hz = read_wav(hello_wav())
    path.parent.mkdir(exist_ok=True)
    write_wav(
        path, (resample_file_audio(voice, rate_hz, 8000)[:8000], resample_file_audio(voice, rate_hz, 8000)[:1]), 8000
    )
    return [
        StreamStarted(stream_id=StreamId("s"), encoding=encoding, sample_rate_hz=8000),
        DtmfReceived(digit="4"),
        DtmfReceived(digit="2"),
        RecordingSaved(path=str(path), duration_ms=1000.0),
    ]


def test_what_the_caller_did(tmp_path: Path) -> None:
    """Its voice, its keys at their times, the codec of its phone; L16 is no phone's."""
    whole = recorded_call(tmp_path / "a.wav")
    script = script_of(entries("call", whole), tmp_path / "a.wav")
    started = StreamStarted(stream_id=StreamId("s"), encoding="L16", sample_rate_hz=16000)
    wide = script_of(entries("call", [started, whole[3]]), tmp_path / "a.wav")

    assert script is not None and wide is not None
    assert ((10.0, "4"), (20.0, "2")) == script.keys
    assert (8000, 8000, "PCMA", 1000.0) == (script.voice.size, script.rate_hz, script.codec, script.duration_ms)
    assert "PCMU" == wide.codec


@pytest.mark.parametrize("gone", ["nothing", "elsewhere", "broken"])
async def test_a_call_without_its_sound_cannot_be_replayed(tmp_path: Path, gone: str) -> None:
    """Said, with the setting that would have kept it."""
    broken = tmp_path / "recordings" / "b.wav"
    broken.parent.mkdir()
    broken.write_bytes(b"x")
    path = {"nothing": tmp_path / "none.wav", "elsewhere": Path("/etc/passwd"), "broken": broken}[gone]
    async with looking(tmp_path) as it:
        started = StreamStarted(stream_id=StreamId("s"), encoding="PCMU", sample_rate_hz=8000)
        await it.take("call", [*failed_call(), started, RecordingSaved(path=str(path), duration_ms=1.0)])
        answer = await it.http.post("/api/v1/calls/call/replay")

        assert (409, True) == (answer.status_code, "CALLPATH_RECORD" in answer.json()["detail"])


@pytest.mark.e2e
async def test_the_handler_of_today_hears_the_caller_of_then(tmp_path: Path) -> None:
    """The new call carries the old voice and keys, and is a call like any other."""
    app = App()
    pressed: list[str] = []

    @app.call
    async def listen(call: Any) -> None:
        async for event in call.events:
            if isinstance(event, DtmfPressed):
                pressed.append(event.digit)

    whole = recorded_call(tmp_path / "recordings" / "then.wav")
    async with dashboard_server(app, tmp_path) as url:
        async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
            for entry in entries("then", whole):
                await log.append(entry)
        async with httpx2.AsyncClient(trust_env=False, timeout=20) as http:
            answer = await http.post(f"{url}/api/v1/calls/then/replay")
            events = [parsed(block.encode()) for block in answer.text.strip().split("\n\n")]
            session = events[0][1]["session"]
            call = (await http.get(f"{url}/api/v1/calls/{session}")).json()
    (now, _), rate_hz = read_wav_sides(tmp_path / "recordings" / f"{session}.wav")
    (then, _), _ = read_wav_sides(tmp_path / "recordings" / "then.wav")

    assert ["ringing", "ended"] == [name for name, _, _ in events]
    assert ({"failure": None}, ["4", "2"]) == (events[1][1], pressed)
    assert "PCMA" == next(one["what"]["encoding"] for one in call["entries"] if one["kind"] == "stream.started")
    assert likeness(then, now, rate_hz) > LIKENESS_MIN
