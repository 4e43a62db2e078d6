"""One connection, plain or TLS, with the first bytes of the peer kept.

TLS runs over memory buffers, not inside asyncio's transport, so that a failed handshake still shows what the peer
really sent: an alert, plain HTTP, or nothing.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from urllib.parse import unquote, urlsplit

READ_BYTES = 65_536
PROXY_HEAD_BYTES_MAX = 16_384
USER_AGENT = "callpath-doctor"
"""Part of the User-Agent of every request that the doctor sends."""
SEND_MS_MAX = 3000.0
"""How long one send may wait for a peer that does not read."""
FIRST_BYTES_MAX = 16_384
"""Room for a whole TLS 1.2 flight with its certificates (a record is at most 16 KiB, RFC 8446 5.1)."""


class ProxyRefused(ConnectionError):  # noqa: N818 (what the proxy did)
    """The HTTP proxy did not open a connection."""


class PeerStoppedReading(OSError):  # noqa: N818 (an observation about the peer)
    """The peer took no bytes for SEND_MS_MAX: its receive buffer and ours are full."""


class Channel:
    """A connection to one address. Bytes out with `send`, in with `receive` (b"" at the end).

    Raises OSError when the peer resets, PeerStoppedReading when it takes no more bytes, ssl.SSLError when TLS breaks.
    Sends are bounded; bound every other call with `asyncio.timeout`.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.first_bytes = b""
        self.received = 0

    @property
    def tls(self) -> ssl.SSLObject | None:
        return self._tls

    async def start_tls(self, context: ssl.SSLContext, server_name: str | None) -> None:
        """Shake hands. After an error `first_bytes` holds what the peer had sent."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=False, server_hostname=server_name)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    await self._flush()  # our alert, so that the server's log says why
                raise
            else:
                break
        await self._flush()
        self._tls = tls

    async def send(self, content: bytes) -> None:
        if self._tls is None:
            self._writer.write(content)
            await self._drain()
        else:
            self._tls.write(content)
            await self._flush()

    async def receive(self) -> bytes:
        """Some bytes, or b"" when the peer has ended its side."""
        if self._tls is None:
            return await self._read()
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def end(self) -> None:
        """Tell the peer that nothing more comes, and drop the connection at once."""
        with contextlib.suppress(OSError, ssl.SSLError):
            if self._tls is not None:
                with contextlib.suppress(ssl.SSLWantReadError):
                    self._tls.unwrap()
                await self._flush()
            self._writer.close()
        self._writer.transport.abort()

    def abort(self) -> None:
        """Drop the connection without a word."""
        self._writer.transport.abort()

    async def _feed(self) -> None:
        content = await self._read()
        if content:
            self._incoming.write(content)
        else:
            self._incoming.write_eof()

    async def _read(self) -> bytes:
        content = await self._reader.read(READ_BYTES)
        self.received += len(content)
        room = FIRST_BYTES_MAX - len(self.first_bytes)
        if room > 0:
            self.first_bytes += content[:room]
        return content

    async def _flush(self) -> None:
        pending = self._outgoing.read()
        if pending:
            self._writer.write(pending)
            await self._drain()

    async def _drain(self) -> None:
        """Wait until the peer has taken enough of what was written."""
        try:
            async with asyncio.timeout(SEND_MS_MAX / 1000) as limit:
                await self._writer.drain()
        except TimeoutError:
            if not limit.expired():
                raise
            raise PeerStoppedReading(f"the peer read nothing for {SEND_MS_MAX / 1000:.0f} s") from None


async def open_channel(address: str, port: int) -> Channel:
    """Connect. Raises OSError; bound it with `asyncio.timeout`."""
    reader, writer = await asyncio.open_connection(address, port, limit=READ_BYTES)
    return Channel(reader, writer)


async def connect(proxy: str | None, address: str, port: int) -> Channel:
    """Connect to `address`, or have an HTTP proxy do it. Raises OSError; bound it with `asyncio.timeout`."""
    if proxy is None:
        return await open_channel(address, port)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if not parts.hostname or parts.scheme != "http":
        raise ProxyRefused(
            f"only proxies of the form http://HOST:PORT are used, this is {parts.scheme}://{parts.hostname}"
        )
    channel = await open_channel(parts.hostname, parts.port or 80)
    try:
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", f"User-Agent: {USER_AGENT}"]
        if parts.username:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
        await channel.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < PROXY_HEAD_BYTES_MAX:
            content = await channel.receive()
            if not content:
                break
            answer += content
        status = answer.split(b"\r\n")[0].decode("latin-1")
        if not status.startswith("HTTP/1.") or status.split(" ")[1:2] != ["200"]:
            raise ProxyRefused(f"the proxy answers {status!r}")
        channel.first_bytes, channel.received = b"", 0
        return channel
    except BaseException:
        channel.abort()
        raise


class Contexts:
    """TLS contexts of one examination: reading the roots takes longer than a handshake, so each kind is made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str | None, bool, tuple[str, ...]], ssl.SSLContext] = {}

    def get(self, *, ca_file: str | None, verify: bool, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
        """As `client_context` makes it. Not to be changed: it is shared."""
        kind = (ca_file, verify, alpn)
        if kind not in self._made:
            self._made[kind] = client_context(ca_file=ca_file, verify=verify, alpn=alpn)
        return self._made[kind]


def client_context(
    *, ca_file: str | None = None, verify: bool = True, alpn: tuple[str, ...] = ("http/1.1",)
) -> ssl.SSLContext:
    """TLS as the carrier speaks it: the system's roots (and `ca_file`), TLS 1.2 or newer, HTTP/1.1 alone in ALPN."""
    # Without verification the system's roots are not needed, and reading them takes 20 ms.
    context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file is not None and verify:
        context.load_verify_locations(cafile=ca_file)
    if hasattr(ssl, "VERIFY_X509_STRICT"):
        # Python 3.13 turned this on; carriers do not check RFC 5280 to the letter, and 3.11 to 3.14 must agree.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # A name in the subject alone counts for nothing since RFC 6125; most clients but OpenSSL's own stopped reading it.
    context.hostname_checks_common_name = False
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
