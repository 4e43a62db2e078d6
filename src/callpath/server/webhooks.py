"""POST /api/calls/webhook: read, verify, parse, store, answer 200. All work comes after the answer.

Telnyx sends an event again when it has no answer after 2 s, so nothing slow may happen here; and it does not repeat most
events that were answered with 4xx, so only what can never become right gets one.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from callpath.clock import Clock
from callpath.errors import RemoteProtocolError, SignatureError, StoreError
from callpath.server.calls import Calls
from callpath.server.guard import mark_authenticated
from callpath.wire.document import Json, parse_json
from callpath.wire.signature import PublicKey, verify
from callpath.wire.webhook import ConferenceWebhook, Version1Webhook, Webhook, read_webhook

logger = structlog.get_logger("callpath")

BODY_BYTES_MAX = 256 * 1024
"""Largest webhook accepted. The largest seen is under 2 kB; SIP headers may add some."""

BODY_S_MAX = 10.0
"""How long a body may take to arrive."""

ANSWER_S_MAX = 1.8
"""How long an event may wait to be stored. Telnyx gives up after 2 s and sends it again, so a call log that stands still is
told to it in time; what is stored after all is a duplicate then."""

LARGE_BYTES, LARGE_MAX = 16 * 1024, 64
"""So many bodies of more than so many bytes are read at once: strangers' halves of bodies must not fill the memory. One
more is told to come again."""


class WebhookEndpoint:
    """The route. One instance per server."""

    def __init__(self, *, calls: Calls, key: PublicKey, clock: Clock) -> None:
        self._calls = calls
        self._key = key
        self._clock = clock
        self._large = 0

    async def __call__(self, request: Request) -> Response:
        began_ms = self._clock.now_ms()
        response, result = await self._answer(request)
        self._calls.context.metrics.webhook(result, (self._clock.now_ms() - began_ms) / 1000)
        return response

    async def _answer(self, request: Request) -> tuple[Response, str]:
        try:
            body = await self._read_body(request)
            verify(body, request.headers, self._key, self._clock.now_unix_ms() / 1000)
            mark_authenticated(request)
            document = parse_json(body, "webhook")
            webhook = read_webhook(document)
            if isinstance(webhook, Version1Webhook):
                raise RemoteProtocolError(
                    "api_version_1",
                    "this is an API version 1 webhook: set webhook_api_version to 2 in the Call Control application",
                )
            new = await self._store(webhook, document)
        except SignatureError as error:
            return await self._reject(request, 401, error), "refused"
        except RemoteProtocolError as error:
            return await self._reject(request, STATUSES.get(error.reason, 400), error), "refused"
        except StoreError as error:
            # Not stored, hence not acknowledged: Telnyx will send it again.
            ids = {"call_session_id": webhook.payload.call_session_id} if isinstance(webhook, Webhook) else {}
            logger.error("Webhook not stored", event_name="webhook.not_stored", error=str(error), **ids)
            return JSONResponse({"error": "not_stored", "detail": "try again"}, status_code=503), "not_stored"
        except ClientDisconnect:
            return Response(status_code=400), "refused"
        return JSONResponse({"result": "ok" if new else "duplicate"}), "new" if new else "duplicate"

    async def _store(self, webhook: Webhook | ConferenceWebhook, document: Json) -> bool:
        """Whether it is new. Raises StoreError where it cannot be stored in time. If it is stored later, its call acts on
        it all the same: the event may never come again."""
        if isinstance(webhook, ConferenceWebhook):
            receiving = self._calls.receive_conference_webhook(webhook, document)
        else:
            receiving = self._calls.receive_webhook(webhook, document)
        try:
            return await self._calls.context.tasks.within(ANSWER_S_MAX, receiving, "receive a webhook")
        except TimeoutError:
            raise StoreError(f"the call log did not answer within {ANSWER_S_MAX} s") from None

    async def _reject(self, request: Request, status: int, error: RemoteProtocolError) -> Response:
        client = request.client.host if request.client else None
        await self._calls.context.limits.reject("webhook", error.reason, str(error), client, request.url.path)
        # The rest of a body that is too long in bytes or time is not waited for.
        headers = {"connection": "close"} if error.reason in STATUSES else None
        return JSONResponse({"error": error.reason, "detail": str(error)}, status_code=status, headers=headers)

    async def _read_body(self, request: Request) -> bytes:
        """The raw body, bounded in size and time. Raises RemoteProtocolError (one of STATUSES)."""
        chunks: list[bytes] = []
        size = 0
        large = False
        try:
            async with asyncio.timeout(BODY_S_MAX):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > BODY_BYTES_MAX:
                        raise RemoteProtocolError("too_large", f"a webhook has at most {BODY_BYTES_MAX} bytes")
                    if size > LARGE_BYTES and not large:
                        if self._large >= LARGE_MAX:
                            raise RemoteProtocolError(
                                "too_many_large", f"{LARGE_MAX} large bodies are being read: try again"
                            )
                        large = True
                        self._large += 1
                    chunks.append(chunk)
        except TimeoutError:
            raise RemoteProtocolError("too_slow", f"the body took longer than {BODY_S_MAX:.0f} s") from None
        finally:
            self._large -= large
        return b"".join(chunks)


STATUSES = {"too_large": 413, "too_slow": 400, "too_many_large": 503}
"""Why a body was not read to its end; its rest is not waited for."""
