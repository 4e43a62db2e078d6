"""What is still missing before a real call can work, step by step, each looked at anew."""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
from fastapi import FastAPI

from callpath.call.address import webhook_url
from callpath.config import Settings, is_loopback
from callpath.dashboard.documents import Document
from callpath.dashboard.door import Context
from callpath.dashboard.phone import PHONE_NUMBER
from callpath.doctor.urls import same_url
from callpath.errors import ConfigError, RemoteProtocolError
from callpath.store.port import CallLog, CallQuery
from callpath.wire.api import CallControlApplication, read_list
from callpath.wire.document import parse_json

ASK_S_MAX = 5.0
FRESH_MS = 10_000.0
"""How long an answer of Telnyx's is taken for still true."""

LOOK_BACK = 200
"""Calls among which the first real one is looked for."""

State = Literal["done", "missing", "warning", "unknown"]


class SetupStep(Document):
    """One step. `value` is something to copy; `unknown`: it could not be found out, `detail` says why."""

    id: str
    title: str
    state: State
    detail: str
    help: str
    value: str | None = None


class SetupDocument(Document):
    """All steps in order, and whether this server can take real calls at all (false: only the browser phone's)."""

    steps: list[SetupStep]
    real_calls: bool
    handler: str


class Account:
    """What Telnyx says of the account, asked at most every ten seconds."""

    def __init__(self, context: Context) -> None:
        self._clock = context.door.clock
        self._asked: dict[tuple[str, str], tuple[float, int | None, dict[str, Any] | str]] = {}

    async def ask(self, settings: Settings, path: str) -> tuple[int | None, dict[str, Any] | str]:
        """(status, document), or (None, what went wrong)."""
        now_ms = self._clock.now_ms()
        known = self._asked.get((settings.telnyx_api_key, path))
        if known is not None and now_ms - known[0] < FRESH_MS:
            return known[1], known[2]
        status: int | None = None
        answer: dict[str, Any] | str
        try:
            async with httpx2.AsyncClient(timeout=ASK_S_MAX, trust_env=False) as http:
                headers = {"Authorization": f"Bearer {settings.telnyx_api_key}"}
                got = await http.get(settings.telnyx_api_base.rstrip("/") + path, headers=headers)
            status, answer = got.status_code, parse_json(got.content, "answer")
        except RemoteProtocolError as error:
            answer = str(error)
        except httpx2.RequestError as error:
            answer = f"Telnyx's API could not be reached: {str(error) or type(error).__name__}"
        self._asked = {(settings.telnyx_api_key, path): (now_ms, status, answer)} | {
            one: seen for one, seen in self._asked.items() if now_ms - seen[0] < FRESH_MS
        }
        return status, answer


def add_routes(api: FastAPI, context: Context) -> None:
    """GET /setup."""
    account = Account(context)

    @api.get("/setup", operation_id="getSetup")
    async def get_setup() -> SetupDocument:
        """What is still missing before real calls work."""
        door = context.door
        settings, restart = door.settings, ""
        if door.settings_now is not None:
            try:
                fresh = await asyncio.to_thread(door.settings_now)
            except ConfigError as error:
                restart = f"What was changed cannot be used: {error}"
            else:
                if (fresh.telnyx_api_key, fresh.telnyx_public_key, fresh.public_url) != (
                    settings.telnyx_api_key,
                    settings.telnyx_public_key,
                    settings.public_url,
                ):
                    settings, restart = fresh, "Found. Restart callpath to use it."
        steps = [
            await _key_step(account, settings),
            _public_key_step(settings),
            _public_url_step(settings),
            *await _application_steps(account, settings),
            *await _call_steps(context.log),
        ]
        if restart:
            steps.insert(0, SetupStep(id="restart", title="Restart", state="warning", detail=restart, help=""))
        running = door.settings
        real = bool(running.telnyx_api_key and running.telnyx_public_key and running.public_url)
        return SetupDocument(steps=steps, real_calls=real, handler=door.handler_name)


async def _key_step(account: Account, settings: Settings) -> SetupStep:
    said = "Make an API v2 key in the Telnyx portal (API Keys) and set TELNYX_API_KEY to it, here or in .env."
    state: State
    if not settings.telnyx_api_key:
        state, detail = "missing", "TELNYX_API_KEY is not set."
    else:
        status, answer = await account.ask(settings, "/call_control_applications?page[size]=250")
        if status in (401, 403):
            state, detail = "missing", f"Telnyx refuses the key ({status}): it is mistyped, or was deleted."
        elif status is None:
            state, detail = "unknown", str(answer)
        else:
            state, detail = "done", "Telnyx takes the key."
    return SetupStep(id="key", title="API key", state=state, detail=detail, help=said)


def _public_key_step(settings: Settings) -> SetupStep:
    known = bool(settings.telnyx_public_key)
    return SetupStep(
        id="public-key",
        title="Public key",
        state="done" if known else "missing",
        detail="Webhooks are checked with it." if known else "TELNYX_PUBLIC_KEY is not set.",
        help="Copy it from the portal (Keys & Credentials, Public Key) into TELNYX_PUBLIC_KEY. Without it nobody "
        "could tell Telnyx's webhooks from forged ones.",
    )


def _public_url_step(settings: Settings) -> SetupStep:
    host = urlsplit(settings.public_url).hostname
    state: State
    if not host:
        state, detail = "missing", "PUBLIC_URL is not set."
    elif is_loopback(host):
        state, detail = "warning", f"{settings.public_url} is this machine only: Telnyx cannot reach it."
    else:
        state, detail = "done", settings.public_url
    return SetupStep(
        id="public-url",
        title="Public URL",
        state=state,
        detail=detail,
        help="Where the world reaches this server, with https. On Railway, Render and Fly it is known by itself; at "
        "home use a tunnel and set PUBLIC_URL to its address.",
    )


async def _application_steps(account: Account, settings: Settings) -> list[SetupStep]:
    wanted = webhook_url(settings.public_url) if settings.public_url else None
    webhook = SetupStep(
        id="webhook",
        title="Webhook URL",
        state="unknown",
        detail="Needs the API key and the public URL first.",
        help="In the portal, make a Call Control (Voice API) application and paste this as its webhook URL, API v2.",
        value=wanted,
    )
    number = SetupStep(
        id="number",
        title="Phone number",
        state="unknown",
        detail="Needs an application with our webhook URL first.",
        help="Buy a number in the portal and assign it to that application.",
    )
    if not (settings.telnyx_api_key and wanted):
        return [webhook, number]
    status, answer = await account.ask(settings, "/call_control_applications?page[size]=250")
    applications = _rows(answer)
    if applications is None:
        webhook.detail = f"Telnyx did not list the applications ({status or answer})."
        return [webhook, number]
    ours = [one for one in applications if same_url(one.webhook_event_url or "", wanted)]
    if not ours:
        others = ", ".join(sorted(one.webhook_event_url or "none" for one in applications)[:3])
        webhook.state = "missing"
        webhook.detail = f"No application sends its webhooks there. Seen: {others or 'no application at all'}."
        return [webhook, number]
    application = ours[0]
    old = application.webhook_api_version not in (None, "2")
    webhook.state = "warning" if old or application.active is False else "done"
    webhook.detail = f"Application {application.application_name or application.id} sends its webhooks there."
    if old:
        webhook.detail += f" But it sends API version {application.webhook_api_version}: set it to 2."
    elif application.active is False:
        webhook.detail += " But it is not active."
    status, answer = await account.ask(settings, f"/phone_numbers?filter[connection_id]={application.id}")
    rows = answer.get("data") if isinstance(answer, dict) and status == 200 else None
    if not isinstance(rows, list):
        number.detail = f"Telnyx did not list the numbers ({status or answer})."
    elif rows:
        number.state, number.detail = "done", f"{len(rows)} assigned to the application."
    else:
        number.state, number.detail = "missing", "No number is assigned to the application."
    return [webhook, number]


def _rows(answer: dict[str, Any] | str) -> list[CallControlApplication] | None:
    try:
        return read_list(CallControlApplication, answer) if isinstance(answer, dict) else None
    except RemoteProtocolError:
        return None


async def _call_steps(log: CallLog) -> list[SetupStep]:
    real = [one for one in await log.overviews(CallQuery(limit=LOOK_BACK)) if one.from_ != PHONE_NUMBER]
    heard = [one for one in real if one.missing_stage is None]
    refused, latest = await log.rejected(1)
    trouble = f" {refused} requests were refused; the latest: {latest[0].detail}" if latest and not real else ""
    return [
        SetupStep(
            id="first-webhook",
            title="First webhook",
            state="done" if real else "missing",
            detail="Telnyx reaches this server." if real else f"No authentic webhook has come yet.{trouble}",
            help="Call your number. The first webhook shows that URL and public key are right.",
        ),
        SetupStep(
            id="first-audio",
            title="First audio both ways",
            state="done" if heard else "missing",
            detail="Audio flowed both ways." if heard else "No real call has carried audio yet.",
            help="If the webhook comes but no audio, open the call: the doctor says why.",
        ),
    ]
