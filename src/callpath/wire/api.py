"""What the API answers: the result of a command, errors, and the resources that tell how a call went."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from callpath.errors import RemoteProtocolError
from callpath.wire.document import Document, Json, Part, parse_json, read, write
from callpath.wire.ids import CallControlId, LegId, SessionId


class CommandResult(Document, frozen=True, kw_only=True):
    """`{"data": {"result": "ok"}}`: accepted, not carried out. The effect comes as webhooks."""

    result: str
    recording_id: str | None = None
    conversation_relay_id: str | None = None


class CallStatus(Document, frozen=True, kw_only=True):
    """One leg. `is_alive` is always false in the answer to a dial. Kept for 10 minutes after the end."""

    call_control_id: CallControlId
    call_leg_id: LegId
    call_session_id: SessionId
    is_alive: bool
    record_type: str | None = None
    client_state: str | None = None
    start_time: str | None = None
    end_time: str | None = None
    call_duration: int | None = None
    recording_id: str | None = None


class ActiveCall(Document, frozen=True, kw_only=True):
    """A leg that is up on a connection right now."""

    call_control_id: CallControlId
    call_leg_id: LegId
    call_session_id: SessionId
    call_duration: int | None = None
    client_state: str | None = None
    record_type: str | None = None


class CallEvent(Document, frozen=True, kw_only=True):
    """One row of Telnyx's own log of a call: a command it got or a webhook it made."""

    type: str
    name: str
    call_leg_id: LegId | None = None
    call_session_id: SessionId | None = None
    event_timestamp: str | None = None
    metadata: Json | None = None
    record_type: str | None = None


class DeliveryRequest(Part, frozen=True, kw_only=True):
    """What Telnyx sent; headers as [name, value] pairs."""

    url: str | None = None
    headers: list[list[str]] | None = None


class DeliveryResponse(Part, frozen=True, kw_only=True):
    """What our end answered; the body is cut at 10 kB."""

    status: int | None = None
    headers: list[list[str]] | None = None
    body: str | None = None


class DeliveryHttp(Part, frozen=True, kw_only=True):
    """One exchange of a delivery attempt; no response when none came."""

    request: DeliveryRequest | None = None
    response: DeliveryResponse | None = None


class DeliveryAttempt(Part, frozen=True, kw_only=True):
    """One try to deliver a webhook. `errors` holds codes (75001: name did not resolve, 75499: not a success)."""

    status: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    http: DeliveryHttp | None = None
    errors: list[Any] | None = None


class DeliveredEvent(Part, frozen=True, kw_only=True):
    """The webhook that was to be delivered."""

    id: str | None = None
    event_type: str | None = None
    occurred_at: str | None = None
    payload: Json | None = None
    record_type: str | None = None


class WebhookDelivery(Document, frozen=True, kw_only=True):
    """How the delivery of one webhook went; attempts newest first."""

    id: str
    status: str | None = None
    webhook: DeliveredEvent | None = None
    attempts: list[DeliveryAttempt] | None = None
    started_at: str | None = None
    finished_at: str | None = None
    user_id: str | None = None
    record_type: str | None = None


class ApplicationInbound(Part, frozen=True, kw_only=True):
    """Limits and settings of incoming calls."""

    channel_limit: int | None = None
    shaken_stir_enabled: bool | None = None
    sip_subdomain: str | None = None
    sip_subdomain_receive_settings: str | None = None


class ApplicationOutbound(Part, frozen=True, kw_only=True):
    """Limits and the voice profile of outgoing calls."""

    channel_limit: int | None = None
    outbound_voice_profile_id: str | None = None


class CallControlApplication(Document, frozen=True, kw_only=True):
    """Where Telnyx sends webhooks, and in which version ("1" is the default when made by API; callpath needs "2")."""

    id: str
    active: bool | None = None
    application_name: str | None = None
    webhook_event_url: str | None = None
    webhook_event_failover_url: str | None = None
    webhook_api_version: str | None = None
    webhook_timeout_secs: int | None = None
    first_command_timeout: bool | None = None
    first_command_timeout_secs: int | None = None
    anchorsite_override: str | None = None
    dtmf_type: str | None = None
    inbound: ApplicationInbound | None = None
    outbound: ApplicationOutbound | None = None
    call_cost_in_webhooks: bool | None = None
    redact_dtmf_debug_logging: bool | None = None
    tags: list[str] | None = None
    created_at: str | None = None
    updated_at: str | None = None
    record_type: str | None = None


class ErrorSource(Part, frozen=True, kw_only=True):
    """JSON pointer to the field that was wrong."""

    pointer: str | None = None


class ApiError(Document, frozen=True, kw_only=True):
    """One error. `code` is text: "90018" is a call that has ended, "10009" a bad API key."""

    code: str
    title: str
    detail: str | None = None
    source: ErrorSource | None = None
    meta: Json | None = None


D = TypeVar("D", bound=Document)


class Page(Part, frozen=True, kw_only=True):
    """Where a list goes on; Telnyx counts pages in some lists and hands out cursors in others."""

    page_number: int | None = None
    page_size: int | None = None
    total_pages: int | None = None
    total_results: int | None = None
    total_items: int | None = None
    next: str | None = None
    cursors: dict[str, str | None] | None = None


def read_one(cls: type[D], document: Json) -> D:
    """The `data` object of an answer. Raises RemoteProtocolError (`wrong_shape`)."""
    return read(cls, document.get("data"), f"answer's {cls.__name__}")


def read_list(cls: type[D], document: Json) -> list[D]:
    """The rows of an answer's `data` list. Raises RemoteProtocolError (`wrong_shape`)."""
    rows = document.get("data")
    if not isinstance(rows, list):
        raise RemoteProtocolError("wrong_shape", f"answer has no list of {cls.__name__}")
    return [read(cls, row, cls.__name__) for row in rows]


def read_page(document: Json) -> Page:
    """The `meta` of a list."""
    return read(Page, document.get("meta") or {}, "meta")


def parse_errors(body: bytes) -> list[ApiError]:
    """The errors of an answer that is not 2xx; empty when it is not Telnyx's error document (a proxy's page, say)."""
    try:
        rows = parse_json(body, "error answer").get("errors")
        return [read(ApiError, _usual(row), "error") for row in rows] if isinstance(rows, list) else []
    except RemoteProtocolError:
        return []


def _usual(row: Any) -> Any:
    """A refused dial has a number for a code and no title: observed, with the D-code at the end of its detail."""
    if isinstance(row, dict) and isinstance(row.get("code"), int) and not isinstance(row["code"], bool):
        return {**row, "code": str(row["code"]), "title": row.get("title") or row.get("detail") or "no title"}
    return row


def encode_errors(*errors: ApiError) -> bytes:
    """Telnyx's error document."""
    return msgspec.json.encode({"errors": [write(error) for error in errors]})
