"""The JSON API below /api/v1, which the pages and scripts use; its OpenAPI document is at /api/v1/openapi.json."""

from __future__ import annotations

import asyncio
import base64
import binascii
import csv
import io
import re
import uuid
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.websockets import WebSocket

from callpath.call.address import webhook_url
from callpath.call.kept import StoredRecording, recordings_of
from callpath.call.overview import CallOverview, Outcome, fold_overview
from callpath.call.story import tell_story
from callpath.dashboard import changes, dialling, probing, recordings, replay, setup, verdicts
from callpath.dashboard.documents import (
    CallDocument,
    CallPage,
    CallRow,
    EntryDocument,
    Outline,
    Resent,
    Totals,
    entry_document,
    problems,
    recording_documents,
    row_document,
    sentence,
    stage_documents,
    story_documents,
)
from callpath.dashboard.door import Context, Door
from callpath.dashboard.masking import mask
from callpath.dashboard.phone import answer_phone
from callpath.doctor.report import document as diagnosis_document
from callpath.errors import ArchiveError, AudioError, RemoteProtocolError, StoreError
from callpath.simulator.simulator import hello_wav
from callpath.store.port import CallQuery
from callpath.timeline import Entry, WebhookReceived
from callpath.wire.ids import SessionId
from callpath.wire.webhook import Webhook, read_webhook

PAGE_MAX = 200
EXPORT_PAGE = 100
"""Rows made at a time: a few ms, in which no call's audio is carried."""

SEARCH_MAX = 200
NUMBER_DIGITS_MAX = 18
NUMBER_MAX = 10**NUMBER_DIGITS_MAX
"""No entry has a greater number, and no database takes much greater ones."""

Search = Annotated[str, Query(max_length=SEARCH_MAX, description="In session id, numbers, hang-up cause, errors.")]
Direction = Annotated[Literal["incoming", "outgoing"] | None, Query()]
OutcomeFilter = Annotated[Outcome | None, Query()]
EVENT_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
SOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": {"audio/wav": {}}},
    206: {"description": "The part that Range asked for", "content": {"audio/wav": {}, "multipart/byteranges": {}}},
    400: {"description": "A Range that makes no sense", "content": {"text/plain": {}}},
    416: {"description": "A Range beyond its end"},
}
EVERYWHERE = problems(401, 403, 429, 503)
"""What any route may answer: who may look is asked before all others, and all read the call log."""


def build_api(context: Context) -> FastAPI:
    """The API over the call log and the door."""
    door, masked, timeline = context.door, context.masked, context.timeline
    shelf = recordings.Shelf(door.settings.data_dir, door.archive)
    api = FastAPI(
        title="callpath",
        version=version("callpath"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=EVERYWHERE,
    )

    def row(overview: CallOverview) -> CallRow:
        return row_document(overview, masked=masked)

    async def entry_of(identifier: str, number: int) -> Entry:
        session = await context.log.find(identifier)
        news = await context.log.read(session, after=number - 1) if session is not None else []
        if not news or news[0].number != number:
            raise HTTPException(404, "this call has no such entry")
        return news[0]

    @api.exception_handler(StoreError)
    async def not_stored(_request: Request, error: StoreError) -> JSONResponse:
        return JSONResponse({"error": "store", "detail": str(error)}, status_code=503)

    @api.exception_handler(ArchiveError)
    async def not_fetched(_request: Request, error: ArchiveError) -> JSONResponse:
        return JSONResponse({"error": "archive", "detail": str(error)}, status_code=503)

    @api.exception_handler(StarletteHTTPException)  # its own, and those of the router: no such path, another method
    async def told(_request: Request, error: StarletteHTTPException) -> JSONResponse:
        names = {
            400: "bad_request",
            404: "not_found",
            405: "method_not_allowed",
            409: "conflict",
            413: "too_large",
            503: "not_ready",
        }
        document = {"error": names.get(error.status_code, "refused"), "detail": error.detail}
        return JSONResponse(document, status_code=error.status_code, headers=error.headers)

    # --- calls -------------------------------------------------------------------------------------------------------

    @api.get("/calls", operation_id="listCalls", responses=problems(400))
    async def list_calls(
        q: Search = "",
        direction: Direction = None,
        outcome: OutcomeFilter = None,
        cursor: Annotated[str | None, Query(max_length=400)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    ) -> CallPage:
        """A page of the calls, newest first."""
        before = _read_cursor(cursor) if cursor else None
        query = CallQuery(limit=limit + 1, before=before, text=q.strip(), direction=direction, outcome=outcome)
        found = await context.log.overviews(query)
        page = found[:limit]
        more = len(found) > limit
        return CallPage(calls=[row(one) for one in page], next=_cursor(page[-1]) if more else None)

    @api.get("/totals", operation_id="getTotals")
    async def totals() -> Totals:
        """How many calls of each outcome, and what was turned away."""
        _, counted = await context.log.outcomes()
        refused, latest = await context.log.rejected(5)
        return Totals(
            calls=sum(counted.values()),
            live=counted.get("live", 0),
            good=counted.get("good", 0),
            flawed=counted.get("flawed", 0),
            failed=counted.get("failed", 0),
            unconnected=counted.get("unconnected", 0),
            refused=refused,
            latest_refusals=[
                {"at_unix_ms": one.at_unix_ms, "what": one.what, "reason": one.reason, "detail": one.detail}
                for one in latest
            ],
        )

    @api.get("/export", operation_id="exportCalls", response_class=StreamingResponse)
    async def export(
        format: Annotated[Literal["csv", "json"], Query()] = "csv",  # noqa: A002  as it stands in the URL
        q: Search = "",
        direction: Direction = None,
        outcome: OutcomeFilter = None,
    ) -> StreamingResponse:
        """All calls that fit, as a file."""
        query = CallQuery(limit=EXPORT_PAGE, text=q.strip(), direction=direction, outcome=outcome)

        async def rows() -> AsyncIterator[CallRow]:
            before: tuple[int, str] | None = None
            while True:
                page = await context.log.overviews(
                    CallQuery(query.limit, before, query.text, query.direction, query.outcome)
                )
                for one in page:
                    yield row(one)
                if len(page) < EXPORT_PAGE:
                    return
                before = page[-1].first_unix_ms, page[-1].session

        body, kind = (_as_csv(rows()), "text/csv") if format == "csv" else (_as_json(rows()), "application/json")
        name = f'attachment; filename="calls.{format}"'
        return StreamingResponse(body, media_type=kind, headers={"content-disposition": name})

    @api.get("/calls/{identifier}", operation_id="getCall", response_model=CallDocument, responses=problems(404))
    async def get_call(identifier: str) -> Response:
        """A whole call, by session id (or its beginning), leg id or call_control_id."""
        session, entries = await timeline(identifier)

        def whole() -> str:
            overview = fold_overview(session.session, entries)
            diagnosis = door.diagnose_call(entries)
            found = None if diagnosis is None else diagnosis_document(diagnosis)
            story = tell_story(session, entries)
            parties, steps = story_documents(story, masked=masked)
            return CallDocument(
                call=row(overview),
                stages=stage_documents(session),
                sentence=sentence(session, overview, masked=masked),
                parties=parties,
                steps=steps,
                stream_url=session.stream_url,
                entries=[entry_document(entry, masked=masked, letters=story.letters) for entry in entries],
                recordings=recording_documents(entries),
                diagnosis=mask(found) if masked else found,
                webhook_url=webhook_url(door.settings.public_url),
                api_base=door.settings.telnyx_api_base,
            ).model_dump_json()

        # In a thread: an hour's call has thousands of entries, and live calls' audio does not wait for them.
        return Response(await asyncio.to_thread(whole), media_type="application/json")

    @api.get("/calls/{identifier}/entries", operation_id="getEntries", responses=problems(404))
    async def get_entries(identifier: str, after: Annotated[int, Query(ge=0)] = 0) -> list[EntryDocument]:
        """The entries whose number is greater than `after`."""
        session = await context.log.find(identifier)
        entries = await context.log.read(session, after=after) if session is not None else []
        return [entry_document(entry, masked=masked) for entry in entries]

    @api.post(
        "/calls/{identifier}/entries/{number}/resend", operation_id="resendWebhook", responses=problems(400, 404, 409)
    )
    async def resend(identifier: str, number: int, as_new: Annotated[bool, Query()] = False) -> Resent:
        """Hand a stored webhook to the server once more; with `as_new` under a new event id, so that it acts on it."""
        entry = await entry_of(identifier, number)
        if not isinstance(entry.what, WebhookReceived):
            raise HTTPException(400, "this entry is no webhook")
        body = entry.what.body
        if as_new:
            body = body | {"data": {**body.get("data", {}), "id": str(uuid.uuid4())}}
        try:
            webhook = read_webhook(body)
        except RemoteProtocolError as error:
            raise HTTPException(409, f"this webhook cannot be read any more: {error}") from None
        if not isinstance(webhook, Webhook):
            raise HTTPException(409, "this is an API version 1 webhook")
        new = await context.resend(webhook, body)
        return Resent(new=new, event_id=webhook.id, event_type=webhook.event_type)

    # --- recordings --------------------------------------------------------------------------------------------------

    async def recording_of(identifier: str, number: int) -> StoredRecording:
        _, entries = await timeline(identifier)
        kept = next((one for one in recordings_of(entries) if one.number == number), None)
        if kept is None:
            raise HTTPException(404, "this entry is no recording")
        return kept

    gone = HTTPException(404, "the recording is neither in the data directory nor where recordings are kept")

    @api.get(
        "/calls/{identifier}/recordings/{number}.wav",
        operation_id="getRecording",
        response_class=FileResponse,
        responses=problems(404) | SOUND,
    )
    async def recording(identifier: str, number: int, request: Request) -> Any:
        """A recording; parts of it by Range."""
        answer = await shelf.answer(await recording_of(identifier, number), request.headers.get("range"))
        if answer is None:
            raise gone
        return answer

    @api.get(
        "/calls/{identifier}/recordings/{number}/outline",
        operation_id="getOutline",
        response_model=Outline,
        responses=problems(404, 409),
    )
    async def recording_outline(identifier: str, number: int) -> Response:
        """Its peaks and levels."""
        kept = await recording_of(identifier, number)
        try:
            text = await shelf.outline(kept)
        except (AudioError, OSError) as error:
            raise HTTPException(409, f"the recording cannot be read: {error}") from None
        if text is None:
            raise gone
        return Response(text, media_type="application/json")

    # --- live --------------------------------------------------------------------------------------------------------

    watchers: set[object] = set()

    @api.get(
        "/changes",
        operation_id="watchChanges",
        response_class=StreamingResponse,
        responses=EVENT_STREAM | problems(503),
    )
    async def watch(
        asked: Request,
        after: Annotated[int | None, Query(ge=0, le=NUMBER_MAX)] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> StreamingResponse:
        """Server-sent events: `hello`, then `calls` with the rows that changed after the entry of that number."""
        if last_event_id and last_event_id.isdecimal() and len(last_event_id) <= NUMBER_DIGITS_MAX:
            after = int(last_event_id)  # the browser goes on by itself after a break
        login = bool(door.settings.dashboard_token)
        if len(watchers) >= changes.WATCHERS_MAX:
            raise HTTPException(503, f"{changes.WATCHERS_MAX} pages are open on this server already: close one")

        def over() -> bool:
            client = asked.client.host if asked.client else None
            return (
                door.stopping()
                or context.access.refusal(method="GET", headers=asked.headers, client=client) is not None
            )

        async def body() -> AsyncIterator[bytes]:
            if len(watchers) >= changes.WATCHERS_MAX:  # of many requests at once all found room above
                return
            watcher = object()
            watchers.add(watcher)
            try:
                async for text in changes.watch(
                    context.log, after, door.clock, over, lambda one: row(one).model_dump(), login=login
                ):
                    yield text
            finally:
                watchers.discard(watcher)

        return StreamingResponse(body(), media_type="text/event-stream")

    @api.get("/phone/hello.wav", operation_id="getHello", response_class=FileResponse, responses=SOUND)
    async def hello() -> FileResponse:
        """Somebody says hello: for a phone without a microphone."""
        return FileResponse(hello_wav(), media_type="audio/wav")

    @api.websocket("/phone")
    async def phone(websocket: WebSocket) -> None:
        await answer_phone(websocket, door, masked=masked)

    dialling.add_routes(api, context)
    probing.add_routes(api, context)
    replay.add_routes(api, context)
    setup.add_routes(api, context)
    verdicts.add_routes(api, context)
    return api


def openapi_document() -> dict[str, Any]:
    """The API's description without a running server, for the typed client of the pages."""
    from contextlib import nullcontext

    from callpath.clock import SystemClock
    from callpath.config import Settings

    door = Door(settings=Settings(), clock=SystemClock(), handler_name="", serve_for=lambda *_: nullcontext(""))
    document = build_api(Context(door)).openapi()
    document["info"]["version"] = "1"  # of the API: a release of callpath must not change its description
    return document


# --- cursors and files -----------------------------------------------------------------------------------------------


def _cursor(last: CallOverview) -> str:
    return base64.urlsafe_b64encode(f"{last.first_unix_ms}:{last.session}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        first, _, session = text.partition(":")
        return int(first), SessionId(session)
    except (binascii.Error, ValueError):
        raise HTTPException(400, "cursor: take `next` of the page before, as it is") from None


COLUMNS = tuple(name for name in CallRow.model_fields if name != "missing")


async def _as_csv(rows: AsyncIterator[CallRow]) -> AsyncIterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([*COLUMNS, "missing_stage"])
    async for row in rows:
        missing = row.missing.label if row.missing else ""
        writer.writerow([*(_cell(getattr(row, name)) for name in COLUMNS), missing])
        if buffer.tell() > 1 << 15:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


_NUMBER = re.compile(r"[+-]?[\d•*\[\] ]{1,40}", re.ASCII)
"""A phone number, masked ones too."""


def _cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula; numbers begin with a plus and are none."""
    if isinstance(value, list):
        value = " ".join(value)
    if isinstance(value, str) and value[:1] in set("=-+@\t\r") and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


async def _as_json(rows: AsyncIterator[CallRow]) -> AsyncIterator[str]:
    yield "["
    separator = "\n"
    async for row in rows:
        yield separator + row.model_dump_json()
        separator = ",\n"
    yield "\n]\n"
