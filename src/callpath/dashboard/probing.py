"""The live probe: the doctor plays the carrier against this server's own audio URL, and each step is told as it is done.

Only our own addresses are probed, the configured one or the one that a call was given: a form that took any URL would
let a visitor look around behind the firewall. The account is asked in the same way, by what the door brings.
"""

from __future__ import annotations

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Query
from fastapi import Request as HttpRequest
from starlette.responses import Response

from callpath.call.address import AUDIO_PATH, audio_url
from callpath.call.session import CallSession, missing_stage_sentence
from callpath.config import is_loopback
from callpath.dashboard.changes import Tell, Telling
from callpath.dashboard.documents import problems
from callpath.dashboard.door import Context, Door
from callpath.dashboard.masking import mask, mask_text
from callpath.doctor.engine import diagnose
from callpath.doctor.examination import OnStep
from callpath.doctor.report import document, html_page, markdown, redacted
from callpath.doctor.request import Request
from callpath.doctor.verdict import Diagnosis
from callpath.errors import CallpathError
from callpath.timeline import Entry, describe
from callpath.wire.ids import SessionId

TEST_CONNECTION = SessionId("test-connection")
"""The id under which a callpath server answers probes (`server.probe`)."""

BUSY = "other probes are running: wait until they are done"
PROBES_MAX = 2
REPORTS_MAX = 20
"""Reports that can still be fetched after a probe; they are kept in memory."""

Format = Literal["html", "md"]
EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
REPORT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}, "text/markdown": {}}}}


def add_routes(api: FastAPI, context: Context) -> None:
    """The doctor's routes."""
    door, masked, timeline = context.door, context.masked, context.timeline
    reports: OrderedDict[str, Diagnosis] = OrderedDict()
    running: set[str] = set()

    @api.post("/doctor/probe", operation_id="probe", response_class=Response, responses=problems(404, 409) | EVENTS)
    async def probe(asked: HttpRequest, session: Annotated[str | None, Query(max_length=400)] = None) -> Response:
        """Probe this server's audio URL, or the one that a call was given. Server-sent events: `url`, `step` for each
        layer, `diagnosis` with the document and an `id` for its report."""
        # Without a public URL the dashboard answers only this machine, at the address where it listens.
        host, port = asked.scope.get("server") or ("127.0.0.1", 8000)
        ours = audio_url(door.settings.public_url or f"http://{host}:{port}", TEST_CONNECTION)
        url = None
        if session is not None:
            call, _ = await timeline(session)
            url = probe_url(call.stream_url)
        if url is not None and is_phones(url, ours):
            raise HTTPException(
                409,
                "This was a call of the browser phone, and the server that took it ended with it: there is nothing left to "
                "try. The Doctor page tries this server's own URL.",
            )
        url = url or ours

        async def look(tell: Tell, on_step: OnStep) -> Diagnosis:
            tell("url", {"url": url})
            local = is_loopback(urlsplit(url).hostname or "")
            token = door.probe_token if of_one_host(url, ours) else None
            return await diagnose(Request(url=url, token=token, local=local), door.clock, on_step)

        return telling(look)

    @api.post("/doctor/account", operation_id="checkAccount", response_class=Response, responses=problems(409) | EVENTS)
    async def account() -> Response:
        """How the Telnyx account is set, and the host where its token is; nothing is changed. Server-sent events: `step`
        for each, `diagnosis` as of a probe, or `trouble` with a `detail` where a setting is missing."""
        ask = door.diagnose_account
        if ask is None:
            raise HTTPException(409, "this server cannot ask the account: run callpath doctor account")

        async def look(_tell: Tell, on_step: OnStep) -> Diagnosis:
            return await ask(on_step)

        return telling(look)

    def telling(look: Callable[[Tell, OnStep], Awaitable[Diagnosis]]) -> Response:
        """What `look` finds, as it finds it."""
        if len(running) >= PROBES_MAX:
            raise HTTPException(409, BUSY)
        name = uuid.uuid4().hex
        shown = mask if masked else _as_it_is

        async def work(tell: Tell) -> None:
            if len(running) >= PROBES_MAX:  # of many requests at once all found room above
                tell("trouble", {"detail": BUSY})
                return
            running.add(name)
            try:
                diagnosis = await look(tell, lambda step: tell("step", shown(asdict(step))))
            except CallpathError as error:
                tell("trouble", {"detail": str(error)})
                return
            finally:
                running.discard(name)
            reports[name] = diagnosis
            while len(reports) > REPORTS_MAX:
                reports.popitem(last=False)
            tell("diagnosis", {"id": name, "document": shown(document(diagnosis))})

        return Telling(work)

    @api.get(
        "/doctor/reports/{name}.{format}",
        operation_id="getReport",
        response_class=Response,
        responses=problems(404) | REPORT,
    )
    async def report(name: str, format: Format) -> Response:  # noqa: A002  as it stands in the URL
        """The report of a probe, without secrets and numbers: safe to share."""
        if name not in reports:
            raise HTTPException(404, "this report is gone: probe again")
        return _file(f"probe.{format}", _report(reports[name], door, format))

    @api.get(
        "/calls/{identifier}/report.{format}",
        operation_id="getCallReport",
        response_class=Response,
        responses=problems(404) | REPORT,
    )
    async def call_report(identifier: str, format: Format) -> Response:  # noqa: A002
        """The report of a call: the doctor's word, where it has one, and the timeline in lines."""
        call, entries = await timeline(identifier)
        diagnosis = await asyncio.to_thread(door.diagnose_call, entries)
        lines = timeline_markdown(call, entries)
        if format == "md":
            text = "" if diagnosis is None else markdown(diagnosis) + "\n"
            return _file("call.md", text + lines)
        page = "" if diagnosis is None else html_page(diagnosis)
        return _file("call.html", page + _preformatted(lines))


def probe_url(stream_url: str | None) -> str | None:
    """Where a call's stream URL would have led a probe: the same address, for `test-connection`. None where it is not
    a callpath server's."""
    head, _, tail = AUDIO_PATH.partition("{call_session_id}")
    parts = urlsplit(stream_url or "")
    before, found, rest = parts.path.partition(head)
    if not found or tail not in rest:
        return None
    return f"{parts.scheme}://{parts.netloc}{before}{head}{TEST_CONNECTION}{tail}"


def of_one_host(url: str, ours: str) -> bool:
    """Whether `url` may be shown our probe token. An old call's host, a tunnel's say, may be somebody else's by now."""
    theirs, own = urlsplit(url), urlsplit(ours)
    return bool(own.netloc) and (theirs.scheme, theirs.netloc.lower()) == (own.scheme, own.netloc.lower())


def is_phones(url: str, ours: str) -> bool:
    """Whether an audio URL was that of the browser phone: on this machine, and not this server's."""
    there = urlsplit(url)
    return is_loopback(there.hostname or "") and there.netloc != urlsplit(ours).netloc


def timeline_markdown(call: CallSession, entries: list[Entry]) -> str:
    """A call for a ticket: what is missing, then each entry in a line. No number or secret stands in it."""
    first = min((entry.at_unix_ms for entry in entries), default=0)
    lines = [f"# Call {call.session}", "", f"State: {call.state}.", ""]
    lines += [missing_stage_sentence(call) or "Audio flowed both ways.", "", "```"]
    lines += [f"{(entry.at_unix_ms - first) / 1000:9.3f} s  {describe(entry.what)}" for entry in entries]
    return mask_text(redacted("\n".join([*lines, "```", ""])))


def _report(diagnosis: Diagnosis, door: Door, form: Format) -> str:
    secrets = tuple(filter(None, (door.settings.telnyx_api_key, door.settings.secret)))
    return (html_page if form == "html" else markdown)(diagnosis, door.probe_token, secrets)


def _preformatted(text: str) -> str:
    import html

    return f'<!doctype html><html lang="en"><meta charset="utf-8"><pre>{html.escape(text)}</pre></html>\n'


def _file(name: str, text: str) -> Response:
    kind = "text/html" if name.endswith(".html") else "text/markdown"
    headers = {
        "content-disposition": f'attachment; filename="callpath-{name}"',
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(text, media_type=f"{kind}; charset=utf-8", headers=headers)


def _as_it_is(value: Any) -> Any:
    return value
