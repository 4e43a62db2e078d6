"""One real server, and everybody who means no good: each request is answered in good order, refused by name, or cut; the
log stays short, and what they held is given back."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from callpath.server.limits import WRITTEN
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.soak.figures import descriptors, memory_kib
from tests.soak.node import Node, event, senders

pytestmark = pytest.mark.soak

HOST = b"Host: 127.0.0.1\r\nConnection: close\r\n"
UPGRADE = (
    b"Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
LOGIN = "a-login-that-nobody-guesses"


def get(path: bytes, more: bytes = b"") -> bytes:
    return b"GET %b HTTP/1.1\r\n%b%b\r\n" % (path, HOST, more)


def post(path: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n%b\r\n%b" % (path, HOST, len(body), more, body)


def raw(head: bytes, body: bytes = b"") -> bytes:
    return b"POST /api/calls/webhook HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b" % (head, body)


TWO = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HOSTILE = {
    "smuggled: both lengths": (400, raw(b"Content-Length: 4\r\nTransfer-Encoding: chunked", TWO)),
    "smuggled: two lengths": (400, raw(b"Content-Length: 4\r\nContent-Length: 5", b"abcde")),
    "smuggled: an odd encoding": (400, raw(b"Transfer-Encoding: xchunked", TWO)),
    "smuggled: chunked is not last": (400, raw(b"Transfer-Encoding: chunked, identity", TWO)),
    "smuggled: a folded line": (400, raw(b"Transfer-Encoding:\r\n chunked", TWO)),
    "smuggled: a blank before the colon": (400, raw(b"Transfer-Encoding : chunked", TWO)),
    "smuggled: bare CR": (400, raw(b"A: b\rTransfer-Encoding: chunked", TWO)),
    "smuggled: bare LF": (400, b"GET /healthz HTTP/1.1\nHost: x\n\n"),
    "length: negative": (400, raw(b"Content-Length: -1")),
    "length: signed": (400, raw(b"Content-Length: +4", b"abcd")),
    "length: huge": (400, raw(b"Content-Length: 99999999999999999999999")),
    "chunk: no number": (400, raw(b"Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n")),
    "another protocol: TLS": (400, bytes.fromhex("16030100a5010000a10303")),
    "another protocol: HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a proxy's request": (400, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
    "file: above": (404, get(b"/assets/../app.py")),
    "file: above, encoded": (404, get(b"/assets/..%2f..%2fapp.py")),
    "file: above, backslash": (404, get(b"/assets/..%5c..%5capp.py")),
    "file: absolute": (404, get(b"/assets//etc/passwd")),
    "file: NUL": (404, get(b"/assets/%00")),
    "file: a long name": (404, get(b"/assets/" + b"a" * 300)),
    "file: many folders": (404, get(b"/assets" + b"/a" * 3000)),
    "redirect to a host of theirs": (404, b"GET /phone/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
    "login: deep": (400, post(b"/api/v1/login", b"[" * 4000)),
    "login: large": (400, post(b"/api/v1/login", b" " * 100_000)),
    "login: no UTF-8": (400, post(b"/api/v1/login", b'{"token": "\xff"}')),
    "login: packed": (400, post(b"/api/v1/login", b"\x1f\x8b\x08" + bytes(100), b"Content-Encoding: gzip\r\n")),
    "login: half an address": (403, post(b"/api/v1/login", b'{"token": "x"}', b"Origin: http://[\r\n")),
    "login: a sandboxed page": (403, post(b"/api/v1/login", b'{"token": "x"}', b"Origin: null\r\n")),
    "API: no login": (401, get(b"/api/v1/calls")),
    "API: bytes for a login": (401, get(b"/api/v1/calls", b"Authorization: Bearer \xff\xfe\r\n")),
    "API: a cookie that is none": (401, get(b"/api/v1/calls", b'Cookie: callpath_session=\xff; a="\\\r\n')),
    "API: half a host": (401, b"GET /api/v1/calls HTTP/1.1\r\nHost: [\r\nConnection: close\r\n\r\n"),
    "API: another site": (403, post(b"/api/v1/calls/s/replay", b"", b"Origin: https://evil.example\r\n")),
    "API: asked before, by another site": (
        403,
        b"OPTIONS /api/v1/calls HTTP/1.1\r\nOrigin: https://evil.example\r\n" + HOST + b"\r\n",
    ),
    "API: its description": (401, get(b"/api/v1/openapi.json")),
    "metrics": (403, get(b"/metrics")),
    "webhook: unsigned": (401, post(b"/api/calls/webhook", b"{}")),
    "webhook: packed": (401, post(b"/api/calls/webhook", b"\x1f\x8b\x08" + bytes(100), b"Content-Encoding: gzip\r\n")),
    "webhook: deep": (401, post(b"/api/calls/webhook", b"[" * 100_000)),
    "webhook: too large": (413, raw(b"Connection: close\r\nContent-Length: 300000", b"x" * 300_000)),
    "webhook: long chunk extensions": (
        401,
        raw(b"Connection: close\r\nTransfer-Encoding: chunked", b"2;" + b"a" * 70_000 + b"\r\n{}\r\n0\r\n\r\n"),
    ),
    "header: too large": (431, b"GET / HTTP/1.1\r\nx: " + b"y" * 80_000),
    "upgrade: nobody's call": (404, b"GET /api/calls/nobody/audio HTTP/1.1\r\n" + UPGRADE),
    "upgrade: NUL": (404, b"GET /api/calls/%00/audio HTTP/1.1\r\n" + UPGRADE),
    "upgrade: no UTF-8": (404, b"GET /api/calls/%ff/audio/%ed%a0%80 HTTP/1.1\r\n" + UPGRADE),
    "upgrade: odd token": (
        404,
        b"GET /api/calls/nobody/audio HTTP/1.1\r\n" + AUTH_TOKEN_HEADER.encode() + b": \xff\xfe\r\n" + UPGRADE,
    ),
    "upgrade: the doctor's call": (401, b"GET /api/calls/test-connection/audio HTTP/1.1\r\n" + UPGRADE),
    "upgrade: no key": (400, b"GET /api/calls/a/audio HTTP/1.1\r\n" + UPGRADE.replace(b"AAAA", b"!")),
    "upgrade: a long path": (400, b"GET /api/calls/" + b"a" * 20_000 + b"/audio HTTP/1.1\r\n" + UPGRADE),
    "upgrade: many lines": (400, b"GET /api/calls/a/audio HTTP/1.1\r\n" + b"a: b\r\n" * 1500 + UPGRADE),
    "upgrade: the browser's phone": (403, b"GET /api/v1/phone HTTP/1.1\r\n" + UPGRADE),
}


async def test_each_is_answered_in_good_order(tmp_path: Path) -> None:
    """By its own words, with no error of ours, and closed; and nothing of it is remembered for long."""
    async with _public(tmp_path) as node:
        answers = await asyncio.gather(*[node.asked(request) for _, request in HOSTILE.values()])
        code = await node.stop()
        said = node.output.read_text()
    wrong = {
        name: answer[:200]
        for (name, (status, _)), answer in zip(HOSTILE.items(), answers, strict=True)
        if not answer.startswith(b"HTTP/1.1 %d " % status) and not (status in (413, 431) and not answer)
    }

    assert {} == wrong
    assert "Traceback" not in said
    assert 0 == code


async def test_a_flood_leaves_nothing_behind(tmp_path: Path) -> None:
    """Thousands of each kind: counted, summed up in the log, and the memory and the descriptors come back.

    How many are rate-limited depends on the speed of the machine: what is compared are the counts of both sides, and the
    log lines with the time that they themselves tell.
    """
    kinds = [HOSTILE[name][1] for name in ("webhook: unsigned", "upgrade: nobody's call", "another protocol: TLS")]
    async with _public(tmp_path, CALLPATH_METRICS_TOKEN=LOGIN) as node:

        async def flood(times: int) -> list[bytes]:
            said = []
            for _ in range(times):
                said += [(await node.asked(request))[:12] for request in kinds]
            return said

        async with asyncio.timeout(150):  # a server that hangs, not one that is slow
            async with senders(node.port, 1) as (sender,):
                await sender.post(event("s", "e1"))
            said = await flood(20)
            before = descriptors(node.pid), memory_kib(node.pid)
            said += [one for some in await asyncio.gather(*[flood(45) for _ in range(10)]) for one in some]
            async with senders(node.port, 1) as (sender,):
                authentic = await sender.post(event("s", "e2"))
            page = (await node.asked(get(b"/metrics", b"Authorization: Bearer %b\r\n" % LOGIN.encode()))).decode()
            while descriptors(node.pid) > before[0] + 10:
                await asyncio.sleep(0.05)  # until the last connections are closed on its side, too
        grown_kib = memory_kib(node.pid) - before[1]
        await node.stop()
        lines = [json.loads(line) for line in node.output.read_text().splitlines() if line.startswith("{")]
    statuses = Counter(said)
    refused = Counter[str]()
    for what, number in re.findall(r'callpath_refused_total\{[^}]*what="(\w+)"\} (\d+)', page):
        refused[what] += int(number)
    written = [line for line in lines if line["event_name"] in ("webhook.rejected", "upgrade.rejected")]
    suppressed = [line for line in lines if line["event_name"] == "rejections.suppressed"]
    times = [datetime.fromisoformat(line["timestamp"]).timestamp() for line in (*written, *suppressed)]
    at_once, per_s = WRITTEN[1].at_once, WRITTEN[1].per_s

    assert {b"HTTP/1.1 401": 470, b"HTTP/1.1 400": 470} == {
        status: number for status, number in statuses.items() if status not in (b"HTTP/1.1 404", b"HTTP/1.1 429")
    }
    assert 470 == statuses[b"HTTP/1.1 404"] + statuses[b"HTTP/1.1 429"]
    assert {"webhook": 470, "upgrade": 470, "connection": 470} == refused
    assert 200 == authentic
    assert at_once <= len(written) <= at_once + per_s * (1 + max(times) - min(times))
    assert 1 <= len(suppressed) <= 1 + (max(times) - min(times)) / 60
    assert len(lines) < len(written) + 30
    assert grown_kib <= 8192


def _public(folder: Path, **environment: str) -> Node:
    """A server for the whole world, reached past its proxy."""
    return Node(
        folder,
        PUBLIC_URL="https://calls.example.com",
        CALLPATH_DASHBOARD="on",
        CALLPATH_DASHBOARD_TOKEN=LOGIN,
        **environment,
    )
