"""Delivers webhooks as Telnyx does: signed, tried again, at last at the failover address, and every try on record."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from callpath.clock import Clock
from callpath.simulator.carrier import iso_time
from callpath.simulator.options import CarrierOptions
from callpath.wire.api import (
    DeliveredEvent,
    DeliveryAttempt,
    DeliveryHttp,
    DeliveryRequest,
    DeliveryResponse,
    WebhookDelivery,
)
from callpath.wire.signature import PrivateKey, sign
from callpath.wire.webhook import Webhook, encode_webhook, webhook_document

USER_AGENT = "telnyx-webhooks"
"""Documented."""

RETRIES_MAX = 5
RETRIES_MS_MAX = 60_000
"""Documented for `webhook_retries_policies`: at most 5 delays, 60 s in all."""

FAILOVER_AFTER = 2
"""Failed tries on the first address before the second one is used; said by Telnyx's portal help."""

BODY_BYTES_MAX = 10_000
"""How much of an answer a delivery keeps; documented."""

DELIVERIES_MAX = 10_000

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
        webhook: Webhook,
        url: str,
        *,
        bad_signature: bool = False,
        on_attempt: Callable[[DeliveryAttempt], None] = lambda _: None,
    ) -> WebhookDelivery:
        """Deliver one event, trying again as often as Telnyx would; returns how it went."""
        started_ms = self._clock.now_ms()
        started_at = self._now()
        attempts: list[DeliveryAttempt] = []
        pauses = [0, *self._options.webhook_retry_ms[:RETRIES_MAX]]
        for number, pause_ms in enumerate(pauses, start=1):
            if self._clock.now_ms() - started_ms + pause_ms > RETRIES_MS_MAX:
                break
            await self._clock.sleep_ms(pause_ms)
            failover = self._options.failover_url
            to = failover if failover is not None and number > FAILOVER_AFTER else url
            # A retry is signed anew. Unknown, but otherwise one later than 300 s would have to be refused.
            numbered = msgspec.structs.replace(webhook, attempt=number, delivered_to=to)
            attempt = await self._try(numbered, to, bad_signature)
            attempts.append(attempt)
            on_attempt(attempt)
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

    async def _try(self, webhook: Webhook, url: str, bad_signature: bool) -> DeliveryAttempt:
        body = encode_webhook(webhook)
        signed = body + b" " if bad_signature else body
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "accept": "*/*",
            **sign(signed, self._key, self._clock.now_unix_ms() // 1000),
        }
        started_at = self._now()
        request = DeliveryRequest(url=url, headers=[[name, value] for name, value in headers.items()])
        response: DeliveryResponse | None = None
        errors: list[Any] = []
        try:
            async with (
                asyncio.timeout(self._options.webhook_ms_max / 1000),
                self._http.stream("POST", url, content=body, headers=headers) as answer,
            ):
                response = DeliveryResponse(
                    status=answer.status_code,
                    headers=[[name, value] for name, value in answer.headers.items()],
                    body=await _start_of(answer),
                )
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
            errors = [_NAME_UNKNOWN if _is_name_error(error) else _NO_SUCCESS]
        delivered = response is not None and response.status is not None and 200 <= response.status < 300
        return DeliveryAttempt(
            status="delivered" if delivered else "failed",
            started_at=started_at,
            finished_at=self._now(),
            http=DeliveryHttp(request=request, response=response),
            errors=[] if delivered else errors or [_NO_SUCCESS],
        )

    def _is_retried(self, attempt: DeliveryAttempt) -> bool:
        response = attempt.http.response if attempt.http else None
        if response is None or response.status is None or response.status in (408, 429):
            return True
        return not 400 <= response.status < 500 or self._options.webhook_retries_4xx

    def _now(self) -> str:
        return iso_time(self._clock.now_unix_ms())


async def _start_of(answer: httpx2.Response) -> str:
    kept = b""
    async for piece in answer.aiter_bytes():
        kept += piece
        if len(kept) >= BODY_BYTES_MAX:
            break
    return kept[:BODY_BYTES_MAX].decode("utf-8", "replace")


def _is_name_error(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
