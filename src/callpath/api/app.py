"""App: an application, one coroutine per call.

    app = App()

    @app.call(sample_rate_hz=16000)
    async def handle(call: Call) -> None:
        await call.play("welcome.wav")
        async for chunk in call.audio:          # PCM16 mono, 20 ms each, at 16 kHz
            await call.play(await think(chunk))

The coroutine is entered when the stream has started and cancelled when the call ends. `server/application.py` has what
follows when it returns or raises.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import overload

from callpath.api.call import Call
from callpath.errors import AudioError, LocalProtocolError

SAMPLE_RATES_HZ = (8000, 16000, 24000, 48000)
"""Rates at which a handler's audio can come and go."""

Handler = Callable[[Call], Awaitable[None]]


class App:
    """An application: one coroutine per call. Hand it to `callpath serve module:app`."""

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.sample_rate_hz = 8000
        self.raw = False

    @overload
    def call(self, handler: Handler, /) -> Handler: ...

    @overload
    def call(self, /, *, sample_rate_hz: int = 8000, raw: bool = False) -> Callable[[Handler], Handler]: ...

    def call(
        self, handler: Handler | None = None, /, *, sample_rate_hz: int = 8000, raw: bool = False
    ) -> Handler | Callable[[Handler], Handler]:
        """Decorator: enter `handler` for every call; its audio comes and goes at `sample_rate_hz`.

        With `raw` the handler gets payloads as they came, in the stream's encoding, and plays payloads: for bridges and
        for engines that speak the phone's codec. Nothing is decoded, resampled, or put in the place of what was lost. A
        payload to play may be of any length where its codec can be cut: PCMU, PCMA, G722, L16.

        Raises AudioError for a rate that is none of SAMPLE_RATES_HZ, LocalProtocolError for a second handler.
        """
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise AudioError(f"a handler's audio can be at 8000, 16000, 24000 or 48000 Hz, not at {sample_rate_hz}")

        def register(handler: Handler) -> Handler:
            if self.handler is not None:
                raise LocalProtocolError("this App has a handler already: one App, one @app.call")
            self.handler = handler
            self.sample_rate_hz = sample_rate_hz
            self.raw = raw
            return handler

        return register if handler is None else register(handler)

    @property
    def name(self) -> str:
        """The handler's name, for timelines."""
        return getattr(self.handler, "__name__", "none")
