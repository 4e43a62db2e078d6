"""Mutated signatures and frames, by the million: none may be taken, none may raise."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import httpx2
from structlog.testing import capture_logs

from callpath.call.stream import MediaStream
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.doctor.logs.picture import choose, judge_logged, picture
from callpath.doctor.logs.reading import LogReader
from callpath.errors import SignatureError
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.frames import FrameReader
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


def _seen(exceptions: Counter[str]) -> list[Figure]:
    """The commonest by name, so that the report says what to look for."""
    return [none_of(f"exception({text!r})", times) for text, times in exceptions.most_common(5)]


def _masked(text: bytes) -> bytes:
    head = bytes([0x81, 0x80 | len(text)]) if len(text) < 126 else b"\x81\xfe" + len(text).to_bytes(2, "big")
    return head + bytes(4) + text
