"""Delivers webhooks as Telnyx does: signed, tried again, at last at the failover address, and every try on record."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

import httpx2
import msgspec

from callpath.clock import Clock
from callpath.simulator.carrier import iso_time
from callpath.simulator.link import Parcel
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import RETRIES_MAX, RETRIES_MS_MAX
from callpath.wire.api import (
    DeliveredEvent,
    DeliveryAttempt,
    DeliveryHttp,
    DeliveryRequest,
    DeliveryResponse,
    WebhookDelivery,
)
from callpath.wire.document import Json
from callpath.wire.signature import PrivateKey, sign, sign_version_1
from callpath.wire.webhook import ConferenceWebhook, Webhook, version_1_document, webhook_document

USER_AGENT = "telnyx-webhooks"
"""Documented."""

FAILOVER_AFTER = 2
"""Failed tries on the first address before the second one is used; said by Telnyx's portal help."""

BODY_BYTES_MAX = 10_000
"""How much of an answer a delivery keeps; documented."""

FORM_ANSWER_BYTES_MAX = 1 << 20
"""Largest TeXML document that is read. Telnyx's own limit is unknown."""

DELIVERIES_MAX = 10_000

NO_FAULT = Parcel()

_NAME_UNKNOWN, _NO_SUCCESS = 75001, 75499


class WebhookSender:
    """One for an account. Each delivery is a task of its own: Telnyx keeps no order."""

    def __init__(self, key: PrivateKey, options: CarrierOptions, clock: Clock, http: httpx2.AsyncClient) -> None:
        self._key = key
        self._options = options
        self._clock = clock
        self._http = http
        self.deliveries: deque[WebhookDelivery] = deque(maxlen=DELIVERIES_MAX)
        """Finished ones, oldest first."""

    async def deliver(
        self,
        webhook: Webhook | ConferenceWebhook,
        url: str,
        *,
        method: Literal["POST", "GET"] = "POST",
        retries_ms: Sequence[int] | None = None,
        parcel: Parcel = NO_FAULT,
        on_attempt: Callable[[DeliveryAttempt, str], None] = lambda _attempt, _problem: None,
    ) -> WebhookDelivery:
        """Deliver one event, trying again as often as Telnyx would; returns how it went.

        `retries_ms`: the call's own policy. `parcel`: what is wrong with it; its delay is the caller's business.
        `on_attempt` gets each attempt, and why it had no answer.
        """
        started_ms = self._clock.now_ms()
        started_at = self._now()
        attempts: list[DeliveryAttempt] = []
        policy = self._options.webhook_retry_ms if retries_ms is None else retries_ms
        pauses = [0, *policy[:RETRIES_MAX]]
        for number, pause_ms in enumerate(pauses, start=1):
            if self._clock.now_ms() - started_ms + pause_ms > RETRIES_MS_MAX:
                break
            await self._clock.sleep_ms(pause_ms)
            failover = self._options.failover_url
            to = failover if failover is not None and number > FAILOVER_AFTER else url
            # A retry is signed anew. Unknown, but otherwise one later than 300 s would have to be refused.
            numbered = msgspec.structs.replace(webhook, attempt=number, delivered_to=to)
            attempt, problem = await self._try(numbered, to, method, parcel, unheard=number <= parcel.unheard)
            attempts.append(attempt)
            on_attempt(attempt, problem)
            if attempt.status == "delivered" or not self._is_retried(attempt):
                break
        data = webhook_document(webhook)["data"]
        delivery = WebhookDelivery(
            id=str(uuid.uuid4()),
            user_id=self._options.user_id,
            record_type="webhook_delivery",
            status=attempts[-1].status,
            webhook=DeliveredEvent(
                id=webhook.id,
                event_type=webhook.event_type,
                occurred_at=webhook.occurred_at,
                payload=data["payload"],
                record_type="event",
            ),
            attempts=attempts[::-1],
            started_at=started_at,
            finished_at=self._now(),
        )
        self.deliveries.append(delivery)
        return delivery

    async def post_form(self, url: str, fields: Mapping[str, str]) -> tuple[int, bytes] | str:
        """Post a TeXML callback: form-encoded and signed like a webhook, once. The answer, or why there is none."""
        body = urlencode(fields).encode()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "user-agent": USER_AGENT,
            "accept": "*/*",
            **sign(body, self._key, self._clock.now_unix_ms() // 1000),
        }
        try:
            async with (
                asyncio.timeout(self._options.webhook_ms_max / 1000),
                self._http.stream("POST", url, content=body, headers=headers) as answer,
            ):
                return answer.status_code, await _start_of(answer, FORM_ANSWER_BYTES_MAX)
        except TimeoutError:
            return f"no answer within {self._options.webhook_ms_max} ms"
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return str(error) or type(error).__name__

    async def _try(
        self,
        webhook: Webhook | ConferenceWebhook,
        url: str,
        method: Literal["POST", "GET"],
        parcel: Parcel,
        *,
        unheard: bool,
    ) -> tuple[DeliveryAttempt, str]:
        options = self._options
        version_1 = parcel.version_1
        document = version_1_document(webhook) if version_1 else webhook_document(webhook)
        body = msgspec.json.encode(document, order="sorted") if method == "POST" else b""
        if method == "GET":
            url = _with_query(url, document if version_1 else document["data"])
        signed = body + b" " if parcel.bad_signature else body
        now_s = int(self._clock.now_unix_ms() / 1000 + parcel.skew_s)
        headers = {
            **({"content-type": "application/json"} if method == "POST" else {}),
            "user-agent": USER_AGENT,
            "accept": "*/*",
            **(sign_version_1(signed, options.webhook_secret, now_s) if version_1 else sign(signed, self._key, now_s)),
        }
        started_at = self._now()
        request = DeliveryRequest(url=url, headers=[[name, value] for name, value in headers.items()])
        response: DeliveryResponse | None = None
        errors: list[Any] = []
        problem = ""
        try:
            async with (
                asyncio.timeout(options.webhook_ms_max / 1000),
                self._http.stream(
                    method, url, content=body, headers=headers, follow_redirects=options.webhook_redirects
                ) as answer,
            ):
                response = DeliveryResponse(
                    status=answer.status_code,
                    headers=[[name, value] for name, value in answer.headers.items()],
                    body=(await _start_of(answer, BODY_BYTES_MAX)).decode("utf-8", "replace"),
                )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
            errors = [_NAME_UNKNOWN if _is_name_error(error) else _NO_SUCCESS]
            problem = _problem_of(error, options.webhook_ms_max)
        if unheard:
            response = None  # it was given, and got lost
            problem = "its answer was lost (injected fault)"
        delivered = response is not None and response.status is not None and 200 <= response.status < 300
        attempt = DeliveryAttempt(
            status="delivered" if delivered else "failed",
            started_at=started_at,
            finished_at=self._now(),
            http=DeliveryHttp(request=request, response=response),
            errors=[] if delivered else errors or [_NO_SUCCESS],
        )
        return attempt, problem

    def _is_retried(self, attempt: DeliveryAttempt) -> bool:
        response = attempt.http.response if attempt.http else None
        if response is None or response.status is None or response.status in (408, 429):
            return True
        return not 400 <= response.status < 500 or self._options.webhook_retries_4xx

    def _now(self) -> str:
        return iso_time(self._clock.now_unix_ms())


async def _start_of(answer: httpx2.Response, bytes_max: int) -> bytes:
    kept = b""
    async for piece in answer.aiter_bytes():
        kept += piece
        if len(kept) >= bytes_max:
            break
    return kept[:bytes_max]


def _with_query(url: str, event: Json) -> str:
    """`url` with the event in its query, for a delivery by GET. That it stands there is documented, how it is written
    is not: brackets for what is inside, as Telnyx's own filters have them."""
    flat: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inside in value.items():
                add(f"{name}[{key}]" if name else key, inside)
        elif isinstance(value, list):
            for number, inside in enumerate(value):
                add(f"{name}[{number}]", inside)
        elif value is not None:
            flat.append((name, str(value).lower() if isinstance(value, bool) else str(value)))

    add("", event)
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(flat)}"


def _problem_of(error: BaseException, limit_ms: int) -> str:
    """Why an attempt had no answer, as the end of a sentence."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return f"no answer within {limit_ms} ms"
    if _is_name_error(error):
        return "its host name does not resolve"
    if isinstance(error, httpx2.ConnectError):
        return f"it could not be reached: {error}"
    return f"the connection broke before an answer: {str(error) or type(error).__name__}"


def _is_name_error(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
