"""Telnyx records, transcribes and suppresses noise for a handler, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from callpath import App, Call
from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.audio.wav import parse_wav
from callpath.timeline import WebhookReceived
from tests import sdk
from tests.serving import PATIENT_MS, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def power(pcm: Pcm, hz: float) -> float:
    wave = np.exp(-2j * np.pi * hz * np.arange(pcm.size) / 8000)
    return float(2 * abs((pcm.astype(float) * wave).sum()) / max(1, pcm.size) / 32768)


async def test_a_recording_of_telnyxs_has_nothing_of_a_pause_and_what_is_said_comes_as_text(tmp_path: Path) -> None:
    """The file is fetched from where the webhook says, and judged by frequency."""
    app, seen = App(), dict[str, Any]()
    paused, resume, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.call
    async def handle(call: Call) -> None:
        await call.suppress_noise("inbound")
        async with call.transcribe(interim=True) as lines:
            recording = await call.record_with_telnyx(channels="single")
            seen["first"] = [await anext(lines), await anext(lines)]
            await recording.pause()
            paused.set()
            await resume.wait()
            await recording.resume()
            seen["resumed"] = True
            await stop.wait()
            seen["saved"] = await recording.stop(within_s=30)
        seen["left"] = [line.text async for line in lines if line.is_final]

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started(PATIENT_MS)
        session = caller.call.leg.call_session_id
        await served.until(session, lambda what: getattr(what, "command", "") == "record_start", 2)
        caller.speak(tone(500, duration_ms=600), words="good morning")
        await asyncio.wait_for(paused.wait(), 60)
        caller.speak(tone(1_300, duration_ms=600), words="four one one one")
        await caller.spoken()
        resume.set()
        await served.until(session, lambda what: getattr(what, "command", "") == "record_resume", 2)
        caller.speak(tone(800, duration_ms=600), words="thank you")
        await caller.spoken()
        await asyncio.sleep(0.3)
        stop.set()
        await caller.ended(PATIENT_MS)
        entries = await served.timeline(session)
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.get(seen["saved"].urls["wav"])
    pcm, rate_hz = parse_wav(answer.content, "telnyx.wav")
    interim, final = seen["first"]
    webhooks = [entry.what.body for entry in entries if isinstance(entry.what, WebhookReceived)]

    assert (200, 8000) == (answer.status_code, rate_hz)
    assert min(power(pcm, 500), power(pcm, 800)) > 0.01
    assert power(pcm, 1_300) < 0.002
    assert seen["saved"].duration_ms > 1_000 * pcm.size / rate_hz, "the pause is cut out"
    assert ((False, True), "good morning") == ((interim.is_final, final.is_final), final.text)
    assert "inbound" == final.track
    assert "thank you" in seen["left"]
    assert [] == [problem for body in webhooks for problem in sdk.problems(body)]
