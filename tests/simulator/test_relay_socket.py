"""A Conversation Relay over a real socket, with a small program at its end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath.audio.tone import tone
from callpath.simulator.simulator import Simulator
from callpath.wire.document import Json
from tests.simulator.bot import Bot, served


async def test_a_program_on_a_relay_is_heard_and_hears() -> None:
    """setup, prompt, text, sound in the ear, end: what such a program is made of; then a socket that is not there."""
    frames: list[Json] = []
    changed = asyncio.Event()

    async def relay(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            async for text in websocket.iter_text():
                frames.append(json.loads(text))
                if frames[-1]["type"] == "prompt":
                    await websocket.send_text(json.dumps({"type": "text", "token": "You said it.", "last": True}))
                if frames[-1]["type"] == "dtmf":
                    await websocket.send_text(json.dumps({"type": "end", "handoffData": "bye"}))
                changed.set()
        except WebSocketDisconnect:
            pass

    async def until(ready: Any) -> None:
        while not ready():
            changed.clear()
            await changed.wait()

    async with Simulator() as telnyx:
        bot = Bot(telnyx, answers=False)
        routes = Route("/hook", bot.hook, methods=["POST"]), WebSocketRoute("/relay", relay)
        async with served(*routes) as base:
            telnyx.webhook_url = f"{base}/hook"
            call = await telnyx.call()
            bot.stream = {"stream_url": "ws://127.0.0.1:9/nobody"}
            own = call.call.leg.call_control_id
            await bot.act(own, "answer", {})
            await call.answered()
            call.say(tone(500, duration_ms=100), words="Good morning.")
            url = f"{base.replace('http', 'ws')}/relay"
            started = await bot.act(own, "conversation_relay_start", {"url": url, "dtmf_detection": True})
            await until(lambda: any(frame["type"] == "prompt" for frame in frames))
            await call.until(lambda: call.call.plays, 5_000)
            await call.until(lambda: not call.call.plays, 5_000)
            await call.press("1")
            await bot.until(lambda: "call.conversation.ended" in bot.names())
            heard = call.heard.any()
            unreachable = await bot.act(own, "conversation_relay_start", {"url": url.replace("/relay", "/nowhere")})
            await call.until(lambda: any("/nowhere" in one for one in call.problems), 5_000)

            assert ["setup", "prompt", "dtmf"] == [frame["type"] for frame in frames]
            assert "Good morning." == frames[1]["voicePrompt"]
            assert frames[0]["sessionId"] == started.json()["data"]["conversation_relay_id"]
            assert heard
            assert ("answered", 200) == (call.call.state, unreachable.status_code)
            assert call.call.relay is None
