"""Voice applications with a defect that no rule was written for, and odd ones with none.

python -m tests.lab.backends.odd_bots --host 127.0.0.1 --port 8080 --bot half [--cert FILE --key FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from tests.lab.backends import g711
from tests.lab.backends.voice_app import answer_when_spoken_to, chunks, media, payloads, play, transcode

Bot = Callable[[ServerConnection], Coroutine[Any, Any, None]]
BOTS: dict[str, Bot] = {}


def bot(function: Bot) -> Bot:
    BOTS[function.__name__.replace("_", "-")] = function
    return function


# --- odd, and right ---


@bot
async def raw_echo(ws: ServerConnection) -> None:
    """Every media text goes back as it came, with Telnyx's own fields in it."""
    async for message in ws:
        if json.loads(message)["event"] == "media":
            await ws.send(message)


@bot
async def jittered(ws: ServerConnection) -> None:
    """Each frame comes back up to 120 ms late, in order: a resampler on a busy machine."""
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()
    draw = random.Random(7)

    async def give_back() -> None:
        while (payload := await queue.get()) is not None:
            await asyncio.sleep(draw.choice((0.0, 0.0, 0.0, 0.06)))
            await ws.send(media(payload))
            while not queue.empty() and (later := queue.get_nowait()) is not None:
                await ws.send(media(later))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(give_back())
        async for payload in payloads(ws):
            queue.put_nowait(payload)
        queue.put_nowait(None)


@bot
async def clears_often(ws: ServerConnection) -> None:
    """Barge-in at each frame of the caller's speech: a clear, then audio again."""
    count = 0
    async for payload in payloads(ws):
        count += 1
        if count % 10 == 0:
            await ws.send(json.dumps({"event": "clear"}))
        await ws.send(media(payload))


@bot
async def closes_at_stop(ws: ServerConnection) -> None:
    """Hangs the socket up itself as soon as `stop` comes, with a reason."""
    await transcode(ws, bytes)
    await ws.close(1000, "bye")


@bot
async def hangs_up_politely(ws: ServerConnection) -> None:
    """Marks the end of each sentence, as a program does that waits for it to be played."""
    number = 0
    async for payload in payloads(ws):
        number += 1
        await ws.send(media(payload))
        await ws.send(json.dumps({"event": "mark", "mark": {"name": f"sentence-{number}"}}))


@bot
async def uneven_chunks(ws: ServerConnection) -> None:
    """Sentences of a speech service: pieces of 20 to 700 ms, each as soon as it is there, in time on the whole."""
    audio = g711.to_ulaw(g711.speech(3.0))
    pieces, at = [], 0
    for size in (1600, 160, 5600, 320, 3200, 800, 4000, 2400, 5920):
        pieces.append(audio[at : at + size])
        at += size

    async def speak() -> None:
        for piece in pieces:
            await ws.send(media(piece))
            await asyncio.sleep(len(piece) / 8000)

    async with asyncio.TaskGroup() as tasks:
        heard = 0
        async for _ in payloads(ws):
            heard += 1
            if heard == 5:
                tasks.create_task(speak())


@bot
async def only_loud_comes_back(ws: ServerConnection) -> None:
    """An echo with a gate: what is silent is not sent back."""
    async for payload in payloads(ws):
        if max(abs(value) for value in g711.from_ulaw(payload)) > 200:
            await ws.send(media(payload))


@bot
async def pairs_to_forty(ws: ServerConnection) -> None:
    """Echo in pieces of 40 ms."""
    kept = b""
    async for payload in payloads(ws):
        kept += payload
        if len(kept) >= 320:
            await ws.send(media(kept))
            kept = b""


@bot
async def ends_in_a_short_piece(ws: ServerConnection) -> None:
    """A sentence whose last piece has 13 ms: documented nowhere, and usual."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(0.9))[:-50]))


@bot
async def foreign_field(ws: ServerConnection) -> None:
    """Written for another carrier: each frame names a streamSid."""
    async for payload in payloads(ws):
        body = {"event": "media", "streamSid": "MZ0123", "media": {"payload": base64.b64encode(payload).decode()}}
        await ws.send(json.dumps(body))


# --- a defect ---


@bot
async def blocks_often(ws: ServerConnection) -> None:
    """Echo; each two seconds something holds the loop for 1.2 s."""
    held = time.monotonic() - 1.5
    async for payload in payloads(ws):
        if time.monotonic() - held > 2.0:
            time.sleep(1.2)
            held = time.monotonic()
        await ws.send(media(payload))


@bot
async def blocks_once(ws: ServerConnection) -> None:
    """Echo; at the 30th frame something holds the loop for 1.2 s."""
    count = 0
    async for payload in payloads(ws):
        count += 1
        if count == 30:
            time.sleep(1.2)
        await ws.send(media(payload))


@bot
async def half(ws: ServerConnection) -> None:
    """Every second frame is lost in a ring buffer that is too small."""
    count = 0
    async for payload in payloads(ws):
        count += 1
        if count % 2:
            await ws.send(media(payload))


@bot
async def twice(ws: ServerConnection) -> None:
    """Two tasks send: every frame comes back twice."""
    async for payload in payloads(ws):
        await ws.send(media(payload))
        await ws.send(media(payload))


@bot
async def swapped(ws: ServerConnection) -> None:
    """Frames are handed to a pool of workers, and come back in pairs that are exchanged."""
    kept: list[bytes] = []
    async for payload in payloads(ws):
        kept.append(payload)
        if len(kept) == 2:
            for one in reversed(kept):
                await ws.send(media(one))
            kept.clear()


@bot
async def falls_behind(ws: ServerConnection) -> None:
    """30 ms of work for each frame of 20."""
    async for payload in payloads(ws):
        await asyncio.sleep(0.03)
        await ws.send(media(payload))


@bot
async def goes_silent(ws: ServerConnection) -> None:
    """Echo for half a second, then the sending task has died; the socket stays."""
    count = 0
    async for payload in payloads(ws):
        count += 1
        if count <= 25:
            await ws.send(media(payload))


@bot
async def half_speed(ws: ServerConnection) -> None:
    """Speech at half the speed: 20 ms each 40 ms."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0))), every_s=0.04)


@bot
async def holes(ws: ServerConnection) -> None:
    """200 ms of speech, 200 ms of nothing, and so on: each piece waits for the next request."""

    async def speak() -> None:
        audio = g711.to_ulaw(g711.speech(3.0))
        for piece in chunks(audio, 1600):
            await play(ws, chunks(piece))
            await asyncio.sleep(0.2)

    async with asyncio.TaskGroup() as tasks:
        heard = 0
        async for _ in payloads(ws):
            heard += 1
            if heard == 5:
                tasks.create_task(speak())


@bot
async def dies_at_mark(ws: ServerConnection) -> None:
    """Knows no mark event: KeyError, 1011."""
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "mark":
            raise KeyError("media")
        if frame["event"] == "media":
            await ws.send(media(base64.b64decode(frame["media"]["payload"])))


@bot
async def says_error(ws: ServerConnection) -> None:
    """The speech service refuses its key; the program tells the socket, and stays."""
    async for message in ws:
        if json.loads(message)["event"] == "start":
            await ws.send(json.dumps({"event": "error", "message": "speech service: 401 invalid api key"}))


@bot
async def inverted_bits(ws: ServerConnection) -> None:
    """Somebody else's idea of µ-law: every bit the other way round."""
    await transcode(ws, lambda payload: bytes(255 - byte for byte in payload))


@bot
async def unsigned_8(ws: ServerConnection) -> None:
    """8-bit linear samples, as a WAV file has them."""

    def change(payload: bytes) -> bytes:
        return bytes((value >> 8) + 128 for value in g711.from_ulaw(payload))

    await transcode(ws, change)


@bot
async def quiet_as_a_mouse(ws: ServerConnection) -> None:
    """Gain of a hundredth: hardly anybody hears it."""
    await transcode(ws, lambda payload: g711.to_ulaw([value // 100 for value in g711.from_ulaw(payload)]))


@bot
async def clipped(ws: ServerConnection) -> None:
    """Gain of twenty: everything is at the end of the scale."""

    def change(payload: bytes) -> bytes:
        return g711.to_ulaw([max(-32124, min(32124, value * 20)) for value in g711.from_ulaw(payload)])

    await transcode(ws, change)


@bot
async def lines_of_json(ws: ServerConnection) -> None:
    """Two documents in one message, a line each."""
    kept: list[str] = []
    async for payload in payloads(ws):
        kept.append(media(payload))
        if len(kept) == 2:
            await ws.send("\n".join(kept))
            kept.clear()


@bot
async def reads_slowly(ws: ServerConnection) -> None:
    """Reads one frame each 60 ms: what it hears is ever older."""
    async for payload in payloads(ws):
        await ws.send(media(payload))
        await asyncio.sleep(0.06)


@bot
async def other_track(ws: ServerConnection) -> None:
    """Waits for a track that is called otherwise, so it hears nobody and says nothing."""
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "media" and frame["media"].get("track") == "inbound_track":
            await ws.send(message)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--bot", choices=sorted(BOTS), required=True)
    parser.add_argument("--cert")
    parser.add_argument("--key")
    options = parser.parse_args()
    tls = None
    if options.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.cert, options.key)
    async with serve(BOTS[options.bot], options.host, options.port, ssl=tls, max_queue=None):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
