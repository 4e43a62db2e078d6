"""The webhook route: what is stored and answered 200, and what gets which refusal."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callpath.call.session import fold
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.errors import StoreError
from callpath.server import webhooks
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.calls import Calls
from callpath.server.context import Context
from callpath.server.webhooks import BODY_BYTES_MAX
from callpath.simulator.options import CarrierOptions
from callpath.store import sqlite
from callpath.store.port import CallQuery
from callpath.timeline import CommandSent, Entry, WebhookReceived
from callpath.wire.ids import SessionId
from callpath.wire.signature import SIGNATURE_HEADER, public_key_text, sign
from tests.telnyx import sample

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SESSION = SessionId("aaaa0002-c0de-11f0-9002-02420a000002")


@dataclass
class Server:
    """The route, without sockets."""

    http: httpx2.AsyncClient
    calls: Calls

    @property
    def context(self) -> Context:
        return self.calls.context

    async def post(self, document: Any, *, age_s: int = 0, headers: dict[str, str] | None = None) -> httpx2.Response:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        signed = sign(body, KEY, SystemClock().now_unix_ms() // 1000 - age_s)
        return await self.http.post("/api/calls/webhook", content=body, headers=signed | (headers or {}))


@asynccontextmanager
async def server(data_dir: Path) -> AsyncIterator[Server]:
    ours = Settings(
        telnyx_api_key="KEY1",
        telnyx_public_key=public_key_text(KEY),
        telnyx_api_base="http://127.0.0.1:9/v2",  # nobody there: commands fail, which is none of the route's business
        public_url="https://calls.example.com",
        data_dir=data_dir,
    )
    asgi: Any = create_asgi(BUILTIN["echo"](), ours)
    async with asgi.router.lifespan_context(asgi):
        transport = httpx2.ASGITransport(app=asgi)
        async with httpx2.AsyncClient(transport=transport, base_url="http://calls.example.com") as http:
            yield Server(http, asgi.state.calls)


def hangup(event_id: str = "e1") -> Any:
    """An event that asks for no command."""
    document = sample("webhooks/call.hangup.json")
    document["data"]["id"] = event_id
    return document


async def test_an_authentic_event_is_stored_whole(tmp_path: Path) -> None:
    """What was answered 200 is on disk."""
    async with server(tmp_path) as it:
        answer = await it.post(hangup())
        (entry,) = await it.context.log.read(SESSION)

    assert (answer.status_code, answer.json()) == (200, {"result": "ok"})
    assert answer.headers["x-callpath"]
    assert entry.what.body == hangup()  # type: ignore[attr-defined]
    assert entry.key == "webhook:e1"


async def test_a_duplicate_changes_nothing(tmp_path: Path) -> None:
    """Telnyx sends an event again when our answer was slow or lost, also at the same time."""
    async with server(tmp_path) as it:
        answers = await asyncio.gather(*[it.post(hangup()) for _ in range(10)])
        entries = await it.context.log.read(SESSION)
        metrics = it.context.metrics.text().decode()

    assert {answer.status_code for answer in answers} == {200}
    assert 'callpath_webhooks_total{result="duplicate"} 9.0' in metrics
    assert sorted(answer.json()["result"] for answer in answers) == ["duplicate"] * 9 + ["ok"]
    assert len(entries) == 1


async def test_an_event_of_a_whole_conference_is_kept_with_the_call_that_made_it(tmp_path: Path) -> None:
    """It names no leg. Refused, Telnyx would report a failed delivery for every text spoken to a conference."""
    document = sample("webhooks/conference.speak.started.json")
    async with server(tmp_path) as it:
        answers = [await it.post(document) for _ in range(2)]
        entries = await it.context.log.read(SESSION)
        del document["data"]["payload"]["creator_call_session_id"]
        document["data"]["id"] = "of-no-call"
        nobodys = await it.post(document)

    assert [(200, "ok"), (200, "duplicate")] == [(one.status_code, one.json()["result"]) for one in answers]
    assert ["conference.speak.started"] == [what.event_type for what in webhooks_of(entries)]
    assert 200 == nobodys.status_code


def webhooks_of(entries: list[Entry]) -> list[WebhookReceived]:
    return [entry.what for entry in entries if isinstance(entry.what, WebhookReceived)]


@pytest.fixture
async def one_server(tmp_path: Path) -> AsyncIterator[Server]:
    async with server(tmp_path) as it:
        yield it


EVENTS = ("call.initiated.inbound", "call.answered", "streaming.started", "streaming.stopped", "call.hangup")


def of_call(number: str, name: str) -> Any:
    """An event of a call of its own; the same each time."""
    document = sample(f"webhooks/{name}.json")
    ids = {"call_session_id": f"s-{number}", "call_leg_id": f"l-{number}", "call_control_id": f"v3:{number}"}
    document["data"]["payload"].update(ids)
    document["data"]["id"] = f"{name}-{number}"
    return document


@given(order=st.permutations(EVENTS + EVENTS), at_once=st.lists(st.integers(1, 4), min_size=10, max_size=10))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_order_ends_in_the_same_state(one_server: Server, order: list[str], at_once: list[int]) -> None:
    """Each event comes twice, in any order, some at the same moment: Telnyx promises no more than that they come."""
    it, number = one_server, str(uuid4())
    session = SessionId(f"s-{number}")
    answers: list[httpx2.Response] = []
    left = list(order)
    for size in at_once:
        answers += await asyncio.gather(*(it.post(of_call(number, name)) for name in left[:size]))
        del left[:size]
    entries = await it.context.log.read(session)
    state = fold(session, entries)
    (overview,) = await it.context.log.overviews(CallQuery(text=session))
    events = [entry.what.event_id for entry in entries if isinstance(entry.what, WebhookReceived)]
    sent = [entry.what.command_id for entry in entries if isinstance(entry.what, CommandSent)]

    assert {200} == {answer.status_code for answer in answers}
    assert sorted(["duplicate", "ok"] * 5) == sorted(answer.json()["result"] for answer in answers)
    assert sorted(f"{name}-{number}" for name in EVENTS) == sorted(events)
    assert ("ended", "ended") == (state.state, overview.state)
    assert overview.outcome in ("unconnected", "failed")  # by how long the events took to come
    assert state.leg is not None
    assert ("normal_clearing", "incoming") == (state.leg.hangup_cause, state.leg.direction)
    assert len(sent) == len(set(sent))


async def test_a_duplicate_is_acted_on_if_the_first_was_not(tmp_path: Path) -> None:
    """A node stores a call's first event and dies, before its 200: nobody else knows of the call, and the caller hears
    it ring until Telnyx sends the event again, elsewhere."""
    async with server(tmp_path) as it:
        document = of_call("1", "call.initiated.inbound")
        what = WebhookReceived(event_type="call.initiated", event_id=document["data"]["id"], body=document)
        key = f"webhook:{document['data']['id']}"
        await it.context.log.append(Entry(session=SessionId("s-1"), at_unix_ms=1, what=what, key=key))
        answer = await it.post(document)
        async with asyncio.timeout(20):
            while not (
                sent := [e for e in await it.context.log.read(SessionId("s-1")) if isinstance(e.what, CommandSent)]
            ):
                await asyncio.sleep(0.01)

    assert {"result": "duplicate"} == answer.json()
    assert ["answer"] == [entry.what.command for entry in sent if isinstance(entry.what, CommandSent)]


async def test_an_event_that_comes_after_the_call_is_kept(tmp_path: Path) -> None:
    """The cost of a call and a late hang-up are told minutes later; nothing is answered for them, and nothing lost."""
    async with server(tmp_path) as it:
        await it.post(of_call("1", "call.hangup"))
        await asyncio.sleep(0)
        answers = [await it.post(of_call("1", name)) for name in ("call.initiated.inbound", "call.answered")]
        entries = await it.context.log.read(SessionId("s-1"))

    assert ["ok", "ok"] == [answer.json()["result"] for answer in answers]
    assert 3 == len(entries)
    assert "ended" == fold(SessionId("s-1"), entries).state


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
        count, (refusal,) = await it.context.log.rejected(10)
        calls = await it.context.log.overviews(CallQuery(limit=10))

    assert (answer.status_code, answer.json()["error"]) == (status, reason)
    assert (count, refusal.what, refusal.reason) == (1, "webhook", reason)
    assert calls == []


async def test_what_cannot_be_stored_is_not_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 5xx Telnyx sends it again; a 200 would lose it for good."""
    async with server(tmp_path) as it:

        async def full(entry: object) -> bool:
            raise StoreError("the disk is full")

        monkeypatch.setattr(it.context.log, "append", full)
        answer = await it.post(hangup())

    assert answer.status_code == 503


async def test_an_event_that_is_stored_too_late_is_acted_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log took longer than Telnyx waits: 503, and the event on disk all the same. Sent again, it is a duplicate, which
    may come much later, or never."""
    monkeypatch.setattr(webhooks, "ANSWER_S_MAX", 0.05)
    async with server(tmp_path) as it:
        append, may_go_on = it.context.log.append, asyncio.Event()

        async def slow(*entries: Entry) -> bool:
            if isinstance(entries[0].what, WebhookReceived):
                await may_go_on.wait()
            return await append(*entries)

        monkeypatch.setattr(it.context.log, "append", slow)
        answer = await it.post(hangup())
        before = SESSION in it.calls.live
        may_go_on.set()
        async with asyncio.timeout(10):
            while SESSION not in it.calls.live:
                await asyncio.sleep(0)

    assert (answer.status_code, before) == (503, False)


async def test_a_locked_file_is_told_before_telnyx_has_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that holds the file: 503 to the event that waits and to the one behind it, and nothing of either is kept;
    sent again they are new."""
    patience_s = CarrierOptions().webhook_ms_max / 1000

    assert 2 * sqlite.LOCK_WAIT_S < patience_s

    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 0.05)
    async with server(tmp_path) as it:
        with closing(sqlite3.connect(tmp_path / "callpath.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            during = await asyncio.gather(*(it.post(hangup(name)) for name in ("e1", "e2", "e1")))
            kept = await it.context.log.read(SESSION)
        after = [await it.post(hangup(name)) for name in ("e1", "e2")]
        keys = [entry.key for entry in await it.context.log.read(SESSION)]

    assert [503] * 3 == [answer.status_code for answer in during]
    assert [] == kept
    assert ["ok", "ok"] == [answer.json()["result"] for answer in after]
    assert ["webhook:e1", "webhook:e2"] == keys


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
