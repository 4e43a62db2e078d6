"""The simulator's own control API and page, below /simulator and never on a path of Telnyx's.

Start at `build_panel`. It is for the developer at this machine: without a token it answers only to loopback names (a web
page that points its own name at 127.0.0.1 gets nothing) and takes commands only as JSON (a form on another site cannot send
that).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import importlib.resources
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from callpath.audio.codec import Pcm
from callpath.audio.wav import read_wav
from callpath.errors import AudioError, ConfigError
from callpath.simulator.callee import SCRIPTS, Callee
from callpath.simulator.caller import Caller, CallFailed
from callpath.simulator.figures import parse_duration_ms
from callpath.simulator.link import FAULTS, Fault, fault_fields, parse_fault
from callpath.simulator.refusal import Refused
from callpath.simulator.speech import hello_wav, speak
from callpath.wire.document import Json

BODY_BYTES_MAX = 16 << 20
"""A WAV of ten minutes in base64."""

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}

_FILES = {"index.html": "text/html", "page.js": "text/javascript", "page.css": "text/css"}


class _Wrong(Exception):  # noqa: N818  (travels only inside this module)
    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


class Exchange(Protocol):
    """What the panel needs from the simulator behind it."""

    webhook_url: str | None
    calls: list[Caller]
    seed: int

    @property
    def api_base(self) -> str: ...

    @property
    def api_key(self) -> str: ...

    @property
    def public_key(self) -> str: ...

    @property
    def clock_now_ms(self) -> float: ...

    async def call(
        self,
        from_: str = ...,
        to: str = ...,
        *,
        say: Pcm | Path | str | None = None,
        sample_rate_hz: int | None = None,
        faults: Sequence[Fault | str] = (),
    ) -> Caller: ...

    def set_callee_of(self, number: str, script: Callee | str) -> None: ...

    def set_callee(
        self,
        *,
        rings_ms: float | None,
        rejects: Literal["user_busy", "call_rejected"] | None,
        never_answers: bool,
        faults: Sequence[Fault | str],
        say: Pcm | Path | str | None = None,
        sample_rate_hz: int | None = None,
    ) -> None: ...


def build_panel(exchange: Exchange, host: str, telnyx_api: ASGIApp, *, token: str | None = None) -> Starlette:
    """The whole of the simulator over HTTP: its panel, and Telnyx's API for every other path.

    With `token` every request of the panel must show it as `Authorization: Bearer`.
    """
    hosts = {"127.0.0.1", "localhost", "::1", host}

    async def page(request: Request) -> Response:
        name = request.path_params.get("file", "index.html")
        if name not in _FILES:
            raise _Wrong(404, "There is no such file.")
        content = (importlib.resources.files("callpath.simulator") / "page" / name).read_bytes()
        return Response(content, media_type=f"{_FILES[name]}; charset=utf-8")

    async def settings(_: Request) -> Response:
        return _answer(
            {
                "api_base": exchange.api_base,
                "api_key": exchange.api_key,
                "public_key": exchange.public_key,
                "webhook_url": exchange.webhook_url,
                "seed": exchange.seed,
                "callees": {name: what for name, (_, what) in SCRIPTS.items()},
                "faults": [
                    {"name": name, "takes": fault_fields(name), "must": fault.MUST, "cause": fault.CAUSE}
                    for name, fault in FAULTS.items()
                ],
            }
        )

    async def calls(_: Request) -> Response:
        return _answer({"calls": [_row(one, exchange.clock_now_ms) for one in reversed(exchange.calls)]})

    async def place(request: Request) -> Response:
        body = await _body(request, {"from", "to", "say", "say_wav", "faults", "webhook"})
        if "webhook" in body:
            if not _text(body, "webhook").startswith(("http://", "https://")):
                raise _Wrong(422, "webhook is no URL: right is http://127.0.0.1:6000/webhooks")
            exchange.webhook_url = _text(body, "webhook")
        how: dict[str, Any] = {"from_": _text(body, "from")} if body.get("from") else {}
        how |= {"to": _text(body, "to")} if body.get("to") else {}
        speech = await _speech(body) or ({} if "say" in body else {"say": hello_wav()})
        caller = await exchange.call(**how, **speech, faults=_faults(body))
        return _answer(_row(caller, exchange.clock_now_ms), 201)

    async def callee(request: Request) -> Response:
        body = await _body(
            request, {"say", "say_wav", "faults", "rings", "rejects", "never_answers", "script", "number"}
        )
        if "script" in body:
            if others := sorted(body.keys() - {"script", "number"}):
                raise _Wrong(
                    422, f"{others[0]} does not go with script: write it into the script, as voicemail,rings=2s"
                )
            exchange.set_callee_of(_text(body, "number") if "number" in body else "*", _text(body, "script"))
            return _answer({"result": "ok"})
        if body.get("rejects") not in (None, "user_busy", "call_rejected"):
            raise _Wrong(422, "rejects is user_busy or call_rejected")
        exchange.set_callee(
            rings_ms=parse_duration_ms(body["rings"], "rings") if "rings" in body else None,
            rejects=body.get("rejects"),
            never_answers=body.get("never_answers") is True,
            faults=_faults(body),
            **await _speech(body),
        )
        return _answer({"result": "ok"})

    async def show(request: Request) -> Response:
        caller = _find(exchange, request)
        # The ear's work takes tens of milliseconds, in which no packet may wait.
        report = await asyncio.to_thread(caller.report)
        return _answer(_row(caller, exchange.clock_now_ms) | {"report": report})

    async def recording(request: Request) -> Response:
        caller = _find(exchange, request)
        wav = await asyncio.to_thread(_recording, caller)
        return Response(wav, media_type="audio/wav")

    async def act(request: Request) -> Response:
        caller = _find(exchange, request)
        match request.path_params["action"]:
            case "press":
                digits = _text(await _body(request, {"digits"}), "digits")
                if not digits or set(digits) - set("0123456789ABCD*#"):
                    raise _Wrong(422, "digits are keys of a phone: 0 to 9, A to D, * and #")
                await caller.press(digits)
            case "say":
                speech = await _speech(await _body(request, {"say", "say_wav"}))
                if not speech:
                    raise _Wrong(422, "say is missing: a text, or say_wav, a WAV in base64")
                caller.say(**{"audio" if key == "say" else key: value for key, value in speech.items()})
            case "hang-up":
                await _body(request, set())
                await caller.hang_up()
            case _:
                raise _Wrong(404, "Actions are press, say and hang-up.")
        return _answer(_row(caller, exchange.clock_now_ms))

    def guarded(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def guard(request: Request) -> Response:
            try:
                _check_sender(request, hosts if token is None else None)
                shown = request.headers.get("authorization", "")
                if token is not None and not hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
                    raise _Wrong(401, "The panel wants its token: Authorization: Bearer …")
                response = await handle(request)
            except _Wrong as wrong:
                response = _answer({"error": str(wrong)}, wrong.status)
            except (ConfigError, AudioError, CallFailed) as error:
                response = _answer({"error": str(error)}, 422)
            except Refused:
                response = _answer({"error": "No more calls can be kept."}, 429)
            response.headers.update(HEADERS)
            return response

        return guard

    def route(path: str, handle: Callable[[Request], Awaitable[Response]], method: str = "GET") -> Route:
        return Route(f"/simulator{path}", guarded(handle), methods=[method])

    return Starlette(
        routes=[
            route("", page),
            route("/", page),
            route("/settings", settings),
            route("/calls", calls),
            route("/calls", place, "POST"),
            route("/callee", callee, "PUT"),
            route("/calls/{number:int}", show),
            route("/calls/{number:int}/recording.wav", recording),
            route("/calls/{number:int}/{action}", act, "POST"),
            route("/{file}", page),
            Mount("/", telnyx_api),
        ]
    )


def _check_sender(request: Request, hosts: set[str] | None) -> None:
    """`hosts`: the names under which the panel may be asked; None: any, since a token is asked for."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if hosts is not None and host not in hosts:
        raise _Wrong(403, "The panel answers only to the name of this machine: use http://127.0.0.1.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise _Wrong(403, "Only its own page may use the panel from a browser.")
    if request.method != "GET":
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/json":
            raise _Wrong(415, "Send JSON, with content-type: application/json.")


def _answer(document: Json, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status_code=status, media_type="application/json")


async def _body(request: Request, known: set[str]) -> Json:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_BYTES_MAX:
            raise _Wrong(413, f"At most {BODY_BYTES_MAX} bytes are taken.")
    try:
        document = msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise _Wrong(400, f"The body is no JSON object: {error}") from None
    if unknown := sorted(document.keys() - known):
        raise _Wrong(422, f"{unknown[0]} is not known here. Known: {', '.join(sorted(known)) or 'nothing'}")
    return document


def _text(body: Json, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise _Wrong(422, f"{key} is missing, or no text")
    return value


def _faults(body: Json) -> list[Any]:
    faults = body.get("faults", [])
    if not isinstance(faults, list) or not all(isinstance(one, str) for one in faults):
        raise _Wrong(422, 'faults is a list of texts: ["chunks_lost=0.1"]')
    return [parse_fault(one) for one in faults]


async def _speech(body: Json) -> dict[str, Any]:
    """`say` and its rate. A text is never taken for a file here: whoever can POST shall not read this disk."""
    if body.get("say_wav"):
        pcm, rate_hz = await asyncio.to_thread(_wav, _text(body, "say_wav"))
    elif body.get("say"):
        pcm, rate_hz = await asyncio.to_thread(speak, _text(body, "say"))
    else:
        return {}
    return {"say": pcm, "sample_rate_hz": rate_hz}


def _wav(text: str) -> tuple[Pcm, int]:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _Wrong(422, "say_wav is not base64") from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "say.wav"
        path.write_bytes(content)
        return read_wav(path)


def _recording(caller: Caller) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.wav"
        caller.write_recording(path)
        return path.read_bytes()


def _find(exchange: Exchange, request: Request) -> Caller:
    number = request.path_params["number"]
    for caller in exchange.calls:
        if caller.number == number:
            return caller
    raise _Wrong(404, f"There is no call {number}: it never was, or it is forgotten.")


def _row(caller: Caller, now_ms: float) -> Json:
    """What the list shows: cheap, since the page asks every second."""
    call = caller.call
    end_ms = now_ms if call.ended_at_ms is None else call.ended_at_ms
    ended = call.state == "ended"
    return {
        "number": caller.number,
        "direction": "outbound" if call.leg.direction == "outgoing" else "inbound",
        "from": call.leg.from_,
        "to": call.leg.to,
        "call_control_id": call.leg.call_control_id,
        "call_session_id": call.leg.call_session_id,
        "state": call.state,
        "duration_ms": round(end_ms - caller.began_at_ms),
        "stream": "none" if call.stream is None else "open" if call.stream.opened else "connecting",
        "speaks": caller.hears_speech,
        "frames_out": caller.stream.frames_out,
        "frames_in": caller.stream.frames_in,
        "failure": caller.failure if ended or caller.stream.opened_at_ms is not None else None,
        "faults": [fault.NAME for fault in caller.link.faults],
    }
