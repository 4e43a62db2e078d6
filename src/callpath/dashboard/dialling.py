"""Routes that dial, tell what came of it, and hang up: for programs with CALLPATH_DIAL_TOKEN, and for who is logged in."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from callpath.api.app import KEY_CHARS_MAX, Order
from callpath.audio.wav import read_wav
from callpath.call.dials import ANNOUNCE, ANNOUNCEMENT, SAY_CHARS_MAX, SOUNDS, DialView, dial_session
from callpath.call.leg import LegState
from callpath.dashboard.access import DIALLER
from callpath.dashboard.documents import Document, Problem, problems
from callpath.dashboard.door import Context, Dials
from callpath.dashboard.masking import mask_text
from callpath.errors import AudioError, ControlError, InvalidRequestError
from callpath.timeline import Entry
from callpath.wire.command import MachineDetection

BODY_BYTES_MAX = 2 * 1024 * 1024
"""Largest order: a minute of speech in it."""

ANSWER_MS_MAX = 6_000.0
"""How long an order waits for Telnyx's answer, so that a refusal is told at once."""

LOOK_EVERY_MS = 150.0
WAIT_S_MAX = 60

State = Literal["dialling", "ringing", "answered", "ended"]
Result = Literal[
    "answered",
    "human",
    "machine",
    "fax",
    "screening",
    "busy",
    "no_answer",
    "rejected",
    "unreachable",
    "refused",
    "failed",
    "unknown",
]


class DialRequest(BaseModel):
    """A call to dial. One of `handler`, `say`, `play` and `audio` says what whoever answers hears; none: the handler that
    fits. `play` is the URL of a file that Telnyx can fetch, `audio` a WAV file in base64."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    to: str = Field(max_length=300, description="A number in E.164, or sip:ID@HOST.")
    from_: str | None = Field(None, alias="from", max_length=300, description="The number that is shown.")
    handler: str | None = Field(None, min_length=1, max_length=200)
    say: str | None = Field(None, min_length=1, max_length=SAY_CHARS_MAX)
    play: str | None = Field(None, min_length=1, max_length=2000)
    audio: str | None = Field(None, min_length=1, max_length=BODY_BYTES_MAX)
    detect: MachineDetection | None = None
    ring_s: float = Field(30, ge=5, le=600)
    max_s: float | None = Field(None, ge=30, le=14_400)
    variables: dict[str, Any] = Field(default_factory=dict)
    key: str | None = Field(None, min_length=1, max_length=200, description="As the header Idempotency-Key.")


class DialDocument(Document):
    """A call that was dialled. `outcome` null: not known yet. `explanation` is the doctor's word on a refusal.

    `provisional`: detection may still change its verdict. `beep` null: nothing was told of one.
    """

    id: str
    state: State
    outcome: Result | None
    session: str | None
    answered_by: str | None
    beep: bool | None
    provisional: bool
    cause: str | None
    sip_code: str | None
    code: str | None
    detail: str | None
    explanation: str | None


class Dialling(Document):
    """Whether whoever is logged in may dial from here; `why` not. `handlers` are those of the application."""

    on: bool
    why: str | None
    handlers: list[str]


class Refused(Problem):
    """Telnyx refused the dial: `code` is its D-code where there is one."""

    id: str
    code: str | None
    explanation: str | None


STATUSES = {"not_allowed": 403, "too_many_calls": 429, "key_used": 409, "not_running": 503, "no_connection": 503}
"""How what cannot be dialled is answered; 400 for the rest, which the order itself says wrongly."""

OFF = "dialling over HTTP and from here is off: set CALLPATH_DIAL_ALLOW to the prefixes that may be dialled"

ORDER: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": DialRequest.model_json_schema(by_alias=True)}},
    }
}


def add_routes(api: FastAPI, context: Context) -> None:
    """Add the routes to the API."""
    settings, clock = context.door.settings, context.door.clock

    def dials() -> Dials:
        if context.dials is None or context.app is None:
            raise HTTPException(503, "the server has not started yet")
        return context.dials

    async def document(view: DialView) -> DialDocument:
        explanation = None
        if view.outcome is not None and view.outcome.status == "refused":
            entries = await context.log.read(dial_session(view.record.dial_id))
            explanation = await asyncio.to_thread(_explained, context, entries)
        return dial_document(view, explanation, masked=context.masked)

    async def look(dial_id: UUID, until_ms: float, *, outcome: bool) -> DialView:
        """The dial once its outcome is known, or only whether Telnyx took it; or as it is at the end of that time."""
        while True:
            view = await dials().look(str(dial_id))
            if view is None:
                raise HTTPException(404, "no call was dialled under this id")
            known = view.outcome is not None or (not outcome and not view.record.is_open)
            if known or clock.now_ms() >= until_ms or context.door.stopping():
                return view
            await clock.sleep_ms(LOOK_EVERY_MS)

    @api.get("/dialling", operation_id="getDialling")
    async def dialling() -> Dialling:
        """Whether calls can be dialled from the dashboard."""
        missing = [
            name
            for name, value in (
                ("CALLPATH_DIAL_ALLOW", settings.dial_allow),
                ("CALLPATH_DASHBOARD_TOKEN", settings.dashboard_token),
                ("TELNYX_CONNECTION_ID", settings.telnyx_connection_id),
                ("CALLPATH_DIAL_FROM", settings.dial_from),
            )
            if not value
        ]
        why = f"To call real phones from here, set {', '.join(missing)}." if missing else None
        app = context.app
        return Dialling(on=not missing, why=why, handlers=[route.name for route in app.routes] if app else [])

    @api.post(
        "/calls",
        operation_id="dialCall",
        status_code=202,
        response_model=DialDocument,
        openapi_extra=ORDER,
        responses=problems(400, 403, 409, 413) | {422: {"model": Refused, "description": "Telnyx refused the dial"}},
    )
    async def dial(request: Request, idempotency_key: Annotated[str | None, Header()] = None) -> JSONResponse:
        """Have a call dialled. Answered once Telnyx has taken it; what comes of it is at /calls/{id}/outcome. Two orders
        with one Idempotency-Key are one call."""
        placing = dials()
        if not settings.dial_allow:
            return _problem(403, "dialling_off", OFF)
        wanted = _read(await _body(request))
        if idempotency_key is not None and not 1 <= len(idempotency_key) <= KEY_CHARS_MAX:
            raise HTTPException(400, f"Idempotency-Key: it has 1 to {KEY_CHARS_MAX} characters")
        if wanted.key is not None and idempotency_key is not None and wanted.key != idempotency_key:
            raise HTTPException(400, "key: it is another one than the header Idempotency-Key")
        try:
            dial_id = await placing.begin(await _order(context, wanted, idempotency_key, _source(request)))
        except InvalidRequestError as error:
            return _problem(STATUSES.get(error.reason, 400), error.reason, str(error))
        view = await look(UUID(dial_id), clock.now_ms() + ANSWER_MS_MAX, outcome=False)
        told = await document(view)
        if told.outcome == "refused":
            detail = f"Telnyx refused the call: {told.detail}"
            refused = Refused(error="refused", detail=detail, id=told.id, code=told.code, explanation=told.explanation)
            return JSONResponse(refused.model_dump(), status_code=422)
        return JSONResponse(told.model_dump(), status_code=202, headers={"location": f"/api/v1/calls/{dial_id}"})

    @api.get("/calls/{dial_id}/outcome", operation_id="getOutcome", responses=problems(404))
    async def outcome(dial_id: UUID, wait_s: Annotated[int, Query(ge=0, le=WAIT_S_MAX)] = 0) -> DialDocument:
        """What came of a call that was dialled; `wait_s`: wait so long for the outcome."""
        return await document(await look(dial_id, clock.now_ms() + 1000 * wait_s, outcome=True))

    @api.post("/calls/{dial_id}/hangup", operation_id="hangUpCall", responses=problems(404, 409))
    async def hang_up(dial_id: UUID) -> DialDocument:
        """End a call that was dialled, ringing or answered. One that is over stays so."""
        view = await look(dial_id, clock.now_ms() + ANSWER_MS_MAX, outcome=False)
        try:
            await dials().hang_up(view.record.dial_id)
        except (ControlError, InvalidRequestError) as error:
            raise HTTPException(409, f"not hung up: {mask_text(str(error)) if context.masked else error}") from None
        return await document(await look(dial_id, clock.now_ms(), outcome=False))

    @api.delete("/calls/{dial_id}", operation_id="deleteCall", responses=problems(404, 409))
    async def delete(dial_id: UUID) -> DialDocument:
        """The same as POST /calls/{id}/hangup. Its timeline stays."""
        return await hang_up(dial_id)


def dial_document(view: DialView, explanation: str | None, *, masked: bool) -> DialDocument:
    """A dial as the API shows it."""
    found, placed = view.outcome, view.record.placed
    detail = found.detail if found is not None else None
    return DialDocument(
        id=view.record.dial_id,
        state=_state(view),
        outcome=found.status if found is not None else None,
        session=placed.session if placed is not None else None,
        answered_by=found.answered_by if found is not None else None,
        beep=found.beep if found is not None else None,
        provisional=found is not None and found.provisional,
        cause=found.cause if found is not None else None,
        sip_code=found.sip_code if found is not None else None,
        code=found.code if found is not None else None,
        detail=mask_text(detail) if masked and detail else detail,
        explanation=mask_text(explanation) if masked and explanation else explanation,
    )


def _state(view: DialView) -> State:
    if view.record.is_open:
        return "dialling"
    if view.session is None or view.session.ended:
        return "ended"
    leg = view.session.leg
    return "answered" if leg is not None and leg.state is LegState.ANSWERED else "ringing"


def _explained(context: Context, entries: Sequence[Entry]) -> str | None:
    diagnosis = context.door.diagnose_call(entries)
    verdict = diagnosis.verdict if diagnosis is not None else None
    if verdict is None:
        return None
    return f"{verdict.finding.title or verdict.rule.title}. {verdict.finding.fix or verdict.rule.fix}"


def _source(request: Request) -> str:
    client = request.client.host if request.client else "an unknown address"
    way = "from the dashboard" if request.scope.get(DIALLER) == "login" else "over HTTP"
    return f"{way}, by {client}"


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise HTTPException(413, f"an order has at most {BODY_BYTES_MAX:,} bytes", {"connection": "close"})
    except ClientDisconnect:
        raise HTTPException(400, "the body broke off") from None
    return body


def _read(body: bytes) -> DialRequest:
    try:
        wanted = DialRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        detail = f"{where}: {first['msg']}" if where else f'send JSON such as {{"to": "+15555550123"}}: {first["msg"]}'
        raise HTTPException(400, detail) from None
    given = [name for name in ("handler", "say", "play", "audio") if getattr(wanted, name) is not None]
    if len(given) > 1:
        raise HTTPException(400, f"{' and '.join(given)}: give one of handler, say, play and audio")
    return wanted


async def _order(context: Context, wanted: DialRequest, header_key: str | None, source: str) -> Order:
    """Raises InvalidRequestError, HTTPException."""
    assert context.app is not None, "the server has started"
    key = wanted.key or header_key
    order = context.app.order(
        wanted.to,
        from_=wanted.from_,
        handler=wanted.handler,
        ring_s=wanted.ring_s,
        max_s=wanted.max_s,
        detect=wanted.detect,
        variables=wanted.variables,
        key=None if key is None else hashlib.sha256(f"http {key}".encode()).hexdigest(),
    )
    order = replace(order, source=source)
    what: dict[str, Any] = {}
    if wanted.say is not None:
        what = {"say": wanted.say}
    elif wanted.play is not None:
        parts = urlsplit(wanted.play)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HTTPException(400, "play: it is no URL of a file that Telnyx can fetch, https://…")
        what = {"url": wanted.play}
    elif wanted.audio is not None:
        what = {"file": await asyncio.to_thread(_keep_sound, context.door.settings.data_dir, wanted.audio)}
    if not what:
        return order
    what["detect"] = wanted.detect not in (None, "disabled")
    return replace(order, handler=ANNOUNCE, variables={**order.variables, ANNOUNCEMENT: what})


def _keep_sound(data_dir: Path, audio: str) -> str:
    """Keep a WAV file that came in base64 where the call's handler finds it; its name. Raises HTTPException."""
    try:
        content = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise HTTPException(400, "audio: it is not base64") from None
    name = f"{hashlib.sha256(content).hexdigest()[:32]}.wav"
    path = data_dir / SOUNDS / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unchecked = path.with_suffix(".new")
        unchecked.write_bytes(content)
        read_wav(unchecked)
        unchecked.replace(path)
    except AudioError as error:
        unchecked.unlink(missing_ok=True)
        raise HTTPException(400, f"audio: {str(error).replace(str(unchecked), 'it')}") from None
    except OSError as error:
        raise HTTPException(503, f"audio: it cannot be kept in the data directory: {error.strerror or error}") from None
    return name


def _problem(status: int, error: str, detail: str) -> JSONResponse:
    return JSONResponse({"error": error, "detail": detail}, status_code=status)
