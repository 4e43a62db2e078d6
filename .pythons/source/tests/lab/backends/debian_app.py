"""Voice applications on aiohttp and Tornado, run by the system's Python, which has Debian's versions of both.

/usr/bin/python3 debian_app.py --host 127.0.0.1 --port 8080 --app aiohttp
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from typing import Any

APPS: dict[str, Callable[[str, int], None]] = {}


def app(maker: Callable[[str, int], None]) -> Callable[[str, int], None]:
    APPS[maker.__name__.replace("_", "-")] = maker
    return maker


def reply(text: str) -> str | None:
    frame = json.loads(text)
    if frame["event"] != "media":
        return None
    return json.dumps({"event": "media", "media": {"payload": frame["media"]["payload"]}})


def serve_aiohttp(host: str, port: int, handler: Any, path: str = "/api/calls/{session}/audio") -> None:
    from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

    application = web.Application()
    application.router.add_get(path, handler)
    web.run_app(application, host=host, port=port, print=None)


async def echo_aiohttp(request: Any, **options: Any) -> Any:
    from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

    ws = web.WebSocketResponse(**options)
    await ws.prepare(request)
    async for message in ws:
        if answer := reply(message.data):
            await ws.send_str(answer)
    return ws


@app
def aiohttp(host: str, port: int) -> None:
    serve_aiohttp(host, port, echo_aiohttp)


@app
def aiohttp_other_path(host: str, port: int) -> None:
    serve_aiohttp(host, port, echo_aiohttp, "/ws/telephony")


@app
def aiohttp_small_messages(host: str, port: int) -> None:
    async def handler(request: Any) -> Any:
        return await echo_aiohttp(request, max_msg_size=256)

    serve_aiohttp(host, port, handler)


@app
def aiohttp_crashes(host: str, port: int) -> None:
    async def handler(request: Any) -> Any:
        from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

        ws = web.WebSocketResponse()
        await ws.prepare(request)
        raise KeyError("DEEPGRAM_API_KEY")

    serve_aiohttp(host, port, handler)


@app
def aiohttp_returns_early(host: str, port: int) -> None:
    """The loop ends at the first message, since `receive` stands where `async for` should."""

    async def handler(request: Any) -> Any:
        from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    serve_aiohttp(host, port, handler)


@app
def aiohttp_forbids(host: str, port: int) -> None:
    async def handler(request: Any) -> Any:
        from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

        raise web.HTTPUnauthorized(text="signature missing")

    serve_aiohttp(host, port, handler)


@app
def aiohttp_post_only(host: str, port: int) -> None:
    from aiohttp import web  # type: ignore[import-not-found, unused-ignore]

    application = web.Application()
    application.router.add_post("/api/calls/{session}/audio", echo_aiohttp)
    web.run_app(application, host=host, port=port, print=None)


def serve_tornado(host: str, port: int, handler: Any, path: str = r"/api/calls/([^/]+)/audio", **options: Any) -> None:
    from tornado.web import Application  # type: ignore[import-not-found, unused-ignore]

    async def run() -> None:
        Application([(path, handler)], **options).listen(port, host)
        await asyncio.Event().wait()

    asyncio.run(run())


def tornado_echo() -> Any:
    from tornado.websocket import WebSocketHandler  # type: ignore[import-not-found, unused-ignore]

    class Echo(WebSocketHandler):  # type: ignore[misc, unused-ignore]
        async def on_message(self, message: str | bytes) -> None:
            if answer := reply(str(message)):
                await self.write_message(answer)

    return Echo


@app
def tornado(host: str, port: int) -> None:
    serve_tornado(host, port, tornado_echo())


@app
def tornado_other_path(host: str, port: int) -> None:
    serve_tornado(host, port, tornado_echo(), "/telephony")


@app
def tornado_crashes(host: str, port: int) -> None:
    class Crashes(tornado_echo()):  # type: ignore[misc]
        def open(self, *args: str) -> None:
            raise KeyError("DEEPGRAM_API_KEY")

    serve_tornado(host, port, Crashes)


@app
def tornado_strict_origin(host: str, port: int) -> None:
    class Strict(tornado_echo()):  # type: ignore[misc]
        async def get(self, *args: str, **kwargs: str) -> None:
            if self.request.headers.get("Origin") != "https://voice.example.com":
                self.set_status(403)
                self.finish("Cross origin websockets not allowed")
                return
            await super().get(*args, **kwargs)

    serve_tornado(host, port, Strict)


@app
def tornado_http_handler(host: str, port: int) -> None:
    """RequestHandler in the place of WebSocketHandler."""
    from tornado.web import RequestHandler  # type: ignore[import-not-found, unused-ignore]

    class Plain(RequestHandler):  # type: ignore[misc, unused-ignore]
        def get(self, session: str) -> None:
            self.write({"session": session})

    serve_tornado(host, port, Plain)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--app", required=True, choices=sorted(APPS))
    arguments = parser.parse_args()
    APPS[arguments.app](arguments.host, arguments.port)


if __name__ == "__main__":
    main()
