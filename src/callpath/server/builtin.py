"""Handlers that can be run by name: `callpath serve echo`."""

from __future__ import annotations

from callpath.api.app import App
from callpath.api.call import Call
from callpath.audio.tone import tone

TONE_HZ = 440
"""Concert pitch: easy to know by ear, and inside every phone codec's band."""

TONE_MS = 1_000
TONE_TIMES = 30


def echo() -> App:
    """The caller hears what he says."""
    app = App()

    @app.call
    async def echo(call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)

    return app


def record() -> App:
    """The caller is recorded until the end of the call: one stereo WAV a call, the caller left, in recordings/ of the data
    directory."""
    app = App()

    @app.call
    async def record(call: Call) -> None:
        call.record()
        async for _ in call.audio:
            pass

    return app


def tone_() -> App:
    """The caller hears a tone of 440 Hz for half a minute: the quickest proof that our audio reaches the phone."""
    app = App()

    @app.call
    async def play_tone(call: Call) -> None:
        second = tone(TONE_HZ, duration_ms=TONE_MS, sample_rate_hz=call.sample_rate_hz)
        for _ in range(TONE_TIMES):
            await call.play(second)

    return app


BUILTIN = {"echo": echo, "record": record, "tone": tone_}
