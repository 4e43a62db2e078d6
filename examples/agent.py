"""A voice agent on a speech-to-speech service: barge-in, exact truncation, and a tool that transfers.

Run it with `REALTIME_URL=… callpath serve examples.agent:app`. Messages are those of OpenAI's Realtime API: PCM16, 24 kHz.
"""

import asyncio
import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from json import dumps, loads

from websockets.asyncio.client import ClientConnection, connect

from callpath import App, Call

app = App()
URL = os.environ.get("REALTIME_URL", "ws://127.0.0.1:7801")


async def pieces(speech: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
    while piece := await speech.get():
        yield piece


async def listen(call: Call, ai: ClientConnection) -> None:
    async for chunk in call.audio:
        await ai.send(dumps({"type": "input_audio_buffer.append", "audio": b64encode(chunk).decode()}))


@app.call(sample_rate_hz=24000)
async def agent(call: Call) -> None:
    item, speech, answer = "", asyncio.Queue[bytes](), await call.play(b"")
    async with connect(URL) as ai:
        call.tasks.create_task(listen(call, ai))
        async for text in ai:
            match loads(text):
                case {"type": "response.output_audio.delta", "item_id": item_id, "delta": delta}:
                    if item_id != item:
                        item, speech = item_id, asyncio.Queue()
                        answer = call.start_playing(pieces(speech))
                    speech.put_nowait(b64decode(delta))
                case {"type": "response.output_audio.done"}:
                    speech.put_nowait(b"")
                case {"type": "input_audio_buffer.speech_started"} if answer and not answer.finished:
                    await call.clear()
                    heard = {"item_id": item, "content_index": 0, "audio_end_ms": int(answer.heard_ms)}
                    await ai.send(dumps({"type": "conversation.item.truncate", **heard}))
                case {"type": "response.function_call_arguments.done", "arguments": arguments}:
                    await answer.heard()
                    if await call.transfer(loads(arguments)["to"]):
                        return
