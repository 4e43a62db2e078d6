"""Queues: who waits, in which order it is taken, and what each is told."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.simulator.call import CarrierCall, Effect, Elsewhere, SendWebhook
from callpath.simulator.queue import Queue
from callpath.simulator.refusal import Refused
from callpath.wire.command import Enqueue
from callpath.wire.ids import CallControlId
from callpath.wire.webhook import webhook_document
from tests import sdk
from tests.simulator.test_call import Played, answered
from tests.telnyx import event_schemas, validate


class Line:
    """A queue, three answered legs, and every event of it as "leg event reason-or-position"."""

    def __init__(self, size_max: int = 100) -> None:
        self.queue = Queue("q", "support", size_max, lambda at_ms: f"2026-01-02T03:04:{at_ms / 1000:09.6f}Z", 0)
        self.legs = [answered(call_control_id=CallControlId(f"v3:{number}")) for number in range(3)]
        self.events: list[str] = []

    @property
    def calls(self) -> list[CarrierCall]:
        return [one.call for one in self.legs]

    def add(self, effects: list[Effect], leg: Played | None = None) -> None:
        for effect in effects:
            if isinstance(effect, Elsewhere):
                self.add(effect.effects, next(one for one in self.legs if one.call is effect.call))
            elif isinstance(effect, SendWebhook) and effect.webhook.event_type.endswith("queued"):
                assert leg is not None
                document = webhook_document(effect.webhook)
                document["data"]["payload"].pop("client_state")
                assert [] == validate(document, event_schemas()[effect.webhook.event_type])
                assert [] == sdk.problems(webhook_document(effect.webhook))
                payload = document["data"]["payload"]
                what = payload.get("reason") or payload["current_position"]
                self.events.append(f"{self.legs.index(leg)} {effect.webhook.event_type} {what}")

    def enqueue(self, number: int, at_ms: float, **body: Any) -> None:
        self.add(self.queue.add(self.calls[number], Enqueue(queue_name="support", **body), at_ms))

    def refused(self, number: int, **body: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.enqueue(number, 500, **body)
        return caught.value.errors[0].code


def test_the_head_is_taken_first() -> None:
    """First come, first served; who is taken is told that it is bridged."""
    line = Line()
    line.enqueue(0, 100)
    line.enqueue(1, 200)
    head = line.queue.take()
    line.add(head.leave_queue(5_200, "bridged"))

    assert head is line.calls[0]
    assert ["0 call.enqueued 1", "1 call.enqueued 2", "0 call.dequeued bridged"] == line.events
    assert ([line.calls[1]], 5) == ([one.call for one in line.queue.waiting], line.queue.average_s())


def test_who_hangs_up_leaves_and_may_stay_listed() -> None:
    """keep_after_hangup: to be called back; bridging to it fails, and takes it out."""
    line = Line()
    line.enqueue(0, 100)
    line.enqueue(1, 200, keep_after_hangup=True)
    for number in (0, 1):
        line.add(line.calls[number].party_hangs_up(1_000), line.legs[number])
    rows = line.queue.call_rows(3_200)

    assert ["0 call.dequeued hangup", "1 call.dequeued hangup"] == line.events[2:]
    assert [(False, 3)] == [(row["is_alive"], row["wait_time_secs"]) for row in rows]
    assert [] == validate(rows[0], "openapi-subset.json#/components/schemas/QueueCall")
    for code in ("90018", "90033"):
        with pytest.raises(Refused, match=code):
            line.queue.take()


def test_waiting_has_its_limit_and_the_leg_is_parked() -> None:
    """max_wait_time_secs: out with a reason, and up for the next command."""
    line = Line()
    line.enqueue(0, 100, max_wait_time_secs=2)
    line.enqueue(1, 100, max_wait_time_secs=2)
    line.legs[1].command("leave_queue", 500)
    for number in (0, 1):
        line.add(line.calls[number].effects_due(2_100), line.legs[number])

    assert "0 call.dequeued timeout" == line.events[-1]
    assert ["answered", "answered"] == [call.state for call in line.calls[:2]]
    assert [] == line.queue.waiting


def test_a_bridge_a_conference_or_a_hangup_takes_a_leg_out_and_enqueue_ends_a_bridge() -> None:
    """A leg is in one thing at a time."""
    line = Line()
    line.calls[1].after_unbridge = "park"
    line.add(line.calls[0].join(line.calls[1], 100), line.legs[0])
    line.enqueue(0, 200)
    assert None is line.calls[1].opposite
    line.add(line.calls[2].join(line.calls[0], 300), line.legs[2])

    assert ["0 call.enqueued 1", "0 call.dequeued leave"] == line.events
    assert line.calls[0].opposite is line.calls[2]


def test_what_a_queue_refuses() -> None:
    """Each with its documented code."""
    line = Line(size_max=1)
    line.legs[2] = Played()
    assert "90034" == line.refused(2)
    assert "90037" == line.refused(0, max_size=5)
    line.enqueue(0, 100)

    assert ("90038", "90036") == (line.refused(0), line.refused(1))
    assert "90035" == line.legs[1].refused("leave_queue", 500)["errors"][0]["code"]
    assert [] == validate(line.queue.row(), "openapi-subset.json#/components/schemas/Queue")
