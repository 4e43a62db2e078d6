"""How busy the doctor's own machine is: on a starved one, times prove nothing about the server."""

from __future__ import annotations

from callpath.clock import Clock
from callpath.doctor.facts import MachineFacts

LOOK_EVERY_MS = 20.0


class LagWatch:
    """Sleeps and notes how late it wakes. `run` goes on until cancelled."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lag_ms_max = 0.0

    async def run(self) -> None:
        while True:
            due_ms = self._clock.now_ms() + LOOK_EVERY_MS
            await self._clock.sleep_ms(LOOK_EVERY_MS)
            self._lag_ms_max = max(self._lag_ms_max, self._clock.now_ms() - due_ms)

    def facts(self) -> MachineFacts:
        """What was seen so far."""
        return MachineFacts(lag_ms_max=self._lag_ms_max)
