"""The HTTP/1.1 upgrade by hand, so that every byte of a bad answer is kept; further shapes where the carrier's failed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

from callpath.clock import Clock
from callpath.doctor.facts import (
    Exchange,
    OtherSchemeFacts,
    TcpFacts,
    TlsFacts,
    TrafficFacts,
    UpgradeFacts,
    UrlFacts,
)
from callpath.doctor.probes import shapes as shapes_of
from callpath.doctor.probes.channel import Channel, Contexts, connect
from callpath.doctor.probes.shapes import CARRIER, Shape
from callpath.doctor.probes.tls import SILENCE_MS, mozilla_context, ssl_reason
from callpath.doctor.request import Request
from callpath.wire.media import AUTH_TOKEN_HEADER

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 16_384
BODY_WAIT_MS = 700.0
"""A body that dribbles in is not worth more: its beginning names its author."""
SHAPES_AT_ONCE = 8
"""Few enough not to look like an attack to a rate limiter."""
FIRST_ROUND = 4
"""How many differing requests go out before their answers decide what else is asked."""
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # RFC 9113 3.4, empty SETTINGS


class Door:
    """Opens connections to one endpoint, the way the examination found that they can be opened."""

    def __init__(
        self,
        request: Request,
        url: UrlFacts,
        tcp: TcpFacts,
        tls: TlsFacts | None,
        clock: Clock,
        contexts: Contexts | None = None,
    ) -> None:
        self.request = request
        self.url = url
        self.clock = clock
        good = [a.address for a in tls.attempts if a.outcome == "ok"] if tls is not None else []
        self.addresses = good or [attempt.address for attempt in tcp.open]
        self._verify = tls is None or tls.carrier.outcome == "ok"
        self._mozilla = tls is not None and bool(tls.system_rejects)
        self._contexts = contexts or Contexts()
        self._by_mozilla: dict[tuple[str, ...], ssl.SSLContext] = {}
        self.sent = 0
        self.connections = 0
        self.limited_at = 0
        self.left_out: tuple[str, ...] = ()
        """Names of requests that only --thorough sends."""

    @property
    def room(self) -> int:
        """How many requests the budget still allows."""
        return max(0, self.request.requests_max - self.sent)

    def count(self) -> int:
        """Note that one request is sent, and return its number."""
        self.sent += 1
        return self.sent

    def facts(self) -> TrafficFacts:
        """What was sent so far."""
        return TrafficFacts(
            requests=self.sent,
            requests_max=self.request.requests_max,
            connections=self.connections,
            left_out=self.left_out,
            limited_at=self.limited_at,
        )

    def trusting(self) -> None:
        """Go on with any certificate: to learn whether TLS is spoken at all."""
        self._verify = False

    async def open(self, shape: Shape = CARRIER) -> Channel:
        """A connection, with TLS where the URL asks for it. Raises OSError, ssl.SSLError, TimeoutError."""
        async with asyncio.timeout(self.request.timeout_ms / 1000):
            self.connections += 1
            channel = await connect(self.request.via, shape.address or self.addresses[0], self.url.port)
            try:
                if shape.before:
                    await channel.send(shape.before)
                if self.url.secure:
                    await channel.start_tls(self._context(shape.alpn), self.url.host)
            except BaseException:
                channel.abort()
                raise
        return channel

    def _context(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        verify = self._verify and not self.request.insecure
        if verify and self._mozilla:
            return self._by_mozilla.setdefault(alpn, mozilla_context(alpn=alpn))
        return self._contexts.get(ca_file=self.request.ca_file, verify=verify, alpn=alpn)

    def head(self, shape: Shape, key: str) -> bytes:
        """The request's bytes."""
        lines = [
            f"{shape.method} {shape.target or self.url.target} HTTP/1.1",
            f"Host: {shape.host or self.url.authority}",
        ]
        if shape.upgrade:
            lines += [
                "Upgrade: websocket",
                f"Connection: {shape.connection}",
                f"Sec-WebSocket-Key: {key}",
                "Sec-WebSocket-Version: 13",
            ]
        else:
            lines += ["Accept: */*", "Connection: close"]
        if shape.extensions is not None:
            lines.append(f"Sec-WebSocket-Extensions: {shape.extensions}")
        if shape.origin is not None:
            lines.append(f"Origin: {shape.origin}")
        lines.append(f"User-Agent: {shape.user_agent}")
        if shape.token and self.request.token is not None:
            lines.append(f"{AUTH_TOKEN_HEADER}: {self.request.token}")
        lines += [f"{name}: {value}" for name, value in shape.extra]
        if shape.method == "POST":
            lines.append("Content-Length: 0")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")

    async def ask(self, shape: Shape, timeout_ms: float) -> tuple[Exchange, Channel | None, bytes]:
        """One exchange. After a 101 the channel stays open and is yours, with the bytes that followed the head."""
        opened: list[Channel] = []
        try:
            return await self._ask(shape, timeout_ms, opened)
        except BaseException:
            for channel in opened:
                channel.abort()
            raise

    async def _ask(
        self, shape: Shape, timeout_ms: float, opened: list[Channel]
    ) -> tuple[Exchange, Channel | None, bytes]:
        started_ms = self.clock.now_ms()
        key = base64.b64encode(hashlib.sha256(f"{shape.name}{started_ms}".encode()).digest()[:16]).decode()
        asked = Exchange(
            shape=shape.name,
            address=shape.address or self.addresses[0],
            method=shape.method,
            target=shape.target or self.url.target,
            key=key,
        )
        channel: Channel | None = None
        number = 0
        raw = b""
        try:
            channel = await self.open(shape)
            opened.append(channel)
            number = self.count()
            async with asyncio.timeout(timeout_ms / 1000):
                await channel.send(self.head(shape, key))
                while (end := _head_end(raw)) < 0 and len(raw) < HEAD_BYTES_MAX and not _hopeless(raw):
                    content = await channel.receive()
                    if not content:
                        break
                    raw += content
                    raw = _skip_interim(raw)
        except TimeoutError:
            outcome: Literal["timeout", "no-connection"] = "timeout" if channel is not None else "no-connection"
            return self._closed(channel, replace(asked, outcome=outcome, raw=raw[:4096], ms=self._since(started_ms)))
        except (OSError, ssl.SSLError) as error:
            reason = ssl_reason(error) if isinstance(error, ssl.SSLError) else type(error).__name__
            end = _head_end(raw)
            if end < 0:
                broken: Literal["reset", "no-connection"] = "reset" if channel is not None else "no-connection"
                return self._closed(
                    channel,
                    replace(asked, outcome=broken, error=str(reason), raw=raw[:4096], ms=self._since(started_ms)),
                )
        assert channel is not None
        ms = self._since(started_ms)
        if not raw:
            return self._closed(channel, replace(asked, outcome="eof", ms=ms))
        if end < 0:
            return self._closed(channel, replace(asked, outcome="malformed", raw=raw[:4096], ms=ms))
        answer = _parse_head(replace(asked, ms=ms, raw=raw[:4096]), raw[:end])
        rest = raw[end:]
        if answer.outcome == "answer" and answer.status == 101:
            expected = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT_SUFFIX).digest()).decode()  # noqa: S324
            return replace(answer, accept_ok=answer.header("sec-websocket-accept") == expected), channel, rest
        if answer.status == 429:
            self.limited_at = min(self.limited_at or number, number)
        body = await _read_body(channel, answer, rest)
        return self._closed(channel, replace(answer, body=body[:BODY_BYTES_MAX]))

    def _since(self, started_ms: float) -> float:
        return self.clock.now_ms() - started_ms

    @staticmethod
    def _closed(channel: Channel | None, exchange: Exchange) -> tuple[Exchange, None, bytes]:
        if channel is not None:
            channel.abort()
        return exchange, None, b""


async def ask_and_close(door: Door, shape: Shape, timeout_ms: float) -> Exchange:
    """One exchange whose connection is not used any further."""
    exchange, channel, _ = await door.ask(shape, timeout_ms)
    if channel is not None:
        with contextlib.suppress(OSError, ssl.SSLError):
            await channel.send(b"\x88\x82\x00\x00\x00\x00\x03\xe8")  # a masked close frame, code 1000
        channel.abort()
    return exchange


async def probe_shapes(door: Door, carrier: Exchange, timeout_ms: float) -> UpgradeFacts:
    """What else the endpoint says, within the request budget.

    The same request comes first, alone: where that works, or hits a rate limit that the first one did not, nothing else
    is asked, since other requests could only mislead.
    """
    # A server that hangs on each of them must not make the whole take minutes.
    deadline_ms = door.clock.now_ms() + 2 * timeout_ms
    seen: dict[str, Exchange] = {}

    async def ask(shapes: Iterable[Shape], keep: int) -> None:
        fresh = [shape for shape in {s.name: s for s in shapes}.values() if shape.name not in seen]
        fresh = fresh[: max(0, door.room - keep)]
        left_ms = min(timeout_ms, deadline_ms - door.clock.now_ms())
        if left_ms <= 0 or door.limited_at:
            return
        gate = asyncio.Semaphore(SHAPES_AT_ONCE if carrier.outcome != "timeout" else 10 * SHAPES_AT_ONCE)

        async def one(shape: Shape) -> Exchange | None:
            async with gate:
                return await _ask_h2(door, shape) if shape.http2 else await ask_and_close(door, shape, left_ms)

        async with asyncio.TaskGroup() as tasks:
            asked = {shape.name: tasks.create_task(one(shape)) for shape in fresh}
        seen.update({name: exchange for name, task in asked.items() if (exchange := task.result()) is not None})

    async with asyncio.TaskGroup() as tasks:
        silent = tasks.create_task(_keep_silent(door, carrier, min(SILENCE_MS, timeout_ms)))
        refusal = list(shapes_of.after_refusal(door.url, carrier))
        if carrier.outcome == "timeout":
            # One wait for all of them: a server that hangs would make each round as long.
            await ask([shapes_of.AGAIN, *refusal], shapes_of.LATE_TRIES)
        else:
            await ask([shapes_of.AGAIN], 0)
        again = seen.get("again")
        if again is None or not again.upgraded:
            if door.request.thorough:
                await ask(shapes_of.all_shapes(door.url, door.addresses[0], carrier), shapes_of.LATE_TRIES)
            else:
                await ask(refusal[:FIRST_ROUND], shapes_of.LATE_TRIES)
                await ask(shapes_of.to_narrow_down(door.url, seen), shapes_of.LATE_TRIES)
                if not any(exchange.upgraded for exchange in seen.values()):
                    await ask(refusal, shapes_of.LATE_TRIES)
    fate, content = silent.result()
    door.left_out = shapes_of.only_thorough(door.url, door.addresses[0], carrier, seen)
    return UpgradeFacts(carrier=carrier, shapes=tuple(seen.values()), silent=fate, silent_bytes=content)


async def probe_identity(door: Door, carrier: Exchange, timeout_ms: float) -> UpgradeFacts:
    """The upgrade worked and the stream did not last: does a path that nobody serves upgrade, too, and which software is
    it?"""
    shapes = (shapes_of.sibling_of(door.url), shapes_of.MADE_UP_PLAIN, shapes_of.ROOT_PLAIN)[: door.room]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask_and_close(door, shape, timeout_ms)) for shape in shapes]
    return UpgradeFacts(carrier=carrier, shapes=tuple(task.result() for task in asked))


async def _keep_silent(
    door: Door, carrier: Exchange, silence_ms: float
) -> tuple[Literal["", "open", "eof", "reset", "spoke"], bytes]:
    """Connect (TLS included) and say nothing for a while.

    Only where silence can tell something: the carrier was cut off or left waiting, or what answered may be about to
    wake up (a platform's 404 or 502), which the try after this wait will see.
    """
    if carrier.outcome == "answer" and carrier.status not in {404, 502, 503}:
        return "", b""
    try:
        channel = await door.open()
    except (OSError, ssl.SSLError, TimeoutError):
        return "", b""
    try:
        async with asyncio.timeout(silence_ms / 1000):
            content = await channel.receive()
    except TimeoutError:
        return "open", b""
    except (OSError, ssl.SSLError):
        return "reset", b""
    finally:
        channel.abort()
    return ("spoke", content[:512]) if content else ("eof", b"")


async def _ask_h2(door: Door, shape: Shape) -> Exchange | None:
    """A GET over HTTP/2. That SETTINGS come proves little (a proxy may speak both): an answer to a request does.

    Over TLS it is sent only where the server chose h2 in the handshake, or with --thorough.
    """
    started_ms = door.clock.now_ms()
    try:
        channel = await door.open(shape)
    except (OSError, ssl.SSLError, TimeoutError):
        return None
    content = b""
    answered = False
    try:
        chosen = channel.tls is None or channel.tls.selected_alpn_protocol() == "h2"
        if not chosen and not door.request.thorough:
            return None
        door.count()
        async with asyncio.timeout(1.5):
            await channel.send(_H2_PREFACE + _h2_get(door.url))
            while not answered:
                more = await channel.receive()
                if not more:
                    break
                content += more
                answered = _has_headers(content)
    except (OSError, ssl.SSLError, TimeoutError):
        pass
    finally:
        channel.abort()
    return Exchange(
        shape="h2",
        target=door.url.target,
        outcome="answer" if answered else "malformed" if content else "eof",
        version="2" if answered else "",
        raw=content[:256],
        ms=door.clock.now_ms() - started_ms,
    )


def _h2_get(url: UrlFacts) -> bytes:
    """HEADERS of a GET on stream 1, with indexed and plain literal fields (RFC 7541 6.1, 6.2.2)."""
    authority, path = url.authority.encode()[:120], url.target.encode()[:120]
    block = b"\x82" + (b"\x87" if url.secure else b"\x86")  # :method GET, :scheme https or http
    block += b"\x01" + bytes([len(authority)]) + authority + b"\x04" + bytes([len(path)]) + path
    return len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + block  # END_STREAM, END_HEADERS


def _has_headers(content: bytes) -> bool:
    """Whether a HEADERS frame (type 1) for our stream is among these frames."""
    at = 0
    while at + 9 <= len(content):
        if content[at + 3] == 1 and content[at + 5 : at + 9] == b"\x00\x00\x00\x01":
            return True
        at += 9 + int.from_bytes(content[at : at + 3], "big")
    return False


# --- reading an answer -----------------------------------------------------------------------------------------------


def _head_end(raw: bytes) -> int:
    """Where the head ends (after the empty line), or -1."""
    for mark in (b"\r\n\r\n", b"\n\n"):
        at = raw.find(mark)
        if at >= 0:
            return at + len(mark)
    return -1


def _hopeless(raw: bytes) -> bool:
    """Bytes that no HTTP/1 answer begins with."""
    return len(raw) >= 5 and not raw.startswith(b"HTTP/")


def _skip_interim(raw: bytes) -> bytes:
    """Without 100 Continue and 103 Early Hints, which may stand before any answer."""
    while raw.startswith((b"HTTP/1.1 100", b"HTTP/1.1 102", b"HTTP/1.1 103")):
        end = _head_end(raw)
        if end < 0:
            break
        raw = raw[end:]
    return raw


def _parse_head(asked: Exchange, head: bytes) -> Exchange:
    lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    words = lines[0].split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/") or not (words[1].isdigit() and len(words[1]) == 3):
        return replace(asked, outcome="malformed")
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers.append((name.strip(), value.strip()))
    return replace(
        asked,
        outcome="answer",
        version=words[0][5:],
        status=int(words[1]),
        reason=words[2] if len(words) > 2 else "",
        headers=tuple(headers),
    )


async def _read_body(channel: Channel, answer: Exchange, rest: bytes) -> bytes:
    """The beginning of the body: as long as Content-Length says, to the last chunk, or what comes within the wait."""
    wanted = BODY_BYTES_MAX
    length = answer.header("content-length") or ""
    if length.isdigit():
        wanted = min(wanted, int(length))
    elif answer.status in {204, 304}:
        wanted = 0
    chunked = answer.has("transfer-encoding", "chunked")
    try:
        async with asyncio.timeout(BODY_WAIT_MS / 1000):
            while len(rest) < wanted and not (chunked and rest.endswith(b"0\r\n\r\n")):
                content = await channel.receive()
                if not content:
                    break
                rest += content
    except (OSError, ssl.SSLError, TimeoutError):
        pass
    return _dechunk(rest) if chunked else rest[:wanted]


def _dechunk(content: bytes) -> bytes:
    body = b""
    while content:
        line, found, content = content.partition(b"\r\n")
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            break
        if not found or size == 0:
            break
        body += content[:size]
        content = content[size + 2 :]
    return body


# --- the other scheme ------------------------------------------------------------------------------------------------


async def probe_other_scheme(door: Door, timeout_ms: float) -> OtherSchemeFacts:
    """The same URL as wss: on the same port, and on 443 where no port was given."""
    ports = [door.url.port] if door.url.port_given else [door.url.port, 443]
    found = OtherSchemeFacts()
    for port in ports:
        url = replace(door.url, scheme="wss", port=port)
        other = Door(door.request, url, TcpFacts(attempts=()), None, door.clock)
        other.addresses = door.addresses
        other.sent = door.sent
        other.trusting()
        if not other.room:
            break
        exchange = await ask_and_close(other, Shape(name="as wss"), timeout_ms)
        door.sent = other.sent
        if exchange.outcome != "no-connection":
            found = OtherSchemeFacts(tls_on_port=port == door.url.port, tls_on_443=port == 443, exchange=exchange)
            break
    return found
