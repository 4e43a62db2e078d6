"""Handlers that are measured, beside the built-in echo."""

from __future__ import annotations

from callpath import App, Call

echo16k = App()


@echo16k.call(sample_rate_hz=16000)
async def echo_at_16_khz(call: Call) -> None:
    """As a speech engine would have it: up to 16 kHz and back."""
    async for chunk in call.audio:
        await call.play(chunk)
