"""Whether a new call can be taken at this moment."""

from __future__ import annotations

from collections.abc import Callable

from callpath.server.context import Context
from callpath.timeline import CallRejected


class Capacity:
    """What this process can take on. `taken` counts the calls that it serves."""

    def __init__(self, context: Context, taken: Callable[[], int]) -> None:
        self.draining = False
        """The server is about to stop: calls that are there go on, new ones are refused."""
        self._context = context
        self._taken = taken

    def refusing(self) -> CallRejected | None:
        """Why no new call can be taken; None: it can."""
        if self.draining:
            return CallRejected(reason="draining", detail="the server is stopping")
        calls_max = self._context.calls_max
        if calls_max and self._taken() >= calls_max:
            return CallRejected(reason="full", detail=f"{calls_max} calls are there already (CALLPATH_CALLS_MAX)")
        lag_ms = self._context.pacer.lag_ms_lately(self._context.clock.now_ms())
        if self._context.loop_lag_ms_max and lag_ms > self._context.loop_lag_ms_max:
            return CallRejected(
                reason="late", detail=f"the event loop was {lag_ms:.0f} ms late (CALLPATH_LOOP_LAG_MS_MAX)"
            )
        return None
