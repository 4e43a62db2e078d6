"""The webhook route: what is stored and answered 200, and what gets which refusal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.errors import StoreError
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.runner import CallRunner
from callpath.server.webhooks import BODY_BYTES_MAX
from callpath.wire.ids import SessionId
from callpath.wire.signature import SIGNATURE_HEADER, public_key_text, sign
from tests.telnyx import sample

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SESSION = SessionId("aaaa0002-c0de-11f0-9002-02420a000002")


@dataclass
class Server:
    """The route, without sockets."""

    http: httpx2.AsyncClient
    runner: CallRunner

    async def post(self, document: Any, *, age_s: int = 0, headers: dict[str, str] | None = None) -> httpx2.Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        signed = sign(body, KEY, SystemClock().now_unix_ms() // 1000 - age_s)
        return await self.http.post("/api/calls/webhook", content=body, headers=signed | (headers or {}))


@asynccontextmanager
async def server(data_dir: Path) -> AsyncIterator[Server]:
    settings = Settings(
        telnyx_api_key="KEY1",
        telnyx_public_key=public_key_text(KEY),
        telnyx_api_base="http://127.0.0.1:9/v2",  # nobody there: commands fail, which is none of the route's business
        public_url="https://calls.example.com",
        data_dir=data_dir,
    )
    asgi: Any = create_asgi(BUILTIN["echo"](), settings)
    async with asgi.router.lifespan_context(asgi):
        transport = httpx2.ASGITransport(app=asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://calls.example.com") as http:
            yield Server(http, asgi.state.runner)


def hangup(event_id: str = "e1") -> Any:
    """An event that asks for no command."""
    document = sample("webhooks/call.hangup.json")
    document["data"]["id"] = event_id
    return document


async def test_an_authentic_event_is_stored_whole(tmp_path: Path) -> None:
    """What was answered 200 is on disk."""
    async with server(tmp_path) as it:
        answer = await it.post(hangup())
        (entry,) = await it.runner.log.read(SESSION)

    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert answer.headers["x-callpath"]
    assert entry.what.body == hangup()  # type: ignore[attr-defined]
    assert entry.key == "webhook:e1"


async def test_a_duplicate_changes_nothing(tmp_path: Path) -> None:
    """Telnyx sends an event again when our answer was slow or lost, also at the same time."""
    async with server(tmp_path) as it:
        answers = await asyncio.gather(*[it.post(hangup()) for _ in range(10)])
        entries = await it.runner.log.read(SESSION)
        metrics = it.runner.metrics.text().decode()

    assert {answer.status_code for answer in answers} == {200}
    assert 'callpath_webhooks_total{result="duplicate"} 9.0' in metrics
    assert sorted(answer.json()["result"] for answer in answers) == ["duplicate"] * 9 + ["ok"]
    assert len(entries) == 1


@pytest.mark.parametrize(
    ("body", "headers", "age_s", "status", "reason"),
    [
        (b"{}", {SIGNATURE_HEADER: ""}, 0, 401, "unsigned"),
        (b"{}", {SIGNATURE_HEADER: "AAAA"}, 0, 401, "bad_signature"),
        (b"{}", {SIGNATURE_HEADER: "", "x-telnyx-signature": "t=1"}, 0, 401, "api_version_1"),
        (b"{}", {}, 301, 401, "stale"),
        (b"{}", {}, -301, 401, "stale"),
        (b"not json", {}, 0, 400, "not_json"),
        (b"[]", {}, 0, 400, "wrong_shape"),
        (b'{"data": 7}', {}, 0, 400, "wrong_shape"),
        (json.dumps(sample("webhooks/v1-call_initiated.json")).encode(), {}, 0, 400, "api_version_1"),
        (b" " * (BODY_BYTES_MAX + 1), {}, 0, 413, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_bad_request_gets_its_refusal(
    tmp_path: Path, body: bytes, headers: dict[str, str], age_s: int, status: int, reason: str
) -> None:
    """The reason in the answer is what Telnyx's delivery log shows; the row is what `callpath calls` shows."""
    async with server(tmp_path) as it:
        answer = await it.post(body, headers=headers, age_s=age_s)
        count, (refusal,) = await it.runner.log.refusals(10)
        calls = await it.runner.log.recent(10)

    assert (answer.status_code, answer.json()["error"]) == (status, reason)
    assert (count, refusal.what, refusal.reason) == (1, "webhook", reason)
    assert calls == []


async def test_what_cannot_be_stored_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 5xx Telnyx sends it again; a 200 would lose it for good."""
    async with server(tmp_path) as it:

        async def full(entry: object) -> bool:
            raise StoreError("the disk is full")

        monkeypatch.setattr(it.runner.log, "append", full)
        answer = await it.post(hangup())

    assert answer.status_code == 503


async def test_get_is_not_an_event(tmp_path: Path) -> None:
    """Somebody opens the URL in a browser; or http:// was configured and a redirect made a GET of the POST."""
    async with server(tmp_path) as it:
        answer = await it.http.get("/api/calls/webhook")

    assert answer.status_code == 405
    assert answer.headers["x-callpath"]


async def test_health_pages(tmp_path: Path) -> None:
    """What platforms and people ask first."""
    async with server(tmp_path) as it:
        assert (await it.http.get("/healthz")).text == "ok\n"
        assert (await it.http.get("/readyz")).json() == {"ready": True}
        assert "callpath" in (await it.http.get("/version")).json()
