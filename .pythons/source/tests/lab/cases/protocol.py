"""Section 11: the socket is open, and what the application sends is not what the carrier reads."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


def app(name: str, *slugs: str, why: str, handler: str, options: tuple[str, ...] = ()) -> None:
    """Add a case on the `websockets` application with its own TLS."""

    async def start(bench: Bench) -> Target:
        await bench.voice_app(handler)
        return bench.target(*options)

    CASES.add(name, *slugs, why=why, start=start)


ENVELOPE = "outbound-envelope-wrong"
app("envelope-type", ENVELOPE, why="`type` and `data` for `event` and `media.payload`.", handler="envelope-type")
app("envelope-flat", ENVELOPE, why="`payload` beside `event`, not inside `media`.", handler="envelope-flat")
app("envelope-ai-delta", ENVELOPE, why="The speech API's events passed through.", handler="envelope-ai-delta")
app("envelope-play-audio", ENVELOPE, why="Another carrier's `playAudio`.", handler="envelope-play-audio")
app("envelope-python-repr", ENVELOPE, why="str(dict): single quotes are not JSON.", handler="envelope-python-repr")
app("envelope-double-json", ENVELOPE, why="JSON inside a JSON string.", handler="envelope-double-json")
app("envelope-binary", ENVELOPE, why="Raw audio in binary messages.", handler="binary-frames")
app(
    "envelope-json-in-binary",
    ENVELOPE,
    UNDECIDED,
    why="The right JSON in binary messages; the documents show text only.",
    handler="json-in-binary",
)

PAYLOAD = "outbound-not-base64"
app("payload-hex", PAYLOAD, why="bytes.hex() for base64.", handler="payload-hex")
app("payload-bytes-repr", PAYLOAD, why="str(b64encode(…)): b'…' around it.", handler="payload-bytes-repr")
app("payload-data-uri", PAYLOAD, why="A data: URI.", handler="payload-data-uri")
app("payload-double-base64", PAYLOAD, why="Encoded twice.", handler="payload-double-base64")
app("payload-url-safe", PAYLOAD, why="The URL-safe alphabet, without padding.", handler="payload-url-safe")
app("payload-list", PAYLOAD, ENVELOPE, why="An array of numbers.", handler="payload-list")

CLOSES = "app-closes-stream"
app(
    "closes-at-once",
    CLOSES,
    "app-crash-on-connect",
    UNDECIDED,
    why="1000 straight after the accept.",
    handler="closes-at-once",
)
app("closes-after-start", CLOSES, why="The handler returns after `start`.", handler="closes-after-start")
app(
    "closes-after-reply",
    CLOSES,
    why="Half a second of answer, then the handler is done: 1000.",
    handler="closes-after-reply",
)
app(
    "closes-when-ai-fails",
    CLOSES,
    "app-crash-on-connect",
    "ai-side-not-ready",
    why="1011 at the first media: the AI's socket was refused.",
    handler="closes-when-ai-fails",
)
app(
    "crashes-on-start",
    "app-crash-on-connect",
    CLOSES,
    why="A KeyError at `start`: written for another carrier.",
    handler="crashes-on-start",
)
app(
    "crashes-on-media",
    "app-crash-on-connect",
    CLOSES,
    why="An exception at the first media frame: 1011.",
    handler="crashes-on-media",
)
app(
    "too-many-calls",
    "service-unavailable-503",
    CLOSES,
    UNDECIDED,
    why="1013 `too many concurrent calls`.",
    handler="try-again-later",
)


@case("message-too-big-1009", why="maxPayload of 128 bytes: `start` alone is larger.", needs="node npm:ws haproxy")
async def too_big_ws(bench: Bench) -> Target:
    await bench.node("max-payload", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("message-too-big-1009", why="max_size of 300 bytes in websockets: media frames do not fit.")
async def too_big_websockets(bench: Bench) -> Target:
    await bench.voice_app("echo", "--message-bytes-max", "300")
    return bench.target()


@case("message-too-big-1009", why="uvicorn's ws_max_size.")
async def too_big_uvicorn(bench: Bench) -> Target:
    await bench.asgi_app("right", "--message-bytes-max", "200")
    return bench.target()


def odd(name: str, *slugs: str, why: str, mode: str) -> None:
    async def start(bench: Bench) -> Target:
        await bench.odd_server(mode)
        return bench.target()

    CASES.add(name, *slugs, why=why, start=start)


ENDS = ("app-crash-on-connect", "fastify-websocket-handler-signature")
odd(
    "ends-after-101",
    *ENDS,
    UNDECIDED,
    why="101, and the connection ends without a close frame.",
    mode="eof-after-101",
)
odd(
    "ends-after-media",
    *ENDS,
    "app-closes-stream",
    UNDECIDED,
    why="The connection ends at the first media frame.",
    mode="eof-after-media",
)
odd(
    "resets-after-media",
    *ENDS,
    "app-closes-stream",
    UNDECIDED,
    why="A reset at the first media frame.",
    mode="reset-after-101",
)
odd(
    "half-open",
    "event-loop-blocked",
    UNDECIDED,
    why="101, then nobody reads or answers pings.",
    mode="half-open",
)
