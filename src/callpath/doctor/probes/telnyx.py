"""Ask Telnyx how the account is set and how one call went. Read-only; every question bounded in time, in rows, in tries.

A question that is refused or gets no answer is kept as an ApiRefusal, and the next one is asked. The first one decides
whether there is any sense in asking more: with a refused key, or without a way to Telnyx, there is none.
Source of paths, filters and pages: Telnyx's OpenAPI file of 2026-07-16.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import msgspec

from callpath.clock import Clock
from callpath.doctor.facts import AccountFacts, ApiRefusal, ChosenBy, ServedFacts, TelnyxCallFacts
from callpath.doctor.urls import same_host, same_url
from callpath.errors import RemoteProtocolError, SignatureError
from callpath.wire import signature
from callpath.wire.api import (
    CallControlApplication,
    CallEvent,
    CallStatus,
    WebhookDelivery,
    parse_errors,
    read_page,
)
from callpath.wire.document import Document, Json, parse_json, read, write
from callpath.wire.ids import path_segment

ANSWER_S_MAX = 6.0
TRIES_MAX = 2
PAUSE_MS = 500.0
PAUSE_MS_MAX = 3000.0

BUDGET_MS = 45_000.0
"""All that one examination may take; what is left then is not asked. Telnyx answers within a second."""

PAGE_ROWS = 250
"""The documented maximum of most lists."""

PAGES_MAX = 8
NUMBERS_MAX = 10
"""Of so many numbers the voice settings are asked: each is a question of its own."""

DELIVERIES_MAX = 50
DELIVERY_AGE_MS = 24 * 3600 * 1000

_KEY_CODES = {"10009", "20001", "20002", "20003", "20008"}
"""What Telnyx answers to a key that is wrong, revoked or of another kind."""

D = TypeVar("D", bound=Document)


class Telnyx:
    """One account, seen by a doctor: asks, and remembers what was refused. Use it as an async context manager."""

    def __init__(
        self, *, api_base: str, api_key: str, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.api_base = api_base.rstrip("/")
        self.clock = clock
        self.refusals: list[ApiRefusal] = []
        self.key_accepted: bool | None = None
        self._until_ms = clock.now_ms() + BUDGET_MS
        self._http = httpx2.AsyncClient(
            base_url=self.api_base,
            headers={"Authorization": f"Bearer {api_key}", "Accept": "application/json"},
            timeout=ANSWER_S_MAX,
            transport=transport,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    def begin(self) -> None:
        """One examination begins: its time runs from now, and what was refused before is forgotten."""
        self._until_ms = self.clock.now_ms() + BUDGET_MS
        self.refusals.clear()

    async def ask(self, question: str, path: str, filters: dict[str, Any] | None = None) -> Json | None:
        """The document of a GET; None where it was refused, which then stands in `refusals`."""
        return await self._answered(question, "GET", path, filters, None)

    async def change(self, question: str, path: str, body: Json) -> Json | None:
        """The document after a PATCH; None where it was refused."""
        return await self._answered(question, "PATCH", path, None, body)

    async def one(self, question: str, path: str, filters: dict[str, Any] | None = None) -> Json | None:
        """The `data` object of an answer."""
        document = await self.ask(question, path, filters)
        found = document.get("data") if document is not None else None
        return found if isinstance(found, dict) else None

    async def rows(
        self, question: str, path: str, filters: dict[str, Any] | None = None, rows_max: int = PAGE_ROWS * PAGES_MAX
    ) -> list[Json] | None:
        """The `data` rows of all pages, at most `rows_max`; None where even the first page was refused."""
        kept: list[Json] = []
        size = min(PAGE_ROWS, rows_max)
        for number in range(1, PAGES_MAX + 1):
            asked = (filters or {}) | {"page[size]": size, "page[number]": number}
            document = await self.ask(question, path, asked)
            found = document.get("data") if document is not None else None
            if document is None or not isinstance(found, list):
                return kept or None
            kept += [_ids_as_text(row) for row in found if isinstance(row, dict)]
            pages = _pages(document)
            if len(kept) >= rows_max or not found or (number >= pages if pages is not None else len(found) < size):
                break
        return kept[:rows_max]

    def refused(self, question: str, *codes: str) -> bool:
        """Whether the last answer to `question` was a refusal, with one of `codes` or status where given."""
        last = next((row for row in reversed(self.refusals) if row.question == question), None)
        return last is not None and (not codes or last.code in codes or str(last.status) in codes)

    async def _answered(
        self, question: str, method: str, path: str, filters: dict[str, Any] | None, body: Json | None
    ) -> Json | None:
        refusal = ApiRefusal(question, None, "", f"not asked: {BUDGET_MS / 1000:.0f} s were over")
        if self.clock.now_ms() > self._until_ms:
            self.refusals.append(refusal)
            return None
        for attempt in range(1, TRIES_MAX + 1):
            answer, refusal = await self._try(question, method, path, filters, body)
            if answer is not None and answer.is_success:
                try:
                    return parse_json(answer.content, "answer")
                except RemoteProtocolError as error:
                    refusal = ApiRefusal(question, answer.status_code, "", f"not Telnyx's answer: {error}")
                    break
            if attempt == TRIES_MAX or (answer is not None and answer.status_code != 429 and answer.status_code < 500):
                break
            await self.clock.sleep_ms(_pause_ms(answer))
        self.refusals.append(refusal)
        return None

    async def _try(
        self, question: str, method: str, path: str, filters: dict[str, Any] | None, body: Json | None
    ) -> tuple[httpx2.Response | None, ApiRefusal]:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._http.request(method, path, params=filters, json=body)
        except (httpx2.RequestError, httpx2.InvalidURL, TimeoutError) as error:
            slow = isinstance(error, httpx2.TimeoutException | TimeoutError)
            what = f"timed out after {ANSWER_S_MAX:.0f} s" if slow else f"failed: {str(error) or type(error).__name__}"
            return None, ApiRefusal(question, None, "", f"the connection to {self._http.base_url.host} {what}")
        errors = [] if answer.is_success else parse_errors(answer.content)
        code = errors[0].code if errors else ""
        detail = (
            (errors[0].detail or errors[0].title) if errors else f"not Telnyx's error format: {answer.text[:120]!r}"
        )
        if answer.status_code == 401 or code in _KEY_CODES:
            self.key_accepted = False
        elif errors or answer.is_success:
            self.key_accepted = True
        return answer, ApiRefusal(question, answer.status_code, code, detail)


def _pause_ms(answer: httpx2.Response | None) -> float:
    text = answer.headers.get("retry-after", "") if answer is not None else ""
    return min(PAUSE_MS_MAX, float(text) * 1000) if text.isascii() and text.isdigit() else PAUSE_MS


def _pages(document: Json) -> int | None:
    try:
        return read_page(document).total_pages
    except RemoteProtocolError:
        return None


# --- how the account is set ------------------------------------------------------------------------------------------


async def probe_account(
    telnyx: Telnyx,
    served: ServedFacts | None = None,
    *,
    number: str = "",
    application_id: str = "",
    destination: str = "",
    public_key: signature.PublicKey | None = None,
) -> AccountFacts:
    """How the account is set, for calls to `number` (as a person writes it) or to an application, or for whatever leads
    to the webhook URL that we serve. `destination` is a number to be dialled."""
    telnyx.begin()
    digits = "".join(character for character in number if character.isdigit())
    known: dict[str, Any] = {
        "number_asked": f"+{digits}" if digits else "",
        "destination": destination,
        "looked_at_unix_ms": telnyx.clock.now_unix_ms(),
    }
    known["balance"] = await telnyx.one("balance", "/balance")
    if telnyx.key_accepted is not True:
        return AccountFacts(key_accepted=telnyx.key_accepted, refusals=tuple(telnyx.refusals), **known)

    async with asyncio.TaskGroup() as tasks:
        listed = tasks.create_task(telnyx.rows("applications", "/call_control_applications"))
        wanted_number = tasks.create_task(_number(telnyx, digits))
        sent = tasks.create_task(_deliveries(telnyx, telnyx.clock.now_unix_ms()))
    rows = listed.result()
    applications = tuple(_read_all(CallControlApplication, rows))
    known |= {
        "applications": applications,
        "applications_listed": rows is not None,
        "deliveries": sent.result(),
    }
    row = wanted_number.result() or {}
    if digits:
        known["number_found"] = None if wanted_number.result() is None else bool(row)
    chosen, by = _choose(applications, served, application_id, str(row.get("connection_id") or ""))
    numbers = [row] if row else []
    if not digits:
        mine, others = await _numbers_of(telnyx, chosen)
        known |= {"numbers_listed": mine is not None, "other_numbers": tuple(others)}
        numbers = mine or []
        if not numbers and len(others) == 1:
            # The account's only number is meant, wherever it leads.
            row, numbers = others[0], others
            known |= {"number_asked": str(row.get("phone_number", "")), "number_found": True, "other_numbers": ()}
            if chosen is None:
                chosen, by = _choose(applications, served, application_id, str(row.get("connection_id") or ""))
    known |= {"number": row or None, "numbers": tuple(numbers)}

    leads_to = str(row.get("connection_id") or "")
    known["connection_id"] = leads_to or application_id or (chosen.id if chosen is not None else "")
    for wanted, reason in _to_be_asked(applications, application_id, leads_to):
        one, missing, kind = await _ask_application(telnyx, wanted)
        if wanted == known["connection_id"]:
            known |= {"application_missing": missing, "connection_kind": kind}
        if one is not None:
            known["applications"] = (*known["applications"], one)
            if chosen is None or reason == "asked":
                chosen, by = one, reason
    known |= {"application": chosen, "chosen_by": by}
    known |= await _what_belongs_to(telnyx, chosen, numbers, asked=bool(row))
    known["public_key_fits"] = _key_fits(known["deliveries"], public_key)
    return AccountFacts(key_accepted=telnyx.key_accepted, refusals=tuple(telnyx.refusals), **known)


async def _numbers_of(telnyx: Telnyx, chosen: CallControlApplication | None) -> tuple[list[Json] | None, list[Json]]:
    """The numbers that lead to the application (None: that could not be asked), and, where there are none, those that
    the account has."""
    mine: list[Json] | None = []
    if chosen is not None:
        filters = {"filter[connection_id]": chosen.id}
        mine = await telnyx.rows("numbers of the application", "/phone_numbers", filters, NUMBERS_MAX)
        if mine or mine is None:
            return mine, []
    return mine, await telnyx.rows("numbers of the account", "/phone_numbers", None, NUMBERS_MAX) or []


async def _number(telnyx: Telnyx, digits: str) -> Json | None:
    """Its row; empty where the account has no such number; None where that could not be asked."""
    if not digits:
        return None
    # The filter finds parts of numbers, too.
    rows = await telnyx.rows("number", "/phone_numbers", {"filter[phone_number]": digits}, rows_max=PAGE_ROWS)
    if rows is None:
        return None
    return next((row for row in rows if str(row.get("phone_number", "")).lstrip("+") == digits), {})


def _choose(
    applications: Iterable[CallControlApplication], served: ServedFacts | None, application_id: str, leads_to: str
) -> tuple[CallControlApplication | None, ChosenBy]:
    """Which application is meant: the one named, the one with our URL, with our host, the number's, or the only one."""
    rows = sorted(applications, key=lambda row: (row.id != leads_to, row.active is not True))
    if application_id:
        found = next((row for row in rows if row.id == application_id), None)
        return found, "asked" if found is not None else ""
    alike: tuple[tuple[Callable[[str, str], bool], ChosenBy], ...] = ((same_url, "url"), (same_host, "host"))
    for compare, by in alike if served is not None else ():
        for row in rows:
            if served is not None and compare(row.webhook_event_url or "", served.webhook_url):
                return row, by
    if rows and rows[0].id == leads_to:
        return rows[0], "number"
    return (rows[0], "only one") if len(rows) == 1 else (None, "")


def _to_be_asked(
    applications: Iterable[CallControlApplication], application_id: str, leads_to: str
) -> Iterator[tuple[str, ChosenBy]]:
    """Ids that are no application of the list: it may have been refused, or they are of another kind."""
    listed = {row.id for row in applications}
    if application_id and application_id not in listed:
        yield application_id, "asked"
    if leads_to and leads_to not in {*listed, application_id}:
        yield leads_to, "number"


async def _ask_application(telnyx: Telnyx, wanted: str) -> tuple[CallControlApplication | None, bool, str]:
    """The application; or that there is none by this id, and of which kind the connection is instead."""
    segment = path_segment(wanted)
    row = await telnyx.one("application", f"/call_control_applications/{segment}")
    if row is not None:
        return next(iter(_read_all(CallControlApplication, [row])), None), False, ""
    if not telnyx.refused("application", "404"):
        return None, False, ""
    connection = await telnyx.one("connection", f"/connections/{segment}")
    gone = connection is None and telnyx.refused("connection", "404")
    return None, True, "" if gone else str((connection or {}).get("record_type") or "unknown kind")


async def _what_belongs_to(
    telnyx: Telnyx, chosen: CallControlApplication | None, numbers: list[Json], *, asked: bool
) -> Json:
    """The voice settings of the numbers, and the application's outbound profile."""
    found: Json = {}
    profile_id = (
        chosen.outbound.outbound_voice_profile_id if chosen is not None and chosen.outbound is not None else None
    )
    async with asyncio.TaskGroup() as tasks:
        voices = [
            tasks.create_task(telnyx.one("voice settings", f"/phone_numbers/{path_segment(str(row['id']))}/voice"))
            for row in numbers
            if row.get("id")
        ]
        profile = (
            tasks.create_task(telnyx.one("outbound profile", f"/outbound_voice_profiles/{path_segment(profile_id)}"))
            if profile_id
            else None
        )
    settings = [voice.result() for voice in voices]
    found["voices"] = tuple(row for row in settings if row is not None)
    found["number_voice"] = found["voices"][0] if asked and found["voices"] else None
    if profile is not None:
        found["outbound_profile"] = profile.result()
        found["outbound_profile_missing"] = profile.result() is None and telnyx.refused("outbound profile", "404")
    return found


async def _deliveries(telnyx: Telnyx, now_unix_ms: int) -> tuple[WebhookDelivery, ...] | None:
    """Call webhooks of the last day, newest first."""
    rows = await telnyx.rows(
        "webhook deliveries",
        "/webhook_deliveries",
        {"filter[started_at][gte]": _iso(now_unix_ms - DELIVERY_AGE_MS)},
        rows_max=DELIVERIES_MAX,
    )
    if rows is None:
        return None
    found = _read_all(WebhookDelivery, rows)
    return tuple(sorted(found, key=lambda row: row.started_at or "", reverse=True))


def _key_fits(deliveries: tuple[WebhookDelivery, ...] | None, key: signature.PublicKey | None) -> bool | None:
    """Whether webhooks of this account are signed for our public key. Telnyx tells its key nowhere, but a delivery keeps
    the signature, and the body can be written again as it was: one that verifies is proof.

    None that verifies is no proof of the contrary, since a body may have been written in another way; a refusal of our
    own server's, "bad_signature", is.
    """
    if key is None or not deliveries:
        return None
    refused: bool | None = None
    for delivery in deliveries:
        for attempt in delivery.attempts or []:
            http = attempt.http
            if http is None or http.request is None:
                continue
            headers = {pair[0].lower(): pair[1] for pair in http.request.headers or [] if len(pair) == 2}
            timestamp = headers.get(signature.TIMESTAMP_HEADER, "")
            if timestamp.isascii() and timestamp.isdigit():
                for body in _bodies(delivery, http.request.url, len(delivery.attempts or [])):
                    try:
                        signature.verify(body, headers, key, float(timestamp))
                    except SignatureError:
                        continue
                    return True
            if refused is None and http.response is not None and http.response.status is not None:
                # The newest answer counts: what was refused before may have been fixed since.
                refused = http.response.status == 401 and '"bad_signature"' in (http.response.body or "")
    return False if refused else None


def _bodies(delivery: WebhookDelivery, url: str | None, attempts: int) -> Iterator[bytes]:
    """How the body of a delivery may have been written: keys sorted, as in the captures, or as listed."""
    if delivery.webhook is None:
        return
    event = write(delivery.webhook)
    for number in range(1, attempts + 1):
        document = {"data": event, "meta": {"attempt": number, "delivered_to": url}}
        yield msgspec.json.encode(document, order="sorted")
        yield msgspec.json.encode(document)


# --- how one call went -----------------------------------------------------------------------------------------------


async def probe_telnyx_call(
    telnyx: Telnyx,
    *,
    call_control_ids: Iterable[str] = (),
    leg_ids: Iterable[str] = (),
    session_id: str = "",
    have: frozenset[str] = frozenset(),
    complete: bool = True,
) -> TelnyxCallFacts:
    """One call as Telnyx tells it. `have` are the ids of the webhook events that our timeline holds; with `complete`
    False (a timeline from logs, which may lack any) nothing counts as missed."""
    telnyx.begin()
    events = await _events(telnyx, list(leg_ids), session_id)
    if telnyx.key_accepted is not True:
        return TelnyxCallFacts(key_accepted=telnyx.key_accepted, refusals=tuple(telnyx.refusals))
    ids = list(call_control_ids)
    async with asyncio.TaskGroup() as tasks:
        sent = [
            tasks.create_task(
                telnyx.rows("webhook deliveries", "/webhook_deliveries", {"filter[webhook][contains]": one}, PAGE_ROWS)
            )
            for one in ids or ([session_id] if session_id else [])
        ]
        status = tasks.create_task(telnyx.one("call status", f"/calls/{path_segment(ids[0])}")) if ids else None
        records = tasks.create_task(_detail_records(telnyx, {*leg_ids, session_id, *ids} - {""}))
    lists = [task.result() for task in sent]
    deliveries = {row.id: row for rows in lists for row in _read_all(WebhookDelivery, rows)}
    alive = status.result() if status is not None else None
    return TelnyxCallFacts(
        key_accepted=True,
        events=None if events is None else tuple(events),
        deliveries=None
        if not lists or all(rows is None for rows in lists)
        else tuple(sorted(deliveries.values(), key=lambda row: row.started_at or "")),
        status=next(iter(_read_all(CallStatus, [alive])), None) if alive is not None else None,
        detail_records=records.result(),
        missed=tuple(event for event in events or [] if complete and _is_missed(event, have)),
        refusals=tuple(telnyx.refusals),
    )


async def _events(telnyx: Telnyx, leg_ids: list[str], session_id: str) -> list[CallEvent] | None:
    """Commands and webhooks of the call in time order, asked by session and by leg, in today's names and the older."""
    questions = [("application_session_id", "call_session_id", session_id)] if session_id else []
    questions += [("leg_id", "call_leg_id", leg) for leg in leg_ids]
    found: dict[bytes, CallEvent] = {}
    answered = False
    for today, before, value in questions:
        rows = await telnyx.rows("call events", "/call_events", {f"filter[{today}]": value})
        if rows is None and telnyx.refused("call events", "10031", "400", "422"):
            rows = await telnyx.rows("call events", "/call_events", {f"filter[{before}]": value})
            if rows is not None:
                # The first spelling was not a failure then.
                telnyx.refusals[:] = [row for row in telnyx.refusals if row.question != "call events"]
        if rows is None:
            if telnyx.key_accepted is not True:
                break
            continue
        answered = True
        for row in rows:
            # A filter that a server does not know and ignores would give other calls' events.
            if value in (row.get("call_leg_id"), row.get("call_session_id")):
                for event in _read_all(CallEvent, [row]):
                    found[msgspec.json.encode(row, order="sorted")] = event
        if today == "application_session_id" and rows:
            break
    return sorted(found.values(), key=lambda event: event.event_timestamp or "") if answered else None


def _is_missed(event: CallEvent, have: frozenset[str]) -> bool:
    inner = (event.metadata or {}).get("event")
    event_id = inner.get("id") if isinstance(inner, dict) else None
    return event.type == "webhook" and isinstance(event_id, str) and event_id not in have


async def _detail_records(telnyx: Telnyx, ids: set[str]) -> tuple[Json, ...] | None:
    """What is charged as media streaming, and belongs to this call by any of its ids, in whichever field.

    The fields are not documented, nor is how late a record appears: one that is there proves a stream, none proves
    nothing.
    """
    rows = await telnyx.rows(
        "detail records",
        "/detail_records",
        {"filter[record_type]": "media-streaming", "filter[date_range]": "this_month", "sort": "-created_at"},
        rows_max=50,
    )
    if rows is None:
        return None
    return tuple(row for row in rows if ids & {value for value in row.values() if isinstance(value, str)})


# --- shared ----------------------------------------------------------------------------------------------------------


def _read_all(cls: type[D], rows: Iterable[Json] | None) -> Iterator[D]:
    """Rows as documents; one that cannot be read is left out."""
    for row in rows or []:
        try:
            yield read(cls, _ids_as_text(row), cls.__name__)
        except RemoteProtocolError:
            continue


def _ids_as_text(row: Json) -> Json:
    """Ids are texts of digits; one that came as a number would compare with nothing."""
    numbers = {name: str(row[name]) for name in ("id", "connection_id") if type(row.get(name)) is int}
    return row | numbers if numbers else row


def _iso(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
