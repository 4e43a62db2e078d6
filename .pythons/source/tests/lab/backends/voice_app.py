"""A voice application on the `websockets` library, as small as people write them, with its right and wrong handlers.

python -m tests.lab.backends.voice_app --host 127.0.0.1 --port 8080 --handler echo [--cert FILE --key FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import functools
import http
import json
import re
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from websockets.asyncio.server import ServerConnection, basic_auth, serve
from websockets.http11 import Request, Response

from tests.lab.backends import g711

Handler = Callable[[ServerConnection], Coroutine[Any, Any, None]]
HANDLERS: dict[str, Handler] = {}
PATH = re.compile(r"^/api/calls/([\w.-]+)/audio$")


def handler(function: Handler) -> Handler:
    HANDLERS[function.__name__.replace("_", "-")] = function
    return function


def media(payload: bytes) -> str:
    return json.dumps({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}})


async def payloads(ws: ServerConnection) -> Any:
    """What the caller says, 20 ms at a time; marks are answered as they come, until `stop`."""
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "media":
            yield base64.b64decode(frame["media"]["payload"])
        elif frame["event"] == "stop":
            return


def chunks(audio: bytes, size: int = 160) -> Iterator[bytes]:
    for at in range(0, len(audio), size):
        yield audio[at : at + size]


async def play(ws: ServerConnection, pieces: Iterator[bytes], every_s: float = 0.02, lead: int = 0) -> None:
    """Send pieces at their times, the first `lead` of them at once."""
    begin = time.monotonic()
    for number, piece in enumerate(pieces):
        due = begin + max(0, number - lead) * every_s
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await ws.send(media(piece))


async def answer_when_spoken_to(ws: ServerConnection, pieces: Iterator[bytes], **pace: Any) -> None:
    """After the caller's first frames play `pieces`, and go on listening."""
    heard = 0
    async with asyncio.TaskGroup() as tasks:
        async for _ in payloads(ws):
            heard += 1
            if heard == 5:
                tasks.create_task(play(ws, pieces, **pace))


async def transcode(ws: ServerConnection, change: Callable[[bytes], bytes]) -> None:
    async for payload in payloads(ws):
        await ws.send(media(change(payload)))


# --- right ---


@handler
async def echo(ws: ServerConnection) -> None:
    await transcode(ws, bytes)


@handler
async def listens_only(ws: ServerConnection) -> None:
    async for _ in payloads(ws):
        pass


@handler
async def greets_first(ws: ServerConnection) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(play(ws, chunks(g711.to_ulaw(g711.speech(2.0)))))
        async for payload in payloads(ws):
            await ws.send(media(payload))


@handler
async def greets_with_lead(ws: ServerConnection) -> None:
    """400 ms ahead of the ear, then in time: what a careful sender does."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0))), lead=20)


@handler
async def large_chunks(ws: ServerConnection) -> None:
    """200 ms a message, as the speech APIs hand it over; documented as fine."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0)), 1600), every_s=0.2)


@handler
async def silence_then_speech(ws: ServerConnection) -> None:
    """Keeps the line warm with silence while it thinks, then speaks."""
    await answer_when_spoken_to(ws, chunks(b"\xff" * 160 * 25 + g711.to_ulaw(g711.speech(3.0))))


@handler
async def answers_after_a_second(ws: ServerConnection) -> None:
    """Waits until enough has been heard, as voice detection does."""
    heard = 0
    async with asyncio.TaskGroup() as tasks:
        async for _ in payloads(ws):
            heard += 1
            if heard == 50:
                tasks.create_task(play(ws, chunks(g711.to_ulaw(g711.speech(2.0)))))


@handler
async def one_stream_a_call(ws: ServerConnection) -> None:
    """A second stream for the same call, while the first is open, is refused."""
    path = ws.request.path if ws.request else ""
    if path in open_paths:
        await ws.close(1008, "this call has a stream already")
        return
    open_paths.add(path)
    try:
        await echo(ws)
    finally:
        open_paths.discard(path)


open_paths: set[str] = set()


@handler
async def marks(ws: ServerConnection) -> None:
    """Echo, with a mark after each half second and a clear now and then."""
    count = 0
    async for payload in payloads(ws):
        count += 1
        await ws.send(media(payload))
        if count % 25 == 0:
            await ws.send(json.dumps({"event": "mark", "mark": {"name": f"said-{count}"}}))
        if count % 100 == 0:
            await ws.send(json.dumps({"event": "clear"}))


@handler
async def pings(ws: ServerConnection) -> None:
    """Echo, with a WebSocket ping every second, whose pong must come."""

    async def keep_alive() -> None:
        while True:
            await asyncio.wait_for(await ws.ping(), 2)
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as tasks:
        pinging = tasks.create_task(keep_alive())
        await transcode(ws, bytes)
        pinging.cancel()


@handler
async def echo_alaw_call(ws: ServerConnection) -> None:
    """Honours media_format: speech in the encoding that `start` names."""
    encode = g711.to_ulaw
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "start" and frame["start"]["media_format"]["encoding"] == "PCMA":
            encode = g711.to_alaw
        if frame["event"] == "media":
            break
    await answer_when_spoken_to(ws, chunks(encode(g711.speech(3.0))))


@handler
async def needs_known_session(ws: ServerConnection) -> None:
    """Only calls that a webhook announced: anything else is 1008."""
    session = ws.request.path.split("/")[3] if ws.request else ""
    if session not in {"0f8b4c2a-6f0f-4c68-9b3c-7d0fd6e3a001"}:
        await ws.close(1008, "unknown call session")
        return
    await echo(ws)


# --- closes ---


@handler
async def closes_4404(ws: ServerConnection) -> None:
    await ws.close(4404, "call not found")


@handler
async def closes_1008(ws: ServerConnection) -> None:
    await ws.close(1008, "policy violation")


@handler
async def closes_4401(ws: ServerConnection) -> None:
    await ws.close(4401, "missing or invalid token")


@handler
async def crashes(ws: ServerConnection) -> None:
    settings: dict[str, str] = {}
    await ws.send(settings["OPENAI_API_KEY"])


@handler
async def crashes_on_start(ws: ServerConnection) -> None:
    """Written for the other carrier: looks for streamSid in `start`."""
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "start":
            await ws.send(frame["start"]["streamSid"])


@handler
async def crashes_on_media(ws: ServerConnection) -> None:
    async for message in ws:
        frame = json.loads(message)
        if frame["event"] == "media" and frame["media"]["track"] == "inbound":
            raise ZeroDivisionError("resampler: step is zero")


@handler
async def closes_at_once(ws: ServerConnection) -> None:
    await ws.close(1000, "")


@handler
async def closes_after_start(ws: ServerConnection) -> None:
    """The handler returns once it has what it looked for, which closes the socket."""
    async for message in ws:
        if json.loads(message)["event"] == "start":
            return


@handler
async def closes_after_reply(ws: ServerConnection) -> None:
    """Half a second of answer, then the handler is done."""
    async for _ in payloads(ws):
        await play(ws, chunks(g711.to_ulaw(g711.speech(0.5))))
        return


@handler
async def closes_when_ai_fails(ws: ServerConnection) -> None:
    """The AI's socket is refused, and takes the call's down with it."""
    async for _ in payloads(ws):
        await ws.close(1011, "upstream realtime connection failed: invalid_api_key")


@handler
async def going_away(ws: ServerConnection) -> None:
    """A reload in the middle of the call."""
    async with asyncio.TaskGroup() as tasks:
        echoing = tasks.create_task(echo(ws))
        await asyncio.sleep(1.0)
        echoing.cancel()
        await ws.close(1001, "server is shutting down")


@handler
async def service_restart(ws: ServerConnection) -> None:
    async with asyncio.TaskGroup() as tasks:
        echoing = tasks.create_task(echo(ws))
        await asyncio.sleep(1.0)
        echoing.cancel()
        await ws.close(1012, "service restart")


@handler
async def try_again_later(ws: ServerConnection) -> None:
    await ws.close(1013, "too many concurrent calls")


@handler
async def lives_three_seconds(ws: ServerConnection) -> None:
    """A limit on the socket's age, whatever flows."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(echo(ws), 3)
    ws.transport.abort()


@handler
async def vanishes_after_two_seconds(ws: ServerConnection) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(echo(ws), 2)
    ws.transport.abort()


# --- wrong on the wire ---


@handler
async def envelope_type(ws: ServerConnection) -> None:
    """Speaks of `type` and `data` where the carrier wants `event` and `media.payload`."""
    async for payload in payloads(ws):
        await ws.send(json.dumps({"type": "audio", "data": base64.b64encode(payload).decode()}))


@handler
async def envelope_flat(ws: ServerConnection) -> None:
    async for payload in payloads(ws):
        await ws.send(json.dumps({"event": "media", "payload": base64.b64encode(payload).decode()}))


@handler
async def envelope_ai_delta(ws: ServerConnection) -> None:
    """Passes the speech API's own events through."""
    async for payload in payloads(ws):
        delta = base64.b64encode(payload).decode()
        await ws.send(json.dumps({"type": "response.audio.delta", "response_id": "resp_1", "delta": delta}))


@handler
async def envelope_play_audio(ws: ServerConnection) -> None:
    """The shape of yet another carrier."""
    async for payload in payloads(ws):
        body = {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": base64.b64encode(payload).decode()}
        await ws.send(json.dumps({"event": "playAudio", "media": body}))


@handler
async def envelope_python_repr(ws: ServerConnection) -> None:
    """str(dict) instead of json.dumps: single quotes."""
    async for payload in payloads(ws):
        await ws.send(str({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}}))


@handler
async def envelope_double_json(ws: ServerConnection) -> None:
    """Encoded twice: the text is a JSON string that holds JSON."""
    async for payload in payloads(ws):
        await ws.send(json.dumps(media(payload)))


@handler
async def binary_frames(ws: ServerConnection) -> None:
    """Raw audio in binary messages."""
    async for payload in payloads(ws):
        await ws.send(payload)


@handler
async def json_in_binary(ws: ServerConnection) -> None:
    """The right JSON in a binary message: `send(json.dumps(…).encode())`."""
    async for payload in payloads(ws):
        await ws.send(media(payload).encode())


async def with_payload_text(ws: ServerConnection, encode: Callable[[bytes], str]) -> None:
    async for payload in payloads(ws):
        await ws.send(json.dumps({"event": "media", "media": {"payload": encode(payload)}}))


@handler
async def payload_hex(ws: ServerConnection) -> None:
    await with_payload_text(ws, bytes.hex)


@handler
async def payload_bytes_repr(ws: ServerConnection) -> None:
    await with_payload_text(ws, lambda payload: str(base64.b64encode(payload)))


@handler
async def payload_data_uri(ws: ServerConnection) -> None:
    await with_payload_text(ws, lambda payload: "data:audio/basic;base64," + base64.b64encode(payload).decode())


@handler
async def payload_double_base64(ws: ServerConnection) -> None:
    await with_payload_text(ws, lambda payload: base64.b64encode(base64.b64encode(payload)).decode())


@handler
async def payload_url_safe(ws: ServerConnection) -> None:
    await with_payload_text(ws, lambda payload: base64.urlsafe_b64encode(payload).decode().rstrip("="))


@handler
async def payload_list(ws: ServerConnection) -> None:
    """An array of numbers, as JSON.stringify makes of a typed array."""
    async for payload in payloads(ws):
        await ws.send(json.dumps({"event": "media", "media": {"payload": list(payload)}}))


# --- wrong sound ---


@handler
async def sound_pcm16(ws: ServerConnection) -> None:
    await transcode(ws, lambda payload: g711.to_pcm16(g711.from_ulaw(payload)))


@handler
async def sound_pcm16_speech(ws: ServerConnection) -> None:
    """The speech API's 16-bit answer, straight into the stream at 20 ms a frame."""
    await answer_when_spoken_to(ws, chunks(g711.to_pcm16(g711.speech(3.0)), 320))


@handler
async def sound_pcm24k(ws: ServerConnection) -> None:
    """16-bit at 24 kHz, what realtime speech models speak unless told otherwise."""
    await answer_when_spoken_to(ws, chunks(g711.to_pcm16(g711.speech(3.0, 24000)), 960))


@handler
async def sound_alaw(ws: ServerConnection) -> None:
    await transcode(ws, lambda payload: g711.to_alaw(g711.from_ulaw(payload)))


@handler
async def sound_alaw_speech(ws: ServerConnection) -> None:
    await answer_when_spoken_to(ws, chunks(g711.to_alaw(g711.speech(3.0))))


@handler
async def sound_ulaw_speech(ws: ServerConnection) -> None:
    """Always mu-law, whatever the call carries. Right only on PCMU calls."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0))))


@handler
async def sound_ulaw_24k(ws: ServerConnection) -> None:
    """mu-law at 24 kHz: 480 bytes each 20 ms."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0, 24000)), 480))


@handler
async def sound_ulaw_16k(ws: ServerConnection) -> None:
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(3.0, 16000)), 320))


@handler
async def sound_wav(ws: ServerConnection) -> None:
    """A whole WAV file cut into frames, header first."""
    audio = g711.to_pcm16(g711.speech(3.0))
    size = len(audio)
    header = (
        b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
        + (1).to_bytes(2, "little") + (1).to_bytes(2, "little") + (8000).to_bytes(4, "little")
        + (16000).to_bytes(4, "little") + (2).to_bytes(2, "little") + (16).to_bytes(2, "little")
        + b"data" + size.to_bytes(4, "little")
    )  # fmt: skip
    await answer_when_spoken_to(ws, chunks(header + audio, 320))


@handler
async def sound_rtp(ws: ServerConnection) -> None:
    """Packets as they came from an RTP library, header and all."""
    number = 7000
    async for payload in payloads(ws):
        number += 1
        header = b"\x80\x00" + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"\x1a\x2b\x3c\x4d"
        await ws.send(json.dumps({"event": "media", "media": {"payload": base64.b64encode(header + payload).decode()}}))


@handler
async def sound_mp3(ws: ServerConnection) -> None:
    """MPEG frames: sync word, then bytes that look random."""
    state = 12345
    body = bytearray()
    while len(body) < 24000:
        body += b"\xff\xf3\x44\xc4"
        for _ in range(140):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            body.append(state >> 16 & 0xFF)
    await answer_when_spoken_to(ws, chunks(b"ID3\x03\x00\x00\x00\x00\x00\x00" + bytes(body), 160))


@handler
async def sound_silence_ff(ws: ServerConnection) -> None:
    await transcode(ws, lambda payload: b"\xff" * len(payload))


@handler
async def sound_silence_7f(ws: ServerConnection) -> None:
    await transcode(ws, lambda payload: b"\x7f" * len(payload))


@handler
async def sound_zero_bytes(ws: ServerConnection) -> None:
    """Zero bytes are not silence in mu-law but its loudest value; as the only value they are silence all the same."""
    await transcode(ws, lambda payload: bytes(len(payload)))


@handler
async def sound_empty(ws: ServerConnection) -> None:
    await transcode(ws, lambda payload: b"")


# --- wrong pace ---


@handler
async def pace_burst(ws: ServerConnection) -> None:
    """The whole answer, ten seconds, as fast as the socket takes it."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(10.0))), every_s=0.0)


@handler
async def pace_fivefold(ws: ServerConnection) -> None:
    """Four milliseconds between frames of twenty: as fast as the speech is made."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(20.0))), every_s=0.004)


@handler
async def pace_slow(ws: ServerConnection) -> None:
    """34 ms a frame of 20: sleep(0.02) plus what the work takes."""
    await answer_when_spoken_to(ws, chunks(g711.to_ulaw(g711.speech(6.0))), every_s=0.034)


@handler
async def pace_blocked(ws: ServerConnection) -> None:
    """Echo, with a synchronous call on the loop each second."""
    count = 0
    async for payload in payloads(ws):
        await ws.send(media(payload))
        count += 1
        if count % 30 == 0:
            time.sleep(2.0)


@handler
async def slow_echo(ws: ServerConnection) -> None:
    """Everything comes back, 300 ms later: an honest round trip through something."""
    async with asyncio.TaskGroup() as tasks:

        async def later(payload: bytes) -> None:
            await asyncio.sleep(0.3)
            with contextlib.suppress(Exception):
                await ws.send(media(payload))

        async for payload in payloads(ws):
            tasks.create_task(later(payload))


# --- before the socket opens ---


async def route(ws: ServerConnection, request: Request, *, pattern: re.Pattern[str]) -> Response | None:
    """404 for another path, as a small router answers."""
    if pattern.match(request.path.split("?")[0]):
        return None
    return ws.respond(http.HTTPStatus.NOT_FOUND, "not found\n")


async def open_slowly(ws: ServerConnection, request: Request, *, seconds: float) -> None:
    """Work before the upgrade is answered: a database, an AI's session."""
    await asyncio.sleep(seconds)


async def require_bearer(ws: ServerConnection, request: Request, *, token: str) -> Response | None:
    """The token in the header that the carrier sends, as a bearer, or in the query."""
    offered = {
        request.headers.get("x-telnyx-streaming-auth-token", ""),
        request.headers.get("Authorization", "").removeprefix("Bearer "),
        request.path.partition("token=")[2],
    }
    if token in offered:
        return None
    return ws.respond(http.HTTPStatus.UNAUTHORIZED, "missing or wrong token\n")


@handler
async def closes_without_call_id(ws: ServerConnection) -> None:
    if ws.request is None or "call_id=" not in ws.request.path:
        await ws.close(4400, "missing call_id")
        return
    await echo(ws)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--handler", default="echo", choices=sorted(HANDLERS))
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--pattern", default=PATH.pattern)
    parser.add_argument("--origin", help="the only Origin that is let in")
    parser.add_argument("--subprotocol", help="the only subprotocol that is let in")
    parser.add_argument("--open-after-s", type=float, default=0)
    parser.add_argument("--token")
    parser.add_argument("--basic", action="store_true")
    parser.add_argument("--message-bytes-max", type=int, default=1 << 20)
    arguments = parser.parse_args()

    process_request: Any = functools.partial(route, pattern=re.compile(arguments.pattern))
    if arguments.open_after_s:
        process_request = functools.partial(open_slowly, seconds=arguments.open_after_s)
    if arguments.token:
        process_request = functools.partial(require_bearer, token=arguments.token)
    if arguments.basic:
        process_request = basic_auth(realm="staging", credentials=("admin", "staging"))
    tls = None
    if arguments.cert:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.cert, arguments.key)
    options: dict[str, Any] = {}
    if arguments.subprotocol:

        def select_subprotocol(ws: ServerConnection, offered: Any) -> Any:
            if arguments.subprotocol not in offered:
                from websockets.exceptions import NegotiationError

                raise NegotiationError(f"the {arguments.subprotocol} subprotocol is required")
            return arguments.subprotocol

        options = {"subprotocols": [arguments.subprotocol], "select_subprotocol": select_subprotocol}
    if arguments.origin:
        options["origins"] = [arguments.origin]
    async with serve(
        HANDLERS[arguments.handler],
        arguments.host,
        arguments.port,
        ssl=tls,
        process_request=process_request,
        max_size=arguments.message_bytes_max,
        **options,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
