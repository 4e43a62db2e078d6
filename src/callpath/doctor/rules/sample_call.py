"""Calls as short literals, for the examples of the rules about calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from callpath.doctor.calls import EVERY_KIND, call_facts
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, ServedFacts, WayFacts
from callpath.store.port import RejectedRequest
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerEnded,
    HandlerStarted,
    LoopBlocked,
    MediaCounted,
    MediaSymptom,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId

SESSION = SessionId("0d0c70c1-d0c7-4d0c-80d0-c70ca11ba7e1")
CONTROL = CallControlId("v3:abc")
HOST = "calls.example.com"
URL = f"wss://{HOST}/api/calls/{SESSION}/audio"
BEGIN_UNIX_MS = 1_767_323_045_000
STREAM = StreamId("stream-1")

Timed = What | tuple[int, What]
"""Something that happened, at so many ms after the beginning; without a time, 100 ms after the one before."""

SERVED = ServedFacts(
    public_url=f"https://{HOST}",
    webhook_url=f"https://{HOST}/api/calls/webhook",
    audio_url=f"wss://{HOST}/api/calls/{{call_session_id}}/audio",
    port=8000,
)


def call(
    *happened: Timed | Iterable[Timed],
    looked_ms: int = 60_000,
    source: Literal["timeline", "logs"] = "timeline",
    shown: frozenset[str] = EVERY_KIND,
) -> CallFacts:
    """A call in which this happened, looked at `looked_ms` after its beginning."""
    entries = []
    at_ms = -100
    flat = [one for item in happened for one in (item if isinstance(item, list) else [item])]
    for number, item in enumerate(flat, 1):
        at_ms, what = item if isinstance(item, tuple) else (at_ms + 100, item)
        entries.append(Entry(session=SESSION, at_unix_ms=BEGIN_UNIX_MS + at_ms, what=what, number=number))
    looked = BEGIN_UNIX_MS + looked_ms
    return call_facts(SESSION, entries, looked_at_unix_ms=looked, source=source, shown=shown)


def a_call(*happened: Timed | Iterable[Timed], **options: Any) -> Facts:
    """The same as facts, on a server that serves calls.example.com."""
    return Facts(call(*happened, **options), SERVED)


def hook(event: str, *, to: str = f"https://{HOST}/api/calls/webhook", **payload: Any) -> WebhookReceived:
    """A webhook of this call's leg."""
    ids = {"call_control_id": CONTROL, "call_leg_id": LegId("leg-1"), "call_session_id": SESSION}
    data = {"event_type": event, "id": f"{event} {len(payload)}", "payload": ids | payload}
    return WebhookReceived(event_type=event, event_id=data["id"], body={"data": data, "meta": {"delivered_to": to}})  # type: ignore[arg-type]


def of_b(event: str, **payload: Any) -> WebhookReceived:
    """A webhook of the other leg: of a transfer, or of a dial."""
    return hook(event, **({"call_control_id": CallControlId("v3:b"), "call_leg_id": LegId("leg-2")} | payload))


def sent(command: str, **body: Any) -> CommandSent:
    return CommandSent(command=command, command_id=f"{command}-1", call_control_id=CONTROL, body=body)


def answered(
    command: str, status: int | None = 200, code: str | None = None, detail: str | None = None
) -> CommandAnswered:
    """Telnyx's answer to the command of that name."""
    return CommandAnswered(
        command=command, command_id=f"{command}-1", status=status, error_code=code, error_detail=detail
    )


def hung_up(cause: str = "normal_clearing", source: str = "caller", out: int | None = None) -> WebhookReceived:
    """The end of the call; `out` packets were played to the phone."""
    stats = None if out is None else {"outbound": {"packet_count": str(out)}, "inbound": {"packet_count": "500"}}
    return hook("call.hangup", hangup_cause=cause, hangup_source=source, call_quality_stats=stats)


def refusals(*reasons: str, what: str = "webhook", detail: str = "told", path: str | None = None) -> RefusalFacts:
    """Requests that were turned away while the call began."""
    rows = tuple(RejectedRequest(BEGIN_UNIX_MS, what, reason, detail, "203.0.113.9", path) for reason in reasons)
    return RefusalFacts(count=len(rows), latest=rows)


def asking(url: str = URL, **body: Any) -> list[Timed]:
    """streaming_start as our server sends it; `body` changes its parameters, None leaves one out."""
    given = {
        "stream_url": url, "stream_track": "inbound_track", "stream_codec": "PCMU", "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": "PCMU", "stream_bidirectional_target_legs": "self",
    } | body  # fmt: skip
    given = {name: value for name, value in given.items() if value is not None}
    return [StreamStarting(within="streaming_start"), StreamUrl(url=url), sent("streaming_start", **given)]


def noticed(code: str, **evidence: str) -> MediaSymptom:
    return MediaSymptom(code=code, slug="slug", meaning="What it means", evidence=evidence)


def blocked(ms: float) -> LoopBlocked:
    """A handler that waits for a web service without await."""
    return LoopBlocked(blocked_ms=ms, function="answer", file="bot.py", line=12, code="requests.get(url)")


def counted(**counts: Any) -> MediaCounted:
    """Ten seconds of a stream, both ways."""
    return msgspec.structs.replace(MediaCounted(stream_id=STREAM, frames_in=500, frames_out=500), **counts)


def found_way(word: str = "call_ended", *, through: bool | None = True) -> WayFacts:
    """The way as it was found a minute after the call."""
    return WayFacts(url=URL, probed_at_unix_ms=BEGIN_UNIX_MS + 120_000, word=word, detail="told", through=through)


RANG: list[Timed] = [hook("call.initiated", direction="incoming", state="parked")]
ANSWERING: list[Timed] = [*RANG, sent("answer"), answered("answer")]
ANSWERED: list[Timed] = [*ANSWERING, hook("call.answered")]
ASKED: list[Timed] = [*ANSWERED, *asking()]
TAKEN: list[Timed] = [answered("streaming_start"), StreamAccepted(status=200)]
ACCEPTED: list[Timed] = [*ASKED, *TAKEN]
CAME: list[Timed] = [*ACCEPTED, SocketReceived(path=f"/api/calls/{SESSION}/audio", client="203.0.113.9")]
STARTED: list[Timed] = [
    *CAME, StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000), HandlerStarted(name="bot")
]  # fmt: skip
HEARD: list[Timed] = [*STARTED, FirstInbound(stream_id=STREAM, payload_bytes=160)]
BOTH_WAYS: list[Timed] = [*HEARD, FirstOutbound(stream_id=STREAM, payload_bytes=160)]
STOPPED: list[Timed] = [StreamStopped(stream_id=STREAM), SocketClosed(code=1000)]
GOOD: list[Timed] = [
    *BOTH_WAYS, (12_000, counted()), *STOPPED, (12_500, hung_up(out=500)), HandlerEnded(cancelled=True)
]  # fmt: skip
"""A call that worked."""


def turned_away(reason: str, status: int = 403) -> list[Timed]:
    """The socket came, and our server refused it."""
    path = f"/api/calls/{SESSION}/audio"
    return [*CAME, SocketRejected(status=status, reason=reason, detail="told", path=path, client="203.0.113.9")]


def after(ms: int, *whats: What) -> list[Timed]:
    """These, the first at `ms`."""
    return [(ms, whats[0]), *whats[1:]]
