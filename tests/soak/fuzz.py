"""Mutated signatures and frames, by the million, webhooks, logs, requests and recordings: none may be taken for what it is
not, none may raise."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import random
import socket
import struct
import tracemalloc
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import numpy as np
import uvicorn
from structlog.testing import capture_logs

from callpath.audio.wav import HEADER_BYTES, read_wav, read_wav_sides, write_wav
from callpath.call.stream import MediaStream
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.dashboard.app import Dashboard
from callpath.dashboard.door import Door
from callpath.dashboard.recordings import outline
from callpath.doctor.logs.picture import choose, judge_logged, picture
from callpath.doctor.logs.reading import LogReader
from callpath.errors import AudioError, SignatureError
from callpath.private_api import EmbeddedServer
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.frames import FrameReader
from callpath.server.guard import GuardedHttp
from callpath.server.socket import MediaSockets
from callpath.wire.media import FRAME_BYTES_MAX
from callpath.wire.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, public_key_text, sign, verify
from tests.soak.figures import Figure, all_of, at_most, none_of
from tests.soak.node import KEY, event
from tests.telnyx import SAMPLES

LOGS = Path(__file__).parents[1] / "doctor" / "logs" / "golden"
NOW_S = 1_767_323_045
INTERESTING = (
    b"",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",
    b"-1",
    b"1e999",
    b"[" * 200,
    b"{" * 200,
    b"null",
    b'"',
    b"\\ud800",
    b"9" * 400,
)


def mutated(seed: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """`seed` with one to four changes: bits, cuts, doublings, odd pieces, a splice of `other`."""
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        end = min(len(data), at + chance.choice((1, 2, 8, 40)))
        match chance.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                data[at:end] = chance.choice(INTERESTING)
            case 4:
                data[at:end] = chance.randbytes(end - at)
            case _:
                cut = chance.randrange(len(other) + 1)
                data[at:end] = other[cut : cut + 40]
    return bytes(data)


# --- signatures ------------------------------------------------------------------------------------------------------


def signatures(number: int, jobs: int = 1) -> list[Figure]:
    """A good signature, timestamp and body, of which at least one byte is another."""
    shares = [number // jobs + (job < number % jobs) for job in range(jobs)]
    if jobs == 1:
        tried, accepted, raised = _try_signatures(shares[0], 0)
    else:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            tried, accepted, raised = (
                sum(part) for part in zip(*pool.map(_try_signatures, shares, range(jobs)), strict=True)
            )
    return [
        all_of("signatures_tried", tried, number),
        none_of("signatures_accepted", accepted),
        none_of("signatures_other_exceptions", raised),
    ]


def _try_signatures(number: int, seed: int) -> tuple[int, int, int]:
    chance = random.Random(seed)
    public = KEY.public_key()
    body = event("s", "e")
    good = sign(body, KEY, NOW_S)
    raw = base64.b64decode(good[SIGNATURE_HEADER])
    tried = accepted = raised = 0
    verify(body, good, public, NOW_S)
    while tried < number:
        headers, sent = dict(good), body
        match chance.randrange(5):
            case 0:
                headers[SIGNATURE_HEADER] = base64.b64encode(mutated(raw, chance)).decode()
            case 1:
                headers[SIGNATURE_HEADER] = mutated(good[SIGNATURE_HEADER].encode(), chance).decode("latin-1")
            case 2:
                headers[TIMESTAMP_HEADER] = mutated(good[TIMESTAMP_HEADER].encode(), chance).decode("latin-1")
            case 3:
                flipped = bytearray(raw)
                flipped[chance.randrange(64)] ^= 1 << chance.randrange(8)
                headers[SIGNATURE_HEADER] = base64.b64encode(flipped).decode()
            case _:
                sent = mutated(body, chance)
        if sent == body and headers[TIMESTAMP_HEADER] == good[TIMESTAMP_HEADER] and _decoded(headers) == raw:
            continue  # the changes undid each other, or fell on bits that base64 does not use
        tried += 1
        try:
            verify(sent, headers, public, NOW_S)
            accepted += 1
        except SignatureError:
            pass
        except Exception:
            raised += 1
    return tried, accepted, raised


def _decoded(headers: dict[str, str]) -> bytes | None:
    try:
        return base64.b64decode(headers[SIGNATURE_HEADER], validate=True)
    except ValueError:
        return None


# --- frames ----------------------------------------------------------------------------------------------------------


def frames(number: int, seed: int = 0) -> list[Figure]:
    """Mutated texts of Telnyx's into streams, mutated bytes into the reader below; `number` in all."""
    chance = random.Random(seed)
    texts = [path.read_bytes().strip() for path in sorted((SAMPLES / "ws").glob("*.json"))]
    media = json.dumps({"event": "media", "media": {"track": "inbound", "chunk": "1", "payload": "//8="}}).encode()
    exceptions: Counter[str] = Counter()
    wire = b"".join(_masked(text) for text in texts[:4])
    tracemalloc.start()
    before = 0
    stream, now_ms = MediaStream(), 0.0
    for turn in range(number):
        if turn == number // 10:
            before = tracemalloc.get_traced_memory()[0]
        try:
            if turn % 10 == 9:
                reader = FrameReader(FRAME_BYTES_MAX)
                fuzzed = mutated(wire, chance, wire)
                cut = chance.randrange(len(fuzzed) + 1)
                reader.feed(fuzzed[:cut])
                reader.feed(fuzzed[cut:])
                continue
            if turn % 500 == 0:
                stream.receive_eof()
                stream = MediaStream()
                stream.receive_text(next(text for text in texts if b'"start"' in text), now_ms)
            now_ms += 20
            seen = chance.choice((media, *texts))
            stream.receive_text(mutated(seen, chance, chance.choice(texts)), now_ms)
            stream.due_events(now_ms)
            stream.texts_to_send(now_ms)
        except Exception as error:
            exceptions[type(error).__name__] += 1
            stream = MediaStream()
    grown_kib = (tracemalloc.get_traced_memory()[0] - before) / 1024
    tracemalloc.stop()
    return [
        *_seen(exceptions),
        all_of("frames_tried", turn + 1, number),
        none_of("frames_exceptions", exceptions.total()),
        at_most("frames_memory_grown_kib", grown_kib, 4096),
    ]


# --- webhooks and logs -----------------------------------------------------------------------------------------------


async def webhooks(folder: Path, number: int, seed: int = 0) -> list[Figure]:
    """Mutated events, signed as if Telnyx itself had gone mad: stored or refused, and no call's actor falls over."""
    chance = random.Random(seed)
    seeds = [
        json.dumps(json.loads(path.read_text())).encode() for path in sorted((SAMPLES / "webhooks").glob("*.json"))
    ]
    settings = Settings(
        telnyx_api_key="KEY1",
        telnyx_public_key=public_key_text(KEY),
        telnyx_api_base="http://127.0.0.1:9/v2",
        public_url="https://calls.example.com",
        data_dir=folder,
    )
    asgi: Any = create_asgi(BUILTIN["echo"](), settings)
    statuses: Counter[int] = Counter()
    with capture_logs() as lines:
        async with (
            asgi.router.lifespan_context(asgi),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(asgi), base_url="http://calls.example.com") as http,
        ):
            for _ in range(number):
                body = mutated_document(json.loads(chance.choice(seeds)), chance)
                signed = sign(body, KEY, SystemClock().now_unix_ms() // 1000)
                statuses[(await http.post("/api/calls/webhook", content=body, headers=signed)).status_code] += 1
    failed = Counter(str(line.get("error")) for line in lines if line.get("event_name") == "task.failed")
    return [
        *_seen(failed),
        all_of("fuzzed_webhooks_answered", statuses[200] + statuses[400] + statuses[413], number),
        all_of("fuzzed_webhooks_taken", statuses[200], number // 20),
        none_of("fuzzed_webhooks_failed_calls", failed.total()),
    ]


def mutated_document(document: Any, chance: random.Random) -> bytes:
    """JSON with values of another kind in some places; now and then bytes that are none."""
    if chance.random() < 0.2:
        return mutated(json.dumps(document).encode(), chance)
    for _ in range(chance.randint(1, 3)):
        at = document["data"] if isinstance(document.get("data"), dict) else document
        if isinstance(at.get("payload"), dict) and chance.random() < 0.8:
            at = at["payload"]
        if at:
            at[chance.choice(sorted(at))] = json.loads(chance.choice(ODD))
    return json.dumps(document).encode()


_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 2**70, 1e308, "", " ", "x" * 3000, "\x00", "\ud800", "../../etc/passwd", "+15555550123"),
    *(
        [],
        {},
        [[]],
        {"a": {"b": []}},
        "2026-13-45T99:99:99Z",
        "call.hangup",
        "call.initiated",
        "call.answered",
        "outgoing",
    ),
)
ODD = [json.dumps(value) for value in _VALUES]


def logs(number: int, seed: int = 0) -> list[Figure]:
    """Mutated logs of every format that is known, read and drawn."""
    chance = random.Random(seed)
    seeds = [path.read_bytes() for path in sorted(LOGS.glob("*.log"))]
    exceptions: Counter[str] = Counter()
    for _ in range(number):
        reader = LogReader(read_at_ms=NOW_S * 1000)
        lines = chance.choice(seeds).splitlines(keepends=True)[:60]
        other = chance.choice(chance.choice(seeds).splitlines() or [b""])
        text = b"".join(mutated(line, chance, other) if chance.random() < 0.5 else line for line in lines)
        cut = chance.randrange(len(text) + 1)
        try:
            reader.read("fuzzed.log", iter([text[:cut], text[cut:]]))
            found = reader.finish()
            judged = [judge_logged(found, one) for one in found.calls[:3]]
            picture(found, judged, choose(judged) if judged else None)
        except Exception as error:
            exceptions[f"{type(error).__name__}: {error}"[:200]] += 1
    return [
        *_seen(exceptions),
        all_of("fuzzed_logs_read", number - exceptions.total(), number),
    ]


# --- requests, and what lies on the disk -----------------------------------------------------------------------------

WAITING = 50
"""Connections at once."""

UPGRADE = (
    b"GET /api/calls/s/audio HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n\x81\x82abcd\x1a\x1f"
)
LOGIN = b'POST /api/v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{"token":"x"}'
REQUESTS = (
    UPGRADE,
    UPGRADE.replace(b"/audio", b"/audio/a-token"),
    UPGRADE.replace(b"/api/calls/s/audio", b"/api/v1/phone"),
    LOGIN,
    LOGIN.replace(b"Content-Length: 13\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nd\r\n") + b"\r\n0\r\n\r\n",
    b"GET /assets/a.js HTTP/1.1\r\nHost: x\r\nCookie: callpath_session=1.2\r\nAccept-Encoding: gzip\r\n\r\n",
    b"GET /api/v1/calls?q=a&limit=5&cursor=MTox HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\r\n",
    b"GET /api/v1/calls/s/recordings/1.wav HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes=0-5\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n",
)


async def requests(folder: Path, number: int, seed: int = 0) -> list[Figure]:
    """Mutated requests of every kind to a real port, with the guard before it: answered without an error of ours, and not
    one connection stays."""
    chance = random.Random(seed)
    webhook = event("s", "e")
    signed = "".join(f"{name}: {value}\r\n" for name, value in sign(webhook, KEY, NOW_S).items())
    posted = b"POST /api/calls/webhook HTTP/1.1\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b"
    seeds = (*REQUESTS, posted % (signed.encode(), len(webhook), webhook))
    settings = Settings(
        telnyx_api_key="KEY1",
        telnyx_public_key=public_key_text(KEY),
        telnyx_api_base="http://127.0.0.1:9/v2",
        public_url="http://127.0.0.1:8000",
        data_dir=folder,
    )
    door = Door(
        settings=settings, clock=SystemClock(), handler_name="echo", serve_for=lambda *_: contextlib.nullcontext("")
    )
    asgi: Any = create_asgi(BUILTIN["echo"](), settings, extra=Dashboard(door))
    statuses: Counter[int] = Counter()
    turn = iter(range(number))

    async def ask(port: int) -> None:
        for _ in turn:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                async with asyncio.timeout(20):
                    writer.write(mutated(chance.choice(seeds), chance, chance.choice(seeds)))
                    said = await reader.read()
            except TimeoutError:
                statuses[0] += 1
                continue
            except ConnectionError:
                said = b""
            finally:
                writer.close()
            for answer in said.split(b"HTTP/1.1 ")[1:]:
                statuses[int(answer[:3])] += 1

    with capture_logs() as lines, mock.patch.multiple(GuardedHttp, header_s_max=0.2, body_s_max=0.2, read_s_max=0.2):
        async with _listening(asgi) as (port, server, heard), asyncio.TaskGroup() as tasks:
            for _ in range(WAITING):
                tasks.create_task(ask(port))
        left = len(server.server_state.connections) + len(asgi.state.connection_limiter)
    failed = Counter(str(line.get("error")) for line in lines if line.get("event_name") == "task.failed")
    return [
        *_seen(failed + heard),
        all_of("fuzzed_requests_answered", sum(statuses.values()), number // 2),
        none_of("fuzzed_requests_5xx", sum(times for status, times in statuses.items() if status >= 500)),
        none_of("fuzzed_requests_neither_answered_nor_closed", statuses[0]),
        none_of("fuzzed_requests_exceptions", failed.total() + heard.total()),
        none_of("fuzzed_requests_connections_left", left),
    ]


@contextlib.asynccontextmanager
async def _listening(asgi: Any) -> AsyncIterator[tuple[int, uvicorn.Server, Counter[str]]]:
    """A server on a free port, and the exceptions that nobody caught."""
    heard: Counter[str] = Counter()
    watch = logging.Handler()
    watch.emit = lambda record: heard.update([_told(record)] if record.exc_info else [])  # type: ignore[method-assign]
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.update([str(context.get("exception"))[:100]]))
    logging.getLogger("uvicorn.error").addHandler(watch)
    config = uvicorn.Config(
        asgi,
        http=GuardedHttp,
        ws=MediaSockets,
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,
        timeout_keep_alive=1,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = EmbeddedServer(config)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            async with server.serving(listener):
                yield listener.getsockname()[1], server, heard
    finally:
        logging.getLogger("uvicorn.error").removeHandler(watch)
        loop.set_exception_handler(None)


def _told(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def recordings(folder: Path, number: int, seed: int = 0) -> list[Figure]:
    """Mutated WAV files: a disk that lied, a process that died, a file somebody put there. Read or refused by name."""
    chance = random.Random(seed)
    file = folder / "seed.wav"
    side = (np.arange(400) * 40).astype(np.int16)
    seeds = []
    for audio in (side, (side, side)):
        write_wav(file, audio, 8000)
        seeds.append(file.read_bytes())
    body = seeds[0][HEADER_BYTES:]
    for tag, bits in ((1, 8), (1, 24), (1, 32), (3, 32), (3, 64), (6, 8), (7, 8), (0xFFFE, 16)):
        form = struct.pack("<HHIIHH", tag, 1, 8000, 1000 * bits, bits // 8, bits) + struct.pack("<HHIH", 22, bits, 0, 1)
        chunks = struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", len(body)) + body
        seeds.append(struct.pack("<4sI4s", b"RIFF", len(chunks) + 4, b"WAVE") + chunks)
    exceptions: Counter[str] = Counter()
    read = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(number):
            good = chance.choice(seeds)
            head = mutated(good[:80], chance, chance.choice(seeds)[:80]) if chance.random() < 0.9 else good[:80]
            file.write_bytes(head + good[80 : chance.randrange(80, len(good) + 1)])
            for reads in (read_wav, read_wav_sides, outline):
                try:
                    reads(file)
                    read += 1
                except AudioError:
                    pass
                except Exception as error:
                    exceptions[f"{reads.__name__}: {type(error).__name__}: {error}"[:200]] += 1
    return [
        *_seen(exceptions),
        all_of("fuzzed_recordings_read", read, number // 4),
        none_of("fuzzed_recordings_exceptions", exceptions.total()),
    ]


def _seen(exceptions: Counter[str]) -> list[Figure]:
    """The commonest by name, so that the report says what to look for."""
    return [none_of(f"exception({text!r})", times) for text, times in exceptions.most_common(5)]


def _masked(text: bytes) -> bytes:
    head = bytes([0x81, 0x80 | len(text)]) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + bytes(4) + text
