"""Timelines as calls write them, for properties: two legs, a stream that is replaced, commands, failures, and the end."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from callpath.timeline import (
    CallChecked,
    CallRecovered,
    CallStuck,
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerFailed,
    MediaCounted,
    MediaSymptom,
    Noted,
    PolicyActed,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.ids import CallControlId, SessionId, StreamId
from tests.telnyx import sample

SESSION = SessionId("aaaa0002-c0de-11f0-9002-02420a000002")
LEG_A: dict[str, Any] = {"call_leg_id": "leg-a", "call_control_id": "v3:a"}
LEG_B: dict[str, Any] = {"call_leg_id": "leg-b", "call_control_id": "v3:b"}
A, B = CallControlId("v3:a"), CallControlId("v3:b")


def event(name: str, second: float | None = None, event_id: str | None = None, **payload: Any) -> WebhookReceived:
    """A webhook of Telnyx's, changed in its payload; `second` of the minute is when it occurred."""
    document = json.loads(json.dumps(sample(f"webhooks/{name}.json")))
    data = document["data"]
    data["payload"].update(payload)
    if second is not None:
        data["occurred_at"] = f"2026-01-02T03:04:{second:09.6f}Z"
    data["id"] = event_id or f"{name} {data['occurred_at']} {payload.get('call_leg_id')}"
    return WebhookReceived(event_type=data["event_type"], event_id=data["id"], body=document)


def started(stream: str) -> StreamStarted:
    return StreamStarted(stream_id=StreamId(stream), encoding="PCMU", sample_rate_hz=8000)


WEBHOOKS: list[What] = [
    event("call.initiated.inbound", 1, **LEG_A),
    event("call.answered", 2, client_state="YQ==", **LEG_A),
    event("streaming.started", 3, **LEG_A),
    event("streaming.failed", 4, **LEG_A),
    event("streaming.failed", 5, **LEG_A),
    event("streaming.failed", 6, failure_reason="disconnected", **LEG_A),
    event("call.speak.ended", 7, **LEG_A),
    event("call.initiated.outbound", 10, **LEG_B),
    event("call.answered", 11, client_state="Yg==", **LEG_B),
    event("call.hangup", 12, **LEG_B),
    event("call.hangup", 20, **LEG_A),
    event("call.hangup", 21, hangup_cause="user_busy", **LEG_A),
    event("call.initiated.inbound", 0.5, **{"from": "+15555550177"}, **LEG_A),
]
OURS: list[What] = [
    CommandSent(command="answer", command_id="c1", call_control_id=A),
    CommandAnswered(command="answer", command_id="c1", status=200),
    CommandAnswered(command="answer", command_id="c1", error_detail="the server stopped before the answer came"),
    CommandSent(command="streaming_start", command_id="c2", body={"stream_url": "wss://x/1"}),
    CommandSent(command="streaming_start", command_id="c3", body={"stream_url": "wss://x/2"}),
    CommandSent(command="streaming_start", command_id="c3", body={"stream_url": "wss://x/3"}),
    CommandAnswered(command="bridge", command_id="c4", status=422, error_code="90018"),
    CommandAnswered(command="hangup", command_id="c5", status=422, error_code="90018", call_control_id=B),
    CommandAnswered(command="hangup", command_id="c6", status=422, error_code="90018"),
    StreamStarting(within="streaming_start"),
    StreamUrl(url="wss://x/1"),
    StreamUrl(url="wss://x/2"),
    StreamAccepted(status=200),
    SocketReceived(path="/x"),
    SocketRejected(status=401, reason="no_token", detail="none", path="/x"),
    SocketRejected(status=403, reason="wrong_token", detail="another", path="/x"),
    started("s1"),
    started("s2"),
    FirstInbound(stream_id=StreamId("s1"), payload_bytes=160),
    FirstOutbound(stream_id=StreamId("s1"), payload_bytes=160),
    MediaCounted(stream_id=StreamId("s1"), frames_in=10, frames_out=9),
    MediaCounted(stream_id=StreamId("s1"), frames_in=500, frames_out=490, lost=2),
    MediaCounted(stream_id=StreamId("s2"), frames_in=7, frames_out=8),
    MediaSymptom(code="SYM002", slug="b", meaning="b"),
    MediaSymptom(code="SYM001", slug="a", meaning="a"),
    FrameRejected(reason="encoding", detail="G729"),
    FrameRejected(reason="encoding", detail="AMR"),
    StreamStopped(stream_id=StreamId("s1")),
    StreamStopped(stream_id=StreamId("s2")),
    StreamStopped(stream_id=None),
    SocketClosed(code=1006),
    SocketClosed(code=1000, stream_id=StreamId("s1")),
    SocketClosed(code=1000, stream_id=StreamId("s2")),
    StreamMissing(attempt=1, seen="nothing", reason="first"),
    StreamMissing(attempt=2, seen="lost", reason="second"),
    StreamProbed(url="wss://x", healthy=False, decided=True, summary="expired"),
    StreamProbed(url="wss://x", healthy=True, decided=True, summary="fine"),
    PolicyActed(policy="no_socket", number=1, step="retry"),
    PolicyActed(policy="no_socket", number=1, step="speak"),
    PolicyActed(policy="refuse", number=1, step="busy"),
    CallStuck(reason="no_handler", number=1, after_ms=1),
    CallStuck(reason="media_idle", number=1, after_ms=2),
    CallRecovered(fetched=1),
    CallChecked(alive=True),
    CallChecked(alive=False),
    HandlerFailed(error="ValueError: x", traceback=""),
    HandlerFailed(error="KeyError: 'y'", traceback=""),
    Noted(text="x"),
]


@st.composite
def timelines(draw: st.DrawFn) -> list[Entry]:
    """Some of these, each at a time of its own or at another one's, in the order of their times, as a store numbers them.

    Those of ours are about leg A, about leg B, or (an earlier version's) do not say. Nodes append at the same time, so
    that two neighbours may have changed places.
    """
    whats = draw(st.lists(st.sampled_from(WEBHOOKS + OURS), max_size=25, unique_by=id))
    entries = []
    for what in whats:
        at = draw(st.integers(1, 12))
        about = None if isinstance(what, WebhookReceived) else draw(st.sampled_from((None, A, A, B)))
        key = f"webhook:{what.event_id}" if isinstance(what, WebhookReceived) else None
        entries.append(Entry(session=SESSION, at_unix_ms=1000 + at, what=what, key=key, call_control_id=about))
    return entries
