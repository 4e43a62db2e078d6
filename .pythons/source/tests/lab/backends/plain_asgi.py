"""A voice application in bare ASGI, for servers that are not uvicorn: `hypercorn plain_asgi:right`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def not_found(scope: Message, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Not Found"})


async def right(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "http":
        await not_found(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            frame = json.loads(message["text"])
            if frame["event"] == "media":
                answer = {"event": "media", "media": {"payload": frame["media"]["payload"]}}
                await send({"type": "websocket.send", "text": json.dumps(answer)})


async def refuses(scope: Message, receive: Receive, send: Send) -> None:
    """Closes before accept, as routers do for a path they do not know."""
    if scope["type"] != "websocket":
        await right(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.close", "code": 1008})


async def crashes(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        await right(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    raise KeyError("DEEPGRAM_API_KEY")
