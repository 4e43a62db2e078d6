"""A voice application on Starlette and uvicorn, and the ways in which such apps refuse the carrier.

python -m tests.lab.backends.asgi_app --host 127.0.0.1 --port 8080 --app right [--cert FILE --key FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

PATH = "/api/calls/{session}/audio"
Maker = Callable[[], Any]
APPS: dict[str, Maker] = {}


def app(maker: Maker) -> Maker:
    APPS[maker.__name__.replace("_", "-")] = maker
    return maker


async def health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def echo(ws: WebSocket) -> None:
    await ws.accept()
    await echo_frames(ws)


async def echo_frames(ws: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            frame = json.loads(await ws.receive_text())
            if frame["event"] == "media":
                payload = frame["media"]["payload"]
                await ws.send_text(json.dumps({"event": "media", "media": {"payload": payload}}))


def with_socket(endpoint: Any, path: str = PATH, **options: Any) -> Starlette:
    return Starlette(routes=[Route("/health", health), WebSocketRoute(path, endpoint)], **options)


@app
def right() -> Starlette:
    return with_socket(echo)


@app
def other_path() -> Starlette:
    return with_socket(echo, "/media-stream")


@app
def no_socket() -> Starlette:
    """The HTTP half is deployed, the WebSocket route was never added."""

    async def calls(request: Request) -> Response:
        return JSONResponse({"session": request.path_params["session"]})

    return Starlette(routes=[Route("/health", health), Route("/api/calls/{session}/audio", calls)])


@app
def host_check() -> Starlette:
    return with_socket(echo, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["api.internal.example"])])


@app
def raises_before_accept() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        raise WebSocketException(1008, "session is not known")

    return with_socket(endpoint)


@app
def crashes_before_accept() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        raise KeyError("OPENAI_API_KEY")

    return with_socket(endpoint)


@app
def crashes_after_accept() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        await ws.accept()
        raise KeyError("OPENAI_API_KEY")

    return with_socket(endpoint)


@app
def closes_before_accept() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        await ws.close(1008)

    return with_socket(endpoint)


@app
def never_accepts() -> Starlette:
    """Waits for something before accept, and it never comes."""

    async def endpoint(ws: WebSocket) -> None:
        await asyncio.Event().wait()

    return with_socket(endpoint)


@app
def accepts_late() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        await asyncio.sleep(7)
        await ws.accept()
        await echo_frames(ws)

    return with_socket(endpoint)


@app
def accepts_after_a_second() -> Starlette:
    async def endpoint(ws: WebSocket) -> None:
        await asyncio.sleep(1)
        await ws.accept()
        await echo_frames(ws)

    return with_socket(endpoint)


@app
def forces_subprotocol() -> Starlette:
    """Answers a subprotocol that nobody asked for, which a client must refuse."""

    async def endpoint(ws: WebSocket) -> None:
        await ws.accept(subprotocol="audio.v1")
        await echo_frames(ws)

    return with_socket(endpoint)


@app
def user_guard() -> Starlette:
    """A login for the whole site, the carrier included."""

    class Guard:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            headers = dict(scope.get("headers", []))
            if scope["type"] == "websocket" and b"authorization" not in headers:
                response = JSONResponse({"detail": "Not authenticated"}, 401, headers={"www-authenticate": "Bearer"})
                await WebSocketDenial(response)(scope, receive, send)
                return
            await self.inner(scope, receive, send)

    return with_socket(echo, middleware=[Middleware(Guard)])


class WebSocketDenial:
    """Answers an upgrade with an ordinary HTTP response."""

    def __init__(self, response: Response) -> None:
        self.response = response

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        response = self.response
        await send(
            {"type": "websocket.http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await send({"type": "websocket.http.response.body", "body": bytes(response.body)})


@app
def single_page() -> Starlette:
    """Every path is the front end's index."""

    async def index(request: Request) -> Response:
        return HTMLResponse(
            "<!doctype html><html><head><title>Dashboard</title></head><body><div id=root></div></body></html>"
        )

    return Starlette(routes=[Route("/{path:path}", index)])


@app
def to_login() -> Starlette:
    async def login(request: Request) -> Response:
        return RedirectResponse(f"/login?next={request.url.path}", 302)

    return Starlette(routes=[Route("/{path:path}", login)])


@app
def allows_own_address_only() -> Starlette:
    """Judges X-Forwarded-For, which names whoever stands in front."""

    class Filter:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "websocket":
                response = JSONResponse({"error": f"ip {scope['client'][0]} is not on the allow list"}, 403)
                await WebSocketDenial(response)(scope, receive, send)
                return
            await self.inner(scope, receive, send)

    return with_socket(echo, middleware=[Middleware(Filter)])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--app", default="right", choices=sorted(APPS))
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--ws", default="auto")
    parser.add_argument("--message-bytes-max", type=int, default=1 << 24)
    arguments = parser.parse_args()
    uvicorn.run(
        APPS[arguments.app](),
        host=arguments.host,
        port=arguments.port,
        ssl_certfile=arguments.cert,
        ssl_keyfile=arguments.key,
        ws=arguments.ws,
        ws_max_size=arguments.message_bytes_max,
    )


if __name__ == "__main__":
    main()
