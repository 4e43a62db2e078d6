"""One queue of waiting calls, and the webhooks of its legs. Pure.

Methods return effects on legs, each wrapped in `Elsewhere`. Raises Refused where Telnyx refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from callpath.simulator.call import CarrierCall, Effect, Elsewhere
from callpath.simulator.refusal import refuse
from callpath.wire.command import Enqueue
from callpath.wire.document import Json

SIZE_MAX = 100
"""max_size of a queue that enqueue makes, documented default; `POST /queues` has 300."""

Reason = Literal["bridged", "leave", "timeout", "hangup"]


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """One call in a queue."""

    call: CarrierCall
    since_ms: float
    until_ms: float | None
    stays: bool
    """True if the call stays listed after its hangup, so that it can be called back."""


class Queue:
    """One queue. `time` writes a moment of the clock as Telnyx does."""

    def __init__(self, queue_id: str, name: str, size_max: int, time: Callable[[float], str], now_ms: float) -> None:
        self.id = queue_id
        self.name = name
        self.size_max = size_max
        self.waiting: list[Waiter] = []
        """Oldest first."""
        self._time = time
        self._created_at_ms = now_ms
        self._waited_ms: list[float] = []

    def add(self, call: CarrierCall, command: Enqueue, now_ms: float) -> list[Effect]:
        """Raises Refused: 90034, 90036, 90037, 90038."""
        if call.state != "answered":
            raise refuse("90034")
        if call.queue is not None:
            raise refuse("90038")
        if command.max_size is not None and command.max_size != self.size_max:
            raise refuse("90037")
        if len(self.waiting) >= self.size_max:
            raise refuse("90036", name=self.name)
        effects: list[Effect] = [Elsewhere(call, call.leave_others(now_ms))]
        limit_s = command.max_wait_time_secs
        until_ms = None if limit_s is None else now_ms + 1000 * limit_s
        waiter = Waiter(call, now_ms, until_ms, bool(command.keep_after_hangup))
        self.waiting.append(waiter)
        call.queue = self
        if until_ms is not None:
            call.at(until_ms, lambda at_ms: self._timed_out(waiter, at_ms))
        told = call.queue_event(
            now_ms,
            "call.enqueued",
            queue=self.name,
            current_position=len(self.waiting),
            queue_avg_wait_time_secs=self.average_s(),
        )
        return [*effects, Elsewhere(call, [told])]

    def leave(self, call: CarrierCall, now_ms: float, reason: Reason) -> list[Effect]:
        """The leg is out of the queue, and parked where nothing else follows."""
        waiter = next((one for one in self.waiting if one.call is call and call.queue is self), None)
        if waiter is None:
            return []
        position = self.waiting.index(waiter) + 1
        if not (reason == "hangup" and waiter.stays):
            self.waiting.remove(waiter)
        call.queue = None
        self._waited_ms.append(now_ms - waiter.since_ms)
        told = call.queue_event(
            now_ms,
            "call.dequeued",
            queue=self.name,
            queue_position=position,
            reason=reason,
            wait_time_secs=int((now_ms - waiter.since_ms) // 1000),
        )
        return [Elsewhere(call, [told])]

    def take(self) -> CarrierCall:
        """The head of the queue, for a bridge. Raises Refused where it is empty, or its call is over."""
        if not self.waiting:  # the code is unknown
            raise refuse("90033", detail=f"The queue {self.name} is empty.")
        head = self.waiting[0]
        if head.call.state == "ended":
            self.waiting.pop(0)  # taken out even if the bridge fails
            raise refuse("90018")
        return head.call

    def average_s(self) -> int:
        """How long those who left have waited."""
        return int(sum(self._waited_ms) / len(self._waited_ms) / 1000) if self._waited_ms else 0

    def _timed_out(self, waiter: Waiter, now_ms: float) -> list[Effect]:
        return self.leave(waiter.call, now_ms, "timeout") if waiter in self.waiting else []

    # --- what can be asked ---

    def row(self) -> Json:
        """The resource of this queue."""
        return {
            "record_type": "queue",
            "id": self.id,
            "name": self.name,
            "created_at": self._time(self._created_at_ms),
            "updated_at": self._time(self._created_at_ms),
            "current_size": len(self.waiting),
            "max_size": self.size_max,
            "average_wait_time_secs": self.average_s(),
        }

    def call_rows(self, now_ms: float) -> list[Json]:
        """The resources of those who wait."""
        return [
            {
                "record_type": "queue_call",
                "call_control_id": one.call.leg.call_control_id,
                "call_leg_id": one.call.leg.call_leg_id,
                "call_session_id": one.call.leg.call_session_id,
                "connection_id": one.call.leg.connection_id,
                "from": one.call.leg.from_,
                "to": one.call.leg.to,
                "enqueued_at": self._time(one.since_ms),
                "queue_id": self.id,
                "queue_position": number,
                "wait_time_secs": int((now_ms - one.since_ms) // 1000),
                "is_alive": one.call.state != "ended",
            }
            for number, one in enumerate(self.waiting, 1)
        ]
