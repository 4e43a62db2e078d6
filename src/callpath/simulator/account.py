"""What can be asked about an account and its calls: the read-only part of the API, and the PATCHes that set it right.

`Account` is how the account is set. Its rows are documents as Telnyx writes them, and a test may change any of them, to
have an account that is set wrong. `account_routes` serves them. Source of fields, filters and pages: Telnyx's OpenAPI
file of 2026-07-16.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused, refuse
from callpath.wire.api import ActiveCall, ApiError, CallEvent, CallStatus, WebhookDelivery
from callpath.wire.conference import Conference, Participant
from callpath.wire.document import Document, Json, merge, write

PAGE_SIZE, PAGE_SIZE_MAX = 20, 250
"""Documented for call_events and webhook_deliveries."""

DETAIL_PAGE_SIZE_MAX = 50

NUMBER = "+15555550199"

Handle = Callable[[Request], Awaitable[Response]]
Body = Callable[[Request], Awaitable[Json]]


@dataclass(slots=True, kw_only=True)
class Account:
    """One account: numbers, what they lead to, money. All rows are documents that may be changed at any time.

    `call_events_filters` says which names of the two leg and session filters are taken: the ones of today's
    specification (`new`), those of the one before (`old`), or either.
    """

    balance: Json
    applications: list[Json]
    """Call Control applications; the first is the simulator's own."""

    numbers: list[Json]
    voices: list[Json]
    """Voice settings, one row a number, by the same id."""

    connections: list[Json] = field(default_factory=list)
    """What is no Call Control application: SIP and TeXML."""

    profiles: list[Json] = field(default_factory=list)
    detail_records: list[Json] = field(default_factory=list)
    refusals: dict[str, Refused] = field(default_factory=dict)
    """Path below /v2 (or its beginning, with a * at the end) to what it is refused with: a key that may not see everything,
    say."""

    call_events_filters: Literal["either", "new", "old"] = "either"
    asked: list[str] = field(default_factory=list)
    """Method and path with query, in the order in which they were asked."""

    @property
    def application(self) -> Json:
        return self.applications[0]

    @property
    def number(self) -> Json:
        return self.numbers[0]

    @property
    def voice(self) -> Json:
        return self.voices[0]

    def leads_to_application(self, number: str) -> bool:
        """Whether a call to `number` makes webhooks: it does not where the number or the application is set wrong."""
        row = next((row for row in self.numbers if row["phone_number"] == number), None)
        if row is not None and (row["status"] != "active" or row["connection_id"] != self.application["id"]):
            return False
        return bool(self.application["active"])

    def add_application(self, connection_id: str, webhook_url: str, **changes: Any) -> Json:
        """One more Call Control application, like the first but for `changes`."""
        row = self.application | {"id": connection_id, "webhook_event_url": webhook_url} | changes
        self.applications.append(row)
        return row

    def add_number(self, number: str, connection_id: str | None, **changes: Any) -> Json:
        """One more number, like the first but for `changes`."""
        row_id = str(int(self.number["id"]) + len(self.numbers))
        row = self.number | {"id": row_id, "phone_number": number, "connection_id": connection_id} | changes
        self.numbers.append(row)
        self.voices.append(self.voice | {"id": row_id, "phone_number": number, "connection_id": connection_id or ""})
        return row

    def add_connection(self, connection_id: str, record_type: str = "ip_connection") -> Json:
        """A SIP connection, or by `record_type` something else that is no Call Control application."""
        row = {
            "id": connection_id,
            "record_type": record_type,
            "connection_name": "somebody's PBX",
            "active": True,
            "anchorsite_override": "Latency",
            "webhook_event_url": None,
            "webhook_event_failover_url": "",
            "webhook_api_version": "1",
            "created_at": self.application["created_at"],
            "updated_at": self.application["updated_at"],
        }
        self.connections.append(row)
        return row


def sound_account(options: CarrierOptions, webhook_url: str, *, now: str) -> Account:
    """An account on which calls come in and go out: one application, one number, one outbound profile."""
    profile_id = "2900000000000000002"
    application = {
        "id": options.connection_id,
        "record_type": "call_control_application",
        "application_name": "callpath simulator",
        "active": True,
        "webhook_event_url": webhook_url,
        "webhook_event_failover_url": options.failover_url or "",
        "webhook_api_version": options.webhook_api_version,
        "webhook_timeout_secs": None,
        "first_command_timeout": options.first_command_timeout,
        "first_command_timeout_secs": options.first_command_timeout_secs,
        "anchorsite_override": "Latency",
        "dtmf_type": "RFC 2833",
        "call_cost_in_webhooks": False,
        "redact_dtmf_debug_logging": False,
        "inbound": {"channel_limit": options.calls_max, "shaken_stir_enabled": False},
        "outbound": {"channel_limit": options.calls_max, "outbound_voice_profile_id": profile_id},
        "created_at": now,
        "updated_at": now,
    }
    number: Json = {
        "id": "1293384261075731499",
        "record_type": "phone_number",
        "phone_number": NUMBER,
        "country_iso_alpha2": "US",
        "status": "active",
        "tags": [],
        "external_pin": None,
        "connection_id": options.connection_id,
        "connection_name": "callpath simulator",
        "call_forwarding_enabled": True,
        "hd_voice_enabled": False,
        "inbound_call_screening": "disabled",
        "phone_number_type": "local",
        "deletion_lock_enabled": False,
        "created_at": now,
        "purchased_at": now,
        "updated_at": now,
    }
    voice = {
        "id": number["id"],
        "record_type": "voice_settings",
        "phone_number": NUMBER,
        "connection_id": options.connection_id,
        "translated_number": "",
        # As a new number has it: switched on by default, and without an effect until it forwards somewhere.
        "call_forwarding": {"call_forwarding_enabled": True, "forwards_to": "", "forwarding_type": "always"},
        "inbound_call_screening": "disabled",
        "tech_prefix_enabled": False,
        "usage_payment_method": "pay-per-minute",
    }
    profile = {
        "id": profile_id,
        "record_type": "outbound_voice_profile",
        "name": "default",
        "enabled": True,
        "concurrent_call_limit": None,
        "daily_spend_limit_enabled": False,
        "whitelisted_destinations": ["US", "CA"],
        "traffic_type": "conversational",
        "service_plan": "global",
        "usage_payment_method": "rate-deck",
        "connections_count": 1,
        "created_at": now,
        "updated_at": now,
    }
    return Account(
        balance={
            "record_type": "balance",
            "balance": "21.50",
            "pending": "0.00",
            "credit_limit": "0.00",
            "available_credit": "21.50",
            "currency": "USD",
        },
        applications=[application],
        numbers=[number],
        voices=[voice],
        profiles=[profile],
    )


class AccountSource(Protocol):
    """What these answers need from the simulator behind them. Methods raise Refused."""

    @property
    def account(self) -> Account: ...

    def status(self, call_control_id: str) -> CallStatus: ...

    def active_calls(self, connection_id: str) -> list[ActiveCall]: ...

    def call_events(self) -> Sequence[CallEvent]: ...

    def deliveries(self) -> Sequence[WebhookDelivery]: ...

    def now(self) -> str: ...

    def conferences(self) -> Sequence[Conference]: ...

    def participants(self, id_or_name: str) -> Sequence[Participant]: ...

    def queue_rows(self) -> Sequence[Json]: ...

    def queue_calls(self, name: str) -> Sequence[Json]: ...

    def change_participant(self, id_or_name: str, participant_id: str, document: Json) -> Participant: ...


def account_routes(exchange: AccountSource, body: Body) -> list[tuple[str, Handle, str]]:
    """Path below /v2, what answers there, and its method. `body` reads a request's JSON object."""

    async def balance(_: Request) -> Response:
        return data(exchange.account.balance)

    async def status(request: Request) -> Response:
        return data(write(exchange.status(request.path_params["call_control_id"])))

    async def active_calls(request: Request) -> Response:
        rows = [write(row) for row in exchange.active_calls(request.path_params["connection_id"])]
        return answer({"data": rows, "meta": {"total_items": len(rows), "cursors": {"after": "", "before": ""}}})

    async def call_events(request: Request) -> Response:
        unknown = {"new": ("call_leg_id", "call_session_id"), "old": ("leg_id", "application_session_id")}
        for name in unknown.get(exchange.account.call_events_filters, ()):
            if _filter(request, name) is not None:
                raise _unknown_filter(name)
        rows = [
            row
            for row in exchange.call_events()
            if _fits(row.call_leg_id, _filter(request, "leg_id", "call_leg_id"))
            and _fits(row.call_session_id, _filter(request, "application_session_id", "call_session_id"))
            and _fits(row.type, _filter(request, "type"))
            and _fits(row.name, _filter(request, "name"))
        ]
        return _page(request, rows)

    async def deliveries(request: Request) -> Response:
        kinds = _filter(request, "event_type")
        inside = _filter(request, "webhook][contains")
        tried = _filter(request, "attempts][contains")
        since, until = _filter(request, "started_at][gte"), _filter(request, "started_at][lte")
        rows = [
            row
            for row in exchange.deliveries()
            if _fits(row.status, _filter(request, "status][eq", "status"))
            and (kinds is None or (row.webhook is not None and row.webhook.event_type in kinds.split(",")))
            and (inside is None or inside in msgspec.json.encode(row.webhook).decode())
            and (tried is None or tried in msgspec.json.encode(row.attempts).decode())
            and (since is None or (row.started_at or "") >= since)
            and (until is None or (row.started_at or "") <= until)
        ]
        return _page(request, rows)

    async def delivery(request: Request) -> Response:
        return data(write(_one(exchange.deliveries(), lambda row: row.id, request)))

    async def numbers(request: Request) -> Response:
        digits = _filter(request, "phone_number")
        rows = [
            row
            for row in exchange.account.numbers
            # The filter is compared with bare digits: a plus or a blank in it finds nothing.
            if (digits is None or digits in row["phone_number"].removeprefix("+"))
            and _fits(row["connection_id"], _filter(request, "connection_id"))
            and _fits(row["status"], _filter(request, "status"))
        ]
        return _page(request, rows)

    async def voices(request: Request) -> Response:
        digits = _filter(request, "phone_number")
        rows = [
            row for row in exchange.account.voices if digits is None or digits in row["phone_number"].removeprefix("+")
        ]
        return _page(request, rows)

    async def number(request: Request) -> Response:
        return data(_one(exchange.account.numbers, _id, request))

    async def voice(request: Request) -> Response:
        return data(_one(exchange.account.voices, _id, request))

    async def change_number(request: Request) -> Response:
        row = _one(exchange.account.numbers, _id, request)
        change = await body(request)
        target = change.get("connection_id")
        if target and target not in {
            one["id"] for one in (*exchange.account.applications, *exchange.account.connections)
        }:
            raise refuse("10005")
        row.update({name: value for name, value in change.items() if name in _NUMBER_CHANGES})
        for one in exchange.account.voices:
            if one["id"] == row["id"]:
                one["connection_id"] = row["connection_id"] or ""
        row["updated_at"] = exchange.now()
        return data(row)

    async def applications(request: Request) -> Response:
        name = _filter(request, "application_name][contains")
        profile = _filter(request, "outbound.outbound_voice_profile_id")
        rows = [
            row
            for row in exchange.account.applications
            if (name is None or name in row["application_name"])
            and _fits(row["outbound"].get("outbound_voice_profile_id"), profile)
        ]
        return _page(request, rows)

    async def application(request: Request) -> Response:
        return data(_one(exchange.account.applications, _id, request))

    async def change_application(request: Request) -> Response:
        row = _one(exchange.account.applications, _id, request)
        change = await body(request)
        for name in ("application_name", "webhook_event_url"):
            if not change.get(name):
                raise refuse("10004", f"/{name}", name=name)
        row.update(merge(row, {name: value for name, value in change.items() if name in row}))
        row["updated_at"] = exchange.now()
        return data(row)

    async def connection(request: Request) -> Response:
        rows = [
            *exchange.account.connections,
            *({**row, "connection_name": row["application_name"]} for row in exchange.account.applications),
        ]
        return data(_one(rows, _id, request))

    async def profile(request: Request) -> Response:
        return data(_one(exchange.account.profiles, _id, request))

    async def queues(request: Request) -> Response:
        return _page(request, exchange.queue_rows())

    async def queue(request: Request) -> Response:
        return data(_one(exchange.queue_rows(), lambda row: row["name"], request))

    async def queue_calls(request: Request) -> Response:
        return _page(request, exchange.queue_calls(request.path_params["id"]))

    async def conferences(request: Request) -> Response:
        rows = [
            row
            for row in exchange.conferences()
            if _fits(row.name, _filter(request, "name")) and _fits(row.status, _filter(request, "status"))
        ]
        return _page(request, rows)

    async def conference(request: Request) -> Response:
        return data(write(_one(exchange.conferences(), lambda row: row.id, request)))

    async def participants(request: Request) -> Response:
        rows = exchange.participants(request.path_params["conference"])
        return _page(request, rows)

    async def participant(request: Request) -> Response:
        rows = exchange.participants(request.path_params["conference"])
        return data(write(_one(rows, lambda row: row.id, request)))

    async def change_participant(request: Request) -> Response:
        wanted = request.path_params["conference"], request.path_params["id"]
        return data(write(exchange.change_participant(*wanted, await body(request))))

    async def detail_records(request: Request) -> Response:
        kind = _filter(request, "record_type")
        if kind is None:
            raise Refused(400, *refuse("10004", "/filter/record_type", name="filter[record_type]").errors)
        wanted = {
            name[1]: value
            for key, value in request.query_params.items()
            if (name := re.fullmatch(r"filter\[(\w+)\]", key)) and name[1] != "date_range"
        }
        rows = [
            row
            for row in exchange.account.detail_records
            if all(str(row.get(key)) == text for key, text in wanted.items())
        ]
        return _page(request, rows, DETAIL_PAGE_SIZE_MAX)

    return [
        (path, _watched(exchange, handle), method)
        for path, handle, method in (
            ("/balance", balance, "GET"),
            ("/calls/{call_control_id}", status, "GET"),
            ("/connections/{connection_id}/active_calls", active_calls, "GET"),
            ("/connections/{id}", connection, "GET"),
            ("/call_events", call_events, "GET"),
            ("/webhook_deliveries", deliveries, "GET"),
            ("/webhook_deliveries/{id}", delivery, "GET"),
            ("/phone_numbers", numbers, "GET"),
            ("/phone_numbers/voice", voices, "GET"),
            ("/phone_numbers/{id}/voice", voice, "GET"),
            ("/phone_numbers/{id}", number, "GET"),
            ("/phone_numbers/{id}", change_number, "PATCH"),
            ("/call_control_applications", applications, "GET"),
            ("/call_control_applications/{id}", application, "GET"),
            ("/call_control_applications/{id}", change_application, "PATCH"),
            ("/outbound_voice_profiles/{id}", profile, "GET"),
            ("/queues", queues, "GET"),
            ("/queues/{id}", queue, "GET"),
            ("/queues/{id}/calls", queue_calls, "GET"),
            ("/conferences", conferences, "GET"),
            ("/conferences/{id}", conference, "GET"),
            ("/conferences/{conference}/participants", participants, "GET"),
            ("/conferences/{conference}/participants/{id}", participant, "GET"),
            ("/conferences/{conference}/participants/{id}", change_participant, "PATCH"),
            ("/detail_records", detail_records, "GET"),
        )
    ]


_NUMBER_CHANGES = {"connection_id", "customer_reference", "tags", "external_pin"}


def answer(document: Json, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(document), status_code=status, media_type="application/json")


def data(document: Json) -> Response:
    """One resource."""
    return answer({"data": document})


def _watched(exchange: AccountSource, handle: Handle) -> Handle:
    async def watched(request: Request) -> Response:
        path = request.url.path.removeprefix("/v2")
        query = f"?{request.url.query}" if request.url.query else ""
        exchange.account.asked.append(f"{request.method} {path}{query}")
        for beginning, refused in exchange.account.refusals.items():
            if path == beginning or (beginning.endswith("*") and path.startswith(beginning[:-1])):
                raise refused
        return await handle(request)

    return watched


def _one(rows: Iterable[Any], key: Callable[[Any], Any], request: Request) -> Any:
    for row in rows:
        if key(row) == request.path_params["id"]:
            return row
    raise refuse("10005")


def _id(row: Json) -> Any:
    return row["id"]


def _unknown_filter(name: str) -> Refused:
    # The code is documented; its wording is not.
    return Refused(400, ApiError(code="10031", title="Invalid filter", detail=f"The filter {name} is not known."))


def _filter(request: Request, *names: str) -> str | None:
    """`filter[leg_id]=...`; the newer and the older name of one filter are both taken."""
    for name in names:
        value = request.query_params.get(f"filter[{name}]")
        if value is not None:
            return value
    return None


def _fits(value: object, wanted: str | None) -> bool:
    return wanted is None or value == wanted


def _page(request: Request, rows: Sequence[Document | Json], size_max: int = PAGE_SIZE_MAX) -> Response:
    number = _whole(request.query_params.get("page[number]"), 1, 1, 1_000_000)
    size = _whole(request.query_params.get("page[size]"), PAGE_SIZE, 1, size_max)
    shown = rows[(number - 1) * size : number * size]
    meta = {
        "page_number": number,
        "page_size": size,
        "total_pages": -(-len(rows) // size),
        "total_results": len(rows),
    }
    return answer({"data": [row if isinstance(row, dict) else write(row) for row in shown], "meta": meta})


def _whole(text: str | None, default: int, low: int, high: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
        raise refuse("10033", low=low, high=high)
    return int(text)
