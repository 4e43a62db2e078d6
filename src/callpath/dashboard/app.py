"""The dashboard as routes for the call server to carry: pages, their files, and the JSON API below /api/v1.

    dashboard = Dashboard(door)
    create_asgi(app, settings, extra=dashboard)

It does not import the server; `cli/dashboard.py` hands over what it needs as a `Door`.
"""

from __future__ import annotations

import gzip
import mimetypes
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from callpath.api.app import App
from callpath.call.address import MARK_AUTHENTICATED
from callpath.config import is_loopback
from callpath.dashboard.access import COOKIE, DIALLER, SESSION_S, Access, Refusal, dial_route
from callpath.dashboard.door import Context, Dials, Door, ReceiveWebhook
from callpath.errors import RemoteProtocolError
from callpath.store.port import CallLog
from callpath.wire.document import parse_json

PAGES = ("/", "/calls/{session}", "/phone", "/setup", "/doctor")
"""The pages; each is the same document, which asks the API for what it shows."""

NONCE = "%NONCE%"
"""Stands in the page where each answer puts a fresh nonce: wavesurfer brings its styles in a <style> of its own."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "media-src 'self' blob:; worker-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)

LOGIN_BYTES_MAX = 4096

NAME_CHARS_MAX = 100
"""A file of ours has a shorter name; a longer one than the file system takes is an error of its own."""


class Dashboard:
    """The routes, and what they work on once the server runs."""

    def __init__(self, door: Door) -> None:
        from callpath.dashboard.api import build_api  # FastAPI takes its time to import

        self.door = door
        self.access = Access(door.settings, door.clock)
        self._context = Context(door, self.access)
        guarded = _Guarded(build_api(self._context), self.access)
        self.routes: list[BaseRoute] = [
            *(Route(path, _open(_page)) for path in PAGES),
            Route("/assets/{name:path}", _open(_asset)),
            Route("/favicon.svg", _open(_favicon)),
            Route("/api/v1/login", _open(self._login), methods=["POST"]),
            Route("/api/v1/logout", _open(self._logout), methods=["POST"]),
            Mount("/api/v1", guarded),
        ]

    def address(self, port: int) -> str:
        """Where to look, for the log at start."""
        public = self.door.settings.public_url
        if public and not is_loopback(urlsplit(public).hostname or ""):
            return public if self.access.needs_login else "off: set CALLPATH_DASHBOARD_TOKEN to a long random text"
        return f"http://127.0.0.1:{port}"

    def attach(
        self, log: CallLog, receive_webhook: ReceiveWebhook, app: App | None = None, dials: Dials | None = None
    ) -> None:
        """Connect the routes to the server that has started."""
        self._context.attach(log, receive_webhook, app, dials)

    async def _login(self, request: Request) -> Response:
        refused = self.access.refusal_of_origin(request.headers)
        if refused is not None:
            return refusal_answer(refused)
        shown = await _shown_token(request)
        if shown is None:
            detail = 'send {"token": "…"} as JSON'
            return JSONResponse({"error": "bad_request", "detail": detail}, status_code=400)
        session = self.access.login(shown, request.client.host if request.client else None)
        if isinstance(session, Refusal):
            return refusal_answer(session)
        answer = JSONResponse({"ok": True})
        secure = self.access.secure_cookie
        answer.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
        return answer

    async def _logout(self, request: Request) -> Response:
        refused = self.access.refusal_of_origin(request.headers)
        if refused is not None:
            return refusal_answer(refused)
        try:
            self.access.logout(request.headers)
        except OSError as error:
            detail = f"logged out in this browser only, a copy of its cookie goes on: {error.strerror or error}"
            answer = JSONResponse({"error": "not_recorded", "detail": detail}, status_code=503)
        else:
            answer = JSONResponse({"ok": True})
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self.access.secure_cookie)
        return answer


async def _shown_token(request: Request) -> str | None:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LOGIN_BYTES_MAX:
                return None
        token = parse_json(body, "a login").get("token")
    except (RemoteProtocolError, ClientDisconnect):
        return None
    return token if isinstance(token, str) else None


def refusal_answer(refusal: Refusal) -> Response:
    """What a refused request is told."""
    headers = {"WWW-Authenticate": "Bearer"} if refusal.status == 401 else {}
    document = {"error": refusal.error, "detail": refusal.detail}
    return JSONResponse(document, status_code=refusal.status, headers=headers)


class _Guarded:
    """Lets only those in who may look, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        websocket = scope["type"] == "websocket"
        method, headers, address = scope.get("method", "GET"), Headers(scope=scope), client[0] if client else None
        tokened = self._access.shows_dial_token(headers)
        root = scope.get("root_path", "")
        dials = None if websocket else dial_route(method, scope["path"].removeprefix(root), tokened=tokened)
        if dials is None:
            refused = self._access.refusal(method=method, headers=headers, client=address, websocket=websocket)
        else:
            scope = {**scope, "path": f"{root}{dials}", DIALLER: "token" if tokened else "login"}
            refused = None if tokened else self._access.refusal_of_dial(method=method, headers=headers, client=address)
        if refused is None:
            mark_authenticated = scope.get("extensions", {}).get(MARK_AUTHENTICATED)
            if mark_authenticated is not None:
                mark_authenticated["mark"]()
            await self._app(scope, receive, _with_security_headers(send))
        elif websocket:
            await WebSocket(scope, receive, send).send_denial_response(refusal_answer(refused))
        else:
            await refusal_answer(refused)(scope, receive, _with_security_headers(send))


def _with_security_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name for name, _ in message.get("headers", [])}
            more = [pair for pair in SECURITY_HEADERS if pair[0] not in given]
            if b"cache-control" not in given:
                more.append((b"cache-control", b"no-store"))
            message["headers"] = [*message.get("headers", []), *more]
        await send(message)

    return send_with_headers


# --- the pages' files ------------------------------------------------------------------------------------------------


def _open(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """A route that needs no login: the empty shell, its files, the login itself."""

    async def answer(request: Request) -> Response:
        response = await endpoint(request)
        for name, value in SECURITY_HEADERS:
            response.headers.setdefault(name.decode(), value.decode())
        return response

    return answer


_files: dict[str, tuple[bytes, bytes, str]] = {}
"""Path below static/ → content, the same compressed, and its type. They ship with the package and never change."""


def _read(name: str) -> tuple[bytes, bytes, str] | None:
    found = _files.get(name)
    if found is None:
        parts = name.split("/")
        if any(part in ("", ".", "..") or len(part) > NAME_CHARS_MAX for part in parts) or len(parts) > 3:
            return None
        file: Any = files("callpath.dashboard").joinpath("static", *parts)
        if not file.is_file():
            return None
        content = file.read_bytes()
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith(("javascript", "json", "xml")):
            kind = f"{kind}; charset=utf-8"
        found = _files[name] = (content, gzip.compress(content, 9, mtime=0), kind)
    return found


def _file(request: Request, name: str, caching: str) -> Response:
    found = _read(name)
    if found is None:
        return JSONResponse({"error": "no_such_file", "detail": f"there is no {name[:100]}"}, status_code=404)
    content, compressed, kind = found
    headers = {"cache-control": caching, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(compressed, media_type=kind, headers=headers | {"content-encoding": "gzip"})
    return Response(content, media_type=kind, headers=headers)


async def _page(_request: Request) -> Response:
    found = _read("index.html")
    assert found is not None, "ships with the package"
    nonce = secrets.token_urlsafe(16)
    policy = POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")
    headers = {"cache-control": "no-store", "content-security-policy": policy}
    return Response(found[0].replace(NONCE.encode(), nonce.encode()), media_type=found[2], headers=headers)


async def _asset(request: Request) -> Response:
    """Their names carry a hash of their content."""
    name = str(request.path_params["name"])
    return _file(request, f"assets/{name}", "public, max-age=31536000, immutable")


async def _favicon(request: Request) -> Response:
    return _file(request, "favicon.svg", "public, max-age=86400")
