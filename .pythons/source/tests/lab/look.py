"""A plain client of the lab's own: shows a case's fault without the doctor, so that the case itself can be checked.

It shares no code with the doctor: sockets, ssl, and frames written by hand. `python -m tests.lab --look --only NAME`.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import math
import os
import socket
import ssl
import struct
import sys
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.lab.case import Case, Target
from tests.lab.runner import laboratory

WAIT_S = 5.0
MEDIA_FRAMES = 60


async def look_at(cases: Iterable[Case], jobs: int, keep: Path | None = None) -> None:
    """Set the cases up, `jobs` at a time, and print what a client sees of each."""
    places = asyncio.Semaphore(jobs)
    async with laboratory(keep) as lab, asyncio.TaskGroup() as tasks:

        async def look_at_one(case: Case) -> None:
            async with places, lab.bench(case.name) as bench:
                try:
                    seen = await look_from_inside(await case.start(bench))
                except Exception as error:
                    seen = f"    NOT SET UP: {error}\n"
            sys.stdout.write(f"=== {case.name} [{'|'.join(sorted(case.expected))}] {case.why}\n{seen}")
            sys.stdout.flush()

        for case in cases:
            tasks.create_task(look_at_one(case))


async def look_from_inside(target: Target) -> str:
    """Look in a process of its own, inside the case's network."""
    command = (*target.enter, sys.executable, "-m", "tests.lab.look", target.url, *target.options)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    seen, _ = await process.communicate()
    return seen.decode(errors="replace")


def show(text: str) -> None:
    sys.stdout.write(f"    {text}\n")
    sys.stdout.flush()


def look(url: str, options: argparse.Namespace) -> None:
    show(f"url {url!r}")
    parts = urllib.parse.urlsplit(url.strip())
    try:
        host, port = parts.hostname or "", parts.port or (80 if parts.scheme in ("ws", "http") else 443)
    except ValueError as error:
        show(f"unusable: {error}")
        return
    addresses = list(addresses_of(host, port, options))
    show(f"addresses {addresses}")
    for address in addresses:
        with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)) as plain:
            plain.settimeout(WAIT_S)
            try:
                plain.connect((address, port))
            except OSError as error:
                show(f"tcp {address}: {error!r}")
                continue
            show(f"tcp {address}: open")
            try:
                stream = plain if parts.scheme in ("ws", "http") else secure(plain, host, options)
                upgrade(stream, parts, options)
            except (OSError, ValueError) as error:
                show(f"{type(error).__name__}: {error}")


def addresses_of(host: str, port: int, options: argparse.Namespace) -> Iterator[str]:
    for fixed in options.resolve:
        name, at, address = fixed.split(":", 2)
        if (name, at) == (host, str(port)):
            yield address.strip("[]")
            return
    if options.resolver:
        import dns.exception
        import dns.resolver

        resolver = dns.resolver.Resolver(configure=False)
        server, _, at = options.resolver.partition(":")
        resolver.nameservers, resolver.port, resolver.lifetime = [server], int(at or 53), WAIT_S
        for kind in ("A", "AAAA"):
            try:
                yield from (str(record) for record in resolver.resolve(host, kind))
            except dns.exception.DNSException as error:
                show(f"dns {kind}: {type(error).__name__}: {error}")
        return
    try:
        yield from dict.fromkeys(str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError as error:
        show(f"dns: {error!r}")


def secure(plain: socket.socket, host: str, options: argparse.Namespace) -> socket.socket:
    context = ssl.create_default_context(cafile=options.ca)
    context.set_alpn_protocols(["http/1.1"])
    stream = context.wrap_socket(plain, server_hostname=host)
    cipher = stream.cipher()
    show(f"tls {stream.version()} {cipher[0] if cipher else ''} alpn {stream.selected_alpn_protocol()}")
    return stream


def upgrade(stream: socket.socket, parts: urllib.parse.SplitResult, options: argparse.Namespace) -> None:
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode(),
    ]
    if options.token:
        head.append(f"x-telnyx-streaming-auth-token: {options.token}")
    begin = time.monotonic()
    stream.sendall("\r\n".join([*head, "", ""]).encode())
    received = b""
    stream.settimeout(12.0)
    while b"\r\n\r\n" not in received:
        chunk = stream.recv(4096)
        if not chunk:
            show(f"closed after {time.monotonic() - begin:.1f} s; sent {received!r}")
            return
        received += chunk
    answer, _, rest = received.partition(b"\r\n\r\n")
    for line in answer.decode("latin-1").split("\r\n"):
        show(f"< {line}")
    show(f"  after {time.monotonic() - begin:.1f} s")
    if b" 101 " not in answer.split(b"\r\n")[0]:
        with contextlib.suppress(OSError):
            stream.settimeout(0.5)
            while len(rest) < 300 and (chunk := stream.recv(4096)):
                rest += chunk
        show(f"  body {rest[:300]!r}")
        return
    talk(stream, rest, options)


def talk(stream: socket.socket, received: bytes, options: argparse.Namespace) -> None:
    """Play the carrier for a little more than a second, then wait for what else comes."""
    encoding = options.codec
    call = {"call_control_id": "v3:lab", "call_session_id": "test-connection", "from": "+15550100", "to": "+15550101"}
    media_format = {"encoding": encoding, "sample_rate": 8000, "channels": 1}
    texts: list[dict[str, object]] = [
        {"event": "connected", "version": "1.0.0"},
        {"event": "start", "sequence_number": "1", "stream_id": "s", "start": {**call, "media_format": media_format}},
    ]
    begin = time.monotonic()
    until = begin + MEDIA_FRAMES * 0.02 + (options.idle or 1.5)
    sent = 0
    kinds: dict[str, int] = {}
    stream.settimeout(0.01)
    for text in texts:
        stream.sendall(masked(1, json.dumps(text).encode()))
    while time.monotonic() < until:
        if sent < MEDIA_FRAMES and time.monotonic() >= begin + sent * 0.02:
            sent += 1
            payload = base64.b64encode(bytes(tone(sent))).decode()
            body = {"track": "inbound", "chunk": str(sent), "timestamp": str(sent * 20), "payload": payload}
            frame = {"event": "media", "sequence_number": str(sent + 1), "stream_id": "s", "media": body}
            with contextlib.suppress(OSError):
                stream.sendall(masked(1, json.dumps(frame).encode()))
        while (cut := split(received)) is not None:
            first, flags, content, received = cut
            if first & 0x0F == 9:
                stream.sendall(masked(10, content))
            if first & 0x0F == 8:
                code = struct.unpack(">H", content[:2])[0] if len(content) >= 2 else None
                show(f"close {code} {content[2:]!r} at {time.monotonic() - begin:.1f} s")
            kind = f"{first:02x}{'m' if flags & 0x80 else ''}"
            if not kinds.get(kind):
                show(f"first {kind} frame at {time.monotonic() - begin:.2f} s: {len(content)} bytes {content[:110]!r}")
            kinds[kind] = kinds.get(kind, 0) + 1
        try:
            chunk = stream.recv(65536)
        except TimeoutError:
            continue
        except OSError as error:
            show(f"{error!r} at {time.monotonic() - begin:.1f} s")
            break
        if not chunk:
            show(f"end of stream at {time.monotonic() - begin:.1f} s")
            break
        received += chunk
    show(f"sent {sent} frames, got {kinds} in {time.monotonic() - begin:.1f} s")


def tone(number: int) -> Iterator[int]:
    """20 ms of 400 Hz, roughly mu-law; what matters is that it is not silence."""
    for at in range(160):
        level = math.sin(2 * math.pi * 400 * (number * 160 + at) / 8000)
        yield (0x80 if level >= 0 else 0x00) | int(0x3F * (1 - abs(level)) + 0x10)


def masked(opcode: int, payload: bytes) -> bytes:
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    key = os.urandom(4)
    return bytes([0x80 | opcode]) + size + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def split(received: bytes) -> tuple[int, int, bytes, bytes] | None:
    """The first frame of what has come, or None while it is not whole."""
    if len(received) < 2:
        return None
    first, flags = received[0], received[1]
    size, at = flags & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(received) < 2 + width:
            return None
        size, at = int.from_bytes(received[2 : 2 + width]), 2 + width
    at += 4 if flags & 0x80 else 0
    if len(received) < at + size:
        return None
    return first, flags, received[at : at + size], received[at + size :]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--ca")
    parser.add_argument("--resolve", action="append", default=[])
    parser.add_argument("--resolver")
    parser.add_argument("--idle", type=float)
    parser.add_argument("--token")
    parser.add_argument("--codec", default="PCMU")
    known, _ = parser.parse_known_args()
    look(known.url, known)


if __name__ == "__main__":
    main()
