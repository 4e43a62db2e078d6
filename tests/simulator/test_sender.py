"""Webhooks: signed, retried and recorded, against an application in memory and on a time that is pushed by hand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callpath.clock import ManualClock
from callpath.errors import SignatureError
from callpath.simulator.link import Parcel
from callpath.simulator.options import CarrierOptions
from callpath.simulator.sender import WebhookSender
from callpath.wire.api import WebhookDelivery
from callpath.wire.document import Json, write
from callpath.wire.signature import PrivateKey, verify
from callpath.wire.webhook import Version1Webhook, Webhook, parse_webhook
from tests.telnyx import sample, sample_text, validate

KEY = PrivateKey.from_private_bytes(bytes(32))
URL = "https://voice.example.com/telnyx/webhook"


class Receiver:
    """A webhook endpoint that gives the answers it was told to, and remembers what came."""

    def __init__(self, *statuses: int, options: CarrierOptions | None = None) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.clock = ManualClock()
        self.at_ms: list[float] = []
        app = Starlette(routes=[Route("/{path:path}", self.receive, methods=["POST", "GET"])])
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
        self.sender = WebhookSender(KEY, options or CarrierOptions(), self.clock, self.http)

    async def receive(self, request: Request) -> Response:
        self.requests.append((str(request.url), dict(request.headers), await request.body()))
        self.at_ms.append(self.clock.now_ms())
        return Response("x" * 20_000, status_code=self.statuses.pop(0) if self.statuses else 200)

    async def deliver(self, **how: Any) -> WebhookDelivery:
        webhook = parse_webhook(sample_text("webhooks/call.answered.json").encode())
        assert isinstance(webhook, Webhook)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.sender.deliver(webhook, URL, **how))
            while not task.done():
                await self.clock.advance(100)
        return task.result()


async def test_a_delivery_looks_like_telnyxs() -> None:
    """Headers, body and signature are what servers check first."""
    receiver = Receiver(200)
    delivery = await receiver.deliver()
    ((url, headers, body),) = receiver.requests

    verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)
    assert URL == url
    assert ("application/json", "telnyx-webhooks") == (headers["content-type"], headers["user-agent"])
    assert sample("webhooks/call.answered.json") == json.loads(body)
    assert list(json.loads(body)["data"]) == sorted(json.loads(body)["data"])
    assert "delivered" == delivery.status


async def test_a_bad_signature_is_really_bad() -> None:
    """The fault must be one that a correct server refuses."""
    receiver = Receiver(200)
    await receiver.deliver(parcel=Parcel(bad_signature=True))
    ((_, headers, body),) = receiver.requests

    with pytest.raises(SignatureError, match="do not fit"):
        verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)


async def test_a_retry_has_the_same_id_and_a_higher_attempt() -> None:
    """Servers drop duplicates by data.id."""
    receiver = Receiver(503, 200)
    delivery = await receiver.deliver()
    bodies = [json.loads(body) for _, _, body in receiver.requests]

    assert [1, 2] == [body["meta"]["attempt"] for body in bodies]
    assert bodies[0]["data"] == bodies[1]["data"]
    assert ["delivered", "failed"] == [attempt.status for attempt in delivery.attempts or []]
    for _, headers, body in receiver.requests:
        verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)


async def test_retries_are_bounded_and_further_and_further_apart() -> None:
    """A dead server must not be hammered, and a simulator must end."""
    receiver = Receiver(*[500] * 10)
    delivery = await receiver.deliver()

    assert [0, 500, 1500, 3500, 7500, 15500] == receiver.at_ms
    assert "failed" == delivery.status


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (401, 1), (404, 1), (408, 6), (429, 6), (302, 6)])
async def test_which_answers_are_tried_again(status: int, tries: int) -> None:
    """401 after a wrong key ends it: the call then stays silent, with Telnyx and here."""
    receiver = Receiver(*[status] * 10)
    await receiver.deliver()

    assert tries == len(receiver.requests)


async def test_4xx_can_be_retried() -> None:
    """The other of Telnyx's two pages."""
    receiver = Receiver(404, options=CarrierOptions(webhook_retries_4xx=True))

    assert "delivered" == (await receiver.deliver()).status


async def test_the_failover_address_is_used_after_two_failures() -> None:
    """A server on the second address must get the event, and see by delivered_to why."""
    options = CarrierOptions(failover_url="https://other.example.com/hook")
    receiver = Receiver(500, 500, 200, options=options)
    await receiver.deliver()

    assert [URL, URL, "https://other.example.com/hook"] == [url for url, _, _ in receiver.requests]
    assert "https://other.example.com/hook" == json.loads(receiver.requests[2][2])["meta"]["delivered_to"]


async def test_no_answer_is_a_failed_try_without_a_response() -> None:
    """As when the server is down."""

    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    receiver = Receiver()
    receiver.sender = WebhookSender(
        KEY,
        CarrierOptions(webhook_retry_ms=()),
        receiver.clock,
        httpx2.AsyncClient(transport=httpx2.MockTransport(refuse)),
    )
    delivery = await receiver.deliver()
    (attempt,) = delivery.attempts or []

    assert ("failed", [75499]) == (attempt.status, attempt.errors)
    assert attempt.http is not None
    assert attempt.http.response is None


async def test_deliveries_have_the_documented_shape() -> None:
    """A doctor reads them; the body of an answer is cut at 10 kB."""
    receiver = Receiver(502, 200)
    document: Json = write(await receiver.deliver())

    assert [] == validate(document, "openapi-subset.json#/components/schemas/webhook_delivery")
    assert 10_000 == len(document["attempts"][0]["http"]["response"]["body"])
    assert [document] == [write(kept) for kept in receiver.sender.deliveries]


async def test_a_call_may_have_its_own_pauses() -> None:
    """`webhook_retries_policies`, at most five of them."""
    receiver = Receiver(*[500] * 10)
    await receiver.deliver(retries_ms=(100, 200))

    assert [0, 100, 300] == receiver.at_ms


async def test_a_delivery_by_get_has_the_event_in_its_query() -> None:
    """`webhook_url_method`; the signature is over the empty body."""
    receiver = Receiver(200)
    await receiver.deliver(method="GET")
    ((url, headers, body),) = receiver.requests
    query = httpx2.URL(url).params
    data = sample("webhooks/call.answered.json")["data"]

    assert b"" == body
    verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)
    assert (data["id"], data["event_type"]) == (query["id"], query["event_type"])
    assert data["payload"]["call_control_id"] == query["payload[call_control_id]"]
    assert "8000" == query["payload[sampling_rate]"]


async def test_version_1_has_another_shape_and_an_hmac() -> None:
    """What an application made by API sends unless told otherwise; a server for version 2 must say what is wrong."""
    receiver = Receiver(200)
    await receiver.deliver(parcel=Parcel(version_1=True))
    ((_, headers, body),) = receiver.requests
    document = json.loads(body)
    timestamp, _, digest = headers["x-telnyx-signature"].partition(",h=")
    secret = CarrierOptions().webhook_secret.encode()

    assert sample("webhooks/v1-call_initiated.json").keys() == document.keys()
    assert "call_answered" == document["event_type"]
    assert isinstance(parse_webhook(body), Version1Webhook)
    signed = timestamp.removeprefix("t=").encode() + b"." + body
    assert base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() == digest
    with pytest.raises(SignatureError, match="API version 1"):
        verify(body, headers, KEY.public_key(), 0)


@pytest.mark.parametrize("skew_s", [-600, 600])
async def test_a_skewed_clock_makes_a_good_signature_stale(skew_s: float) -> None:
    """The server must name the clock, not the key."""
    receiver = Receiver(200)
    await receiver.deliver(parcel=Parcel(skew_s=skew_s))
    ((_, headers, body),) = receiver.requests

    with pytest.raises(SignatureError, match="clock"):
        verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)


async def test_a_lost_answer_brings_the_event_again() -> None:
    """The server took it twice; the record of the first try shows no response."""
    receiver = Receiver(200, 200)
    delivery = await receiver.deliver(parcel=Parcel(unheard=1))

    assert [1, 2] == [json.loads(body)["meta"]["attempt"] for _, _, body in receiver.requests]
    assert ["delivered", "failed"] == [attempt.status for attempt in delivery.attempts or []]


@pytest.mark.parametrize(("follows", "tries"), [(False, 6), (True, 1)])
async def test_redirects_are_followed_only_if_asked_to(follows: bool, tries: int) -> None:
    """Telnyx's pages disagree on a 3xx."""
    options = CarrierOptions(webhook_redirects=follows)
    receiver = Receiver(options=options)

    def answer(request: httpx2.Request) -> httpx2.Response:
        receiver.at_ms.append(0)
        here = {"location": "https://voice.example.com/there"}
        return httpx2.Response(200) if request.url.path == "/there" else httpx2.Response(307, headers=here)

    receiver.sender = WebhookSender(
        KEY, options, receiver.clock, httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    )
    await receiver.deliver()

    assert tries + follows == len(receiver.at_ms)


async def test_a_form_is_signed_like_a_webhook() -> None:
    """TeXML callbacks carry the same two headers."""
    receiver = Receiver(200)
    got = await receiver.sender.post_form("https://voice.example.com/texml", {"CallSid": "v3:a b", "To": "+1"})
    ((url, headers, body),) = receiver.requests

    verify(body, headers, KEY.public_key(), receiver.clock.now_unix_ms() / 1000)
    assert ("https://voice.example.com/texml", b"CallSid=v3%3Aa+b&To=%2B1") == (url, body)
    assert "application/x-www-form-urlencoded" == headers["content-type"]
    assert (200, b"x" * 20_000) == got


async def test_a_form_that_nobody_takes() -> None:
    """The reason is a text, for the caller's problems."""

    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(refuse))
    sender = WebhookSender(KEY, CarrierOptions(), ManualClock(), http)

    assert "refused" == await sender.post_form(URL, {})
