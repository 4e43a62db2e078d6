"""A small program that speaks to Telnyx, as its users write them: the other side of the tests over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath.private_api import EmbeddedServer
from callpath.simulator.simulator import Simulator
from callpath.wire.document import Json
from callpath.wire.signature import load_public_key, verify

STREAM: Json = {"stream_bidirectional_mode": "rtp", "stream_bidirectional_target_legs": "self", "stream_codec": "PCMU"}


class Bot:
    """Answers, starts a stream, and sends every chunk of audio back. `stream` None: it never starts one."""

    def __init__(self, telnyx: Simulator, stream: Json | None = None, *, answers: bool = True) -> None:
        self.telnyx = telnyx
        self.stream = STREAM if stream is None else stream
        self.answers = answers
        self.events: list[Json] = []
        self.frames: list[Json] = []
        self.upgrades: list[tuple[str, dict[str, str]]] = []
        self.replies: list[tuple[str, int]] = []
        self.webhook_status = 200
        self.close_after_frames: int | None = None
        self.base = ""
        self._changed = asyncio.Event()

    async def until(self, ready: Callable[[], bool]) -> None:
        """Return when `ready()` is true; the test's own time limit ends a wait in vain."""
        while not ready():
            self._changed.clear()
            await self._changed.wait()

    async def act(self, call_control_id: str, name: str, body: Json) -> httpx2.Response:
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                f"{self.telnyx.api_base}/calls/{call_control_id}/actions/{name}",
                json=body,
                headers={"authorization": f"Bearer {self.telnyx.api_key}"},
            )
        self.replies.append((name, answer.status_code))
        self._changed.set()
        return answer

    async def hook(self, request: Request) -> Response:
        body = await request.body()
        key = load_public_key(self.telnyx.public_key)
        verify(body, request.headers, key, int(request.headers["telnyx-timestamp"]))
        event = json.loads(body)["data"]
        self.events.append(event)
        self._changed.set()
        if self.webhook_status == 200:
            match event["event_type"]:
                case "call.initiated" if event["payload"]["direction"] == "incoming" and self.answers:
                    await self.act(event["payload"]["call_control_id"], "answer", {})
                case "call.answered":
                    url = {"stream_url": f"{self.base.replace('http', 'ws')}/media?call=v3%3Aabc"}
                    await self.act(event["payload"]["call_control_id"], "streaming_start", url | self.stream)
        return Response(status_code=self.webhook_status)

    async def media(self, websocket: WebSocket) -> None:
        path = f"{websocket.url.path}?{websocket.url.query}"
        self.upgrades.append((path, dict(websocket.headers)))
        self._changed.set()
        await websocket.accept()
        # The socket may be closed while frames still wait here. What was sent before is read all the same, which
        # `receive_text` refuses to do once a send has failed.
        while (message := await websocket.receive())["type"] == "websocket.receive":
            frame = json.loads(message["text"])
            self.frames.append(frame)
            self._changed.set()
            if self.close_after_frames is not None and len(self.frames) >= self.close_after_frames:
                await websocket.close()
                return
            if frame["event"] == "media":
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await websocket.send_text(
                        json.dumps({"event": "media", "media": {"payload": frame["media"]["payload"]}})
                    )

    def names(self) -> list[str]:
        return [event["event_type"] for event in self.events]


@contextlib.asynccontextmanager
async def running(telnyx: Simulator, stream: Json | None = None, **options: Any) -> AsyncIterator[Bot]:
    """The bot on a free port, and the simulator told about it."""
    bot = Bot(telnyx, stream, **options)
    async with served(Route("/hook", bot.hook, methods=["POST"]), WebSocketRoute("/media", bot.media)) as base:
        bot.base = base
        telnyx.webhook_url = f"{base}/hook"
        yield bot


@contextlib.asynccontextmanager
async def served(*routes: BaseRoute) -> AsyncIterator[str]:
    """These routes on a free port; gives their address."""
    server = EmbeddedServer(
        uvicorn.Config(Starlette(routes=routes), log_config=None, lifespan="off", ws="websockets-sansio")
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with server.serving(listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
