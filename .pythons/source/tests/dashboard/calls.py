"""Timelines of calls for the dashboard's tests, and a dashboard over a log in memory, without sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette

from callpath.clock import ManualClock
from callpath.config import Settings
from callpath.dashboard.app import Dashboard
from callpath.dashboard.door import Door
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallQuery
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerStarted,
    MediaCounted,
    SocketClosed,
    SocketReceived,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.document import Json
from callpath.wire.ids import SessionId, StreamId
from callpath.wire.webhook import Webhook
from tests.telnyx import sample

AT = 1_767_323_045_000
HOST = "127.0.0.1:8000"
STREAM = StreamId("s1")
TOKEN = "a-long-token-of-the-dashboard"


def webhook(name: str, **payload: Any) -> WebhookReceived:
    """A webhook from the golden files, some of its payload replaced."""
    document = json.loads(json.dumps(sample(f"webhooks/{name}.json")))
    document["data"]["payload"].update(payload)
    data = document["data"]
    return WebhookReceived(event_type=data["event_type"], event_id=data["id"], body=document)


def accepted_call(from_: str = "+15555550123", session: str = "s") -> list[What]:
    """Up to marker 3: Telnyx accepted the stream, and nothing more came."""
    return [
        webhook("call.initiated.inbound", **{"from": from_}),
        CommandSent(command="answer", command_id="c1", body={"send_silence_when_idle": True}),
        CommandAnswered(command="answer", command_id="c1", status=200, latency_ms=12.0),
        webhook("call.answered"),
        StreamStarting(within="streaming_start"),
        StreamUrl(url=f"ws://{HOST}/api/calls/{session}/audio"),
        CommandSent(command="streaming_start", command_id="c2"),
        CommandAnswered(command="streaming_start", command_id="c2", status=200, latency_ms=20.0),
        StreamAccepted(status=200),
    ]


def good_call(from_: str = "+15555550123", session: str = "s") -> list[What]:
    """Audio both ways, then a hang-up."""
    return [
        *accepted_call(from_, session),
        SocketReceived(path="/x", client="192.0.2.7"),
        StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000),
        HandlerStarted(name="echo"),
        FirstInbound(stream_id=STREAM, payload_bytes=160),
        FirstOutbound(stream_id=STREAM, payload_bytes=160),
        MediaCounted(stream_id=STREAM, frames_in=500, frames_out=499),
        webhook("call.hangup", **{"from": from_}),
        StreamStopped(stream_id=STREAM),
        SocketClosed(code=1000),
    ]


def failed_call(from_: str = "+15555550123", session: str = "s") -> list[What]:
    """The classic: accepted, and never arrived."""
    return [*accepted_call(from_, session), webhook("streaming.failed"), webhook("call.hangup", **{"from": from_})]


def entries(session: str, whats: Sequence[What], at: int = AT) -> list[Entry]:
    """As a server would append them, ten ms apart."""
    return [
        Entry(session=SessionId(session), at_unix_ms=at + 10 * number, what=what) for number, what in enumerate(whats)
    ]


@dataclass
class Looking:
    """What a test holds: the log, the API as a browser reaches it, and what was resent."""

    log: MemoryCallLog
    http: httpx2.AsyncClient
    clock: ManualClock
    dashboard: Dashboard
    resent: list[tuple[str, Json]] = field(default_factory=list)

    async def take(self, session: str, whats: Sequence[What], at: int = AT) -> None:
        for entry in entries(session, whats, at):
            await self.log.append(entry)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.http.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def looking(
    data_dir: Path, *, client: str = "127.0.0.1", door: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Looking]:
    """A dashboard, and a browser on `client` that looks at it."""
    clock = ManualClock()
    told: dict[str, Any] = {"data_dir": data_dir, "public_url": f"http://{HOST}"} | settings
    usual: dict[str, Any] = {"clock": clock, "handler_name": "echo", "serve_for": no_phone}
    dashboard = Dashboard(Door(settings=Settings(**told), **(usual | (door or {}))))
    log = MemoryCallLog()
    transport = httpx2.ASGITransport(app=Starlette(routes=dashboard.routes), client=(client, 4711))
    async with httpx2.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
        it = Looking(log, http, clock, dashboard)

        async def resend(event: Webhook, body: Json) -> bool:
            it.resent.append((event.id, body))
            return event.id not in {one.what.event_id for one in await known() if isinstance(one.what, WebhookReceived)}

        async def known() -> list[Entry]:
            return [
                entry for call in await log.overviews(CallQuery(limit=100)) for entry in await log.read(call.session)
            ]

        dashboard.attach(log, resend)
        yield it


def no_phone(*_: Any) -> Any:
    """Nobody calls in these tests."""
    return nullcontext("")
