"""The HTTP/1.1 upgrade by hand, so that every byte of a bad answer is kept; further shapes where the carrier's failed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote, unquote

from callpath.clock import Clock
from callpath.doctor.facts import Exchange, OtherSchemeFacts, TcpFacts, TlsFacts, UpgradeFacts, UrlFacts
from callpath.doctor.probes.channel import USER_AGENT, Channel, client_context, open_channel
from callpath.doctor.probes.tls import SILENCE_MS, proxy_header, ssl_reason
from callpath.doctor.request import Request
from callpath.wire.media import AUTH_TOKEN_HEADER

HEAD_BYTES_MAX = 65_536
BODY_BYTES_MAX = 16_384
BODY_WAIT_MS = 700.0
"""A body that dribbles in is not worth more: its beginning names its author."""
SLOW_MS = 1000.0
SHAPES_AT_ONCE = 8
"""Few enough not to look like an attack to a rate limiter."""
BROWSER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 "
    + USER_AGENT
)
"""Begins as a browser's does and still names the doctor, so that logs can be read without its requests."""
_ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # RFC 9113 3.4, empty SETTINGS
TELNYX_ADDRESS = "192.76.120.130"
"""Inside the ranges Telnyx lists for webhooks and streams. Only ever sent in a header, as a forwarder would."""
MADE_UP_PATH = "/callpath-doctor-made-up-path"
OTHER_PATHS = (
    "/", "/ws", "/media", "/media-stream", "/stream", "/audio", "/socket", "/websocket", "/streams", "/telnyx",
    "/inbound-media-stream", "/api/media-stream", "/api/stream", "/api/ws", "/ws/media", "/api/calls/audio",
    "/api/calls/media-stream", "/api/audio", "/call-stream", "/calls", "/voice", "/ws/audio", "/media/stream", "/twilio",
    "/realtime", "/api/voice", "/voice/stream", "/call", "/telnyx/media", "/telnyx/stream", "/api/telnyx/media",
)  # fmt: skip
"""Where the projects read for failures.md serve their stream."""
ID_NAMES = (
    "id", "callId", "call_id", "sessionId", "session_id", "callSessionId", "call_session_id", "callControlId",
    "call_control_id", "sid", "uuid", "streamId", "stream_id", "call", "callSid", "call_sid", "session", "callid",
    "sessionid", "token", "name", "key", "callUuid", "call_uuid", "ID", "sessionID", "callID",
)  # fmt: skip
"""What people call the varying part of the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One request. The defaults are the carrier's: an upgrade with no Origin, no extension, no subprotocol."""

    name: str
    target: str | None = None
    method: str = "GET"
    upgrade: bool = True
    user_agent: str = USER_AGENT
    origin: str | None = None
    host: str | None = None
    token: bool = True
    extensions: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    alpn: tuple[str, ...] = ("http/1.1",)
    before: bytes = b""
    address: str | None = None
    connection: str = "Upgrade"


CARRIER = Shape(name="carrier")


class Door:
    """Opens connections to one endpoint, the way the examination found that they can be opened."""

    def __init__(self, request: Request, url: UrlFacts, tcp: TcpFacts, tls: TlsFacts | None, clock: Clock) -> None:
        self.request = request
        self.url = url
        self.clock = clock
        good = [a.address for a in tls.attempts if a.outcome == "ok"] if tls is not None else []
        self.addresses = good or [attempt.address for attempt in tcp.open]
        self._verify = tls is None or tls.carrier.outcome == "ok"
        self._contexts: dict[tuple[bool, tuple[str, ...]], ssl.SSLContext] = {}

    def trusting(self) -> None:
        """Go on with any certificate: to learn whether TLS is spoken at all."""
        self._verify = False

    async def open(self, shape: Shape = CARRIER) -> Channel:
        """A connection, with TLS where the URL asks for it. Raises OSError, ssl.SSLError, TimeoutError."""
        async with asyncio.timeout(self.request.timeout_ms / 1000):
            channel = await open_channel(shape.address or self.addresses[0], self.url.port)
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
        """Reading the system's roots takes longer than a handshake: once for each kind."""
        verify = self._verify and not self.request.insecure
        if (verify, alpn) not in self._contexts:
            self._contexts[verify, alpn] = client_context(ca_file=self.request.ca_file, verify=verify, alpn=alpn)
        return self._contexts[verify, alpn]

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
        raw = b""
        try:
            channel = await self.open(shape)
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
    """What else the endpoint says: to a browser, to a plain GET, on other paths, over HTTP/2, to silence."""
    # Where answers do not come at all, waiting in a queue for more of them would take minutes.
    gate = asyncio.Semaphore(SHAPES_AT_ONCE if carrier.outcome != "timeout" else 10 * SHAPES_AT_ONCE)

    # A server that hangs on each of them must not make the whole take minutes.
    deadline_ms = door.clock.now_ms() + 2 * timeout_ms

    async def ask(shape: Shape) -> Exchange:
        async with gate:
            left_ms = deadline_ms - door.clock.now_ms()
            if left_ms <= 0:
                return Exchange(shape=shape.name, outcome="no-connection", error="not asked: time was up")
            return await ask_and_close(door, shape, min(timeout_ms, left_ms))

    async with asyncio.TaskGroup() as tasks:
        silent = tasks.create_task(_keep_silent(door, carrier))
        h2 = tasks.create_task(_ask_h2(door))
        asked = [tasks.create_task(ask(shape)) for shape in _shapes(door, carrier)]
    fate, content = silent.result()
    return UpgradeFacts(
        carrier=carrier,
        shapes=tuple(task.result() for task in asked) + h2.result(),
        silent=fate,
        silent_bytes=content,
    )


async def probe_identity(door: Door, carrier: Exchange, timeout_ms: float) -> UpgradeFacts:
    """The upgrade worked and the stream did not last: two plain requests show what software that is."""
    shapes = (
        Shape(name="made-up-path-plain", target=MADE_UP_PATH, upgrade=False),
        Shape(name="root-plain", target="/", upgrade=False),
    )
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask_and_close(door, shape, timeout_ms)) for shape in shapes]
    return UpgradeFacts(carrier=carrier, shapes=tuple(task.result() for task in asked))


def _shapes(door: Door, carrier: Exchange) -> Iterable[Shape]:
    url = door.url
    origin = f"{'https' if url.secure else 'http'}://{url.authority}"
    yield Shape(name="again")
    yield Shape(name="plain", upgrade=False)
    yield Shape(name="origin", origin=origin)
    yield Shape(
        name="browser",
        origin=origin,
        user_agent=BROWSER_AGENT,
        extensions="permessage-deflate; client_max_window_bits",
        connection="keep-alive, Upgrade",
        extra=(("Accept-Language", "en"), ("Cache-Control", "no-cache"), ("Pragma", "no-cache")),
    )
    yield Shape(name="browser-agent", user_agent=BROWSER_AGENT)
    yield Shape(name="made-up-path", target=MADE_UP_PATH)
    yield Shape(name="made-up-path-plain", target=MADE_UP_PATH, upgrade=False)
    yield Shape(name="root-plain", target="/", upgrade=False)
    yield Shape(name="socket.io", target="/socket.io/?EIO=4&transport=websocket")
    yield Shape(name="post", method="POST", upgrade=False)
    yield Shape(name="forwarded-carrier", extra=(("X-Forwarded-For", TELNYX_ADDRESS), ("X-Real-IP", TELNYX_ADDRESS)))
    yield Shape(name="proxy-header", before=proxy_header(door.addresses[0], url.port))
    if url.token_given:
        yield Shape(name="no-token", token=False)
    if url.query:
        yield Shape(name="no-query", target=url.path)
    for name, target in _path_variants(url.path):
        yield Shape(name=f"path:{name}", target=target + (f"?{url.query}" if url.query else ""))
    if carrier.status in {400, 403, 404, 421, 502, 503} or carrier.outcome != "answer":
        for host in ("localhost", "127.0.0.1"):
            yield Shape(name=f"host:{host}", host=host)
    if carrier.status in {301, 302, 307, 308}:
        yield Shape(name="forwarded-https", extra=(("X-Forwarded-Proto", "https"),))
    # Where each answer takes long, only what was asked above is worth the wait.
    others = (*OTHER_PATHS, *_other_spellings(url.path)) if carrier.ms < SLOW_MS else OTHER_PATHS[:6]
    for path in dict.fromkeys(others):
        if path != url.path:
            yield Shape(name=f"other:{path}", target=path)
    if carrier.status == 400:
        for target in dict.fromkeys(_patterns(url.path)):
            yield Shape(name=f"pattern:{target}", target=target)


def _path_variants(path: str) -> Iterable[tuple[str, str]]:
    """The same path as another hand would have written it."""
    collapsed = path
    while "//" in collapsed:
        collapsed = collapsed.replace("//", "/")
    variants = [
        ("slash", path.rstrip("/") if path.endswith("/") and len(path) > 1 else path + "/"),
        ("single-slashes", collapsed),
        ("single-slashes-no-trailing", collapsed.rstrip("/") or "/"),
        ("lower-case", path.lower()),
        ("encoded", "/".join(quote(unquote(part), safe="") for part in path.split("/"))),
        ("encoded-whole", _encoded_whole(path)),
        ("decoded", quote(unquote(path), safe="/:+=@,;!$&'()*~")),
        ("no-prefix", "/" + path.strip("/").partition("/")[2]),
        ("api-prefix", path.removeprefix("/api") if path.startswith("/api/") else "/api" + path),
    ]
    seen = {path, "/"}
    for name, target in variants:
        if target not in seen:
            seen.add(target)
            yield name, target


def _other_spellings(path: str) -> Iterable[str]:
    """Where the same stream may be served under another name: `/api/calls/ID/audio` as `/api/calls/ID/media`."""
    parts = path.strip("/").split("/")
    if len(parts) < 2:
        return
    identity = parts[-2]
    for last in ("media", "stream", "ws", "media-stream"):
        yield "/" + "/".join([*parts[:-1], last])
    yield "/" + "/".join(parts[:-1])
    yield "/" + "/".join([*parts[:-2], parts[-1]])
    for first in ("ws", "stream", "media", "media-stream", "audio", "call", "api/call", "api/stream"):
        yield f"/{first}/{identity}"
        yield f"/{first}/{identity}/{parts[-1]}"


def _encoded_whole(path: str) -> str:
    """An id may contain slashes: everything from its first odd character's part to the last one's, as one part."""
    parts = path.split("/")
    odd = [index for index, part in enumerate(parts) if any(c in ":+=" for c in part)]
    if not odd:
        return path
    whole = quote(unquote("/".join(parts[odd[0] : odd[-1] + 1])), safe="")
    return "/".join([*parts[: odd[0]], whole, *parts[odd[-1] + 1 :]])


def _patterns(path: str) -> Iterable[str]:
    """The path with its varying part written as a router's pattern: a server that takes patterns literally
    answers to them."""
    parts = path.strip("/").split("/")
    spots = [index for index, part in enumerate(parts) if any(c.isdigit() or c in "-_%:" for c in part)]
    if not spots and len(parts) >= 3:
        spots = [len(parts) - 2]
    for spot in spots[-1:]:
        for name in ID_NAMES:
            yield "/" + "/".join([*parts[:spot], f":{name}", *parts[spot + 1 :]])
        for name in ("*", "{id}", "{call_session_id}", "(.*)"):
            yield "/" + "/".join([*parts[:spot], name, *parts[spot + 1 :]])
    if len(parts) > 1:
        yield f"/{parts[0]}/*"


async def _keep_silent(door: Door, carrier: Exchange) -> tuple[Literal["", "open", "eof", "reset", "spoke"], bytes]:
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
        async with asyncio.timeout(SILENCE_MS / 1000):
            content = await channel.receive()
    except TimeoutError:
        return "open", b""
    except (OSError, ssl.SSLError):
        return "reset", b""
    finally:
        channel.abort()
    return ("spoke", content[:512]) if content else ("eof", b"")


async def _ask_h2(door: Door) -> tuple[Exchange, ...]:
    """A GET over HTTP/2. That SETTINGS come proves little (a proxy may speak both): an answer to a request does."""
    shape = Shape(name="h2", alpn=("h2",) if door.url.secure else ())
    started_ms = door.clock.now_ms()
    try:
        channel = await door.open(shape)
    except (OSError, ssl.SSLError, TimeoutError):
        return ()
    content = b""
    answered = False
    try:
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
    return (
        Exchange(
            shape="h2",
            target=door.url.target,
            outcome="answer" if answered else "malformed" if content else "eof",
            version="2" if answered else "",
            raw=content[:256],
            ms=door.clock.now_ms() - started_ms,
        ),
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
        other.trusting()
        exchange = await ask_and_close(other, Shape(name="as wss"), timeout_ms)
        if exchange.outcome != "no-connection":
            found = OtherSchemeFacts(tls_on_port=port == door.url.port, tls_on_443=port == 443, exchange=exchange)
            break
    return found
