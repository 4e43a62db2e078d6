"""Python's logging with uvicorn's own lines around it, ids cut short, on Starlette."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
log = logging.getLogger("voice.agent")
FAULT, HOST = os.environ.get("FAULT", ""), os.environ["PUBLIC_HOST"]
API, KEY = os.environ["TELNYX_API_BASE"], os.environ["TELNYX_API_KEY"]


async def send(call: str, action: str, body: Mapping[str, object]) -> httpx2.Response:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}) as client:
        return await client.post(f"{API}/calls/{call}/actions/{action}", json=body)


async def webhook(request: Request) -> JSONResponse:
    data = (await request.json())["data"]
    call, kind = data["payload"]["call_control_id"], data["event_type"].replace(".", "_")
    log.info("Webhook received: %s call_control_id=%s", kind, call[:20])
    if kind == "call_initiated":
        log.info("Sending answer command for %s", call[:20])
        response = await send(call, "answer", {})
        log.info("Answer response: %s", response.status_code)
    elif kind == "call_answered":
        path = "/wrong" if FAULT == "path" else "/ws/media"
        log.info("Starting media stream for %s -> ws://%s%s", call[:20], HOST, path)
        body = {"stream_url": f"ws://{HOST}{path}", "stream_track": "inbound_track", "stream_bidirectional_mode": "rtp",
                "stream_bidirectional_target_legs": "self"}  # fmt: skip
        response = await send(call, "streaming_start", body)
        if response.status_code >= 400:
            log.error("Failed to start stream: %s - %s", response.status_code, response.text)
        else:
            log.info("Stream started successfully for %s", call[:20])
    elif kind == "call_hangup":
        log.info("Call ended cause=%s", data["payload"].get("hangup_cause"))
    return JSONResponse({"ok": True})


async def media(websocket: WebSocket) -> None:
    await websocket.accept()
    log.info("Telnyx WebSocket connected")
    frames = 0
    try:
        while True:
            frame = json.loads(await websocket.receive_text())
            if frame["event"] == "start":
                log.info("Received start event: stream_id=%s", frame.get("stream_id"))
            elif frame["event"] == "media":
                frames += 1
                if frames == 1:
                    log.info("Receiving audio from caller")
                if FAULT == "crash":
                    raise RuntimeError("model is not loaded")
                await websocket.send_json({"event": "media", "media": {"payload": frame["media"]["payload"]}})
                if frames == 1:
                    log.info("Sent first audio chunk to caller")
            elif frame["event"] == "stop":
                log.info("Received stop event after %d frames", frames)
    except WebSocketDisconnect as gone:
        log.info("WebSocket disconnected: code=%s", gone.code)


app = Starlette(routes=[Route("/telnyx", webhook, methods=["POST"]), WebSocketRoute("/ws/media", media)])
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]))
