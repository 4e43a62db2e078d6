"""Facts as short literals, for the examples of the rules."""

from __future__ import annotations

from typing import Any

from callpath.doctor.facts import (
    Certificate,
    ControlFacts,
    DnsFacts,
    DnsQuery,
    Ending,
    Exchange,
    Facts,
    Hold,
    IdleFacts,
    MediaFacts,
    RepeatFacts,
    TcpAttempt,
    TcpFacts,
    TlsAttempt,
    TlsFacts,
    Try,
    UpgradeFacts,
    UrlFacts,
)  # fmt: skip

PATH = "/api/calls/0d0c70c1-d0c7-4d0c-80d0-c70ca11ba7e1/audio"
NOW_UNIX_MS = 1_767_323_045_000
DAY_MS = 86_400_000
NGINX_404 = "<html><head><title>404 Not Found</title></head><center><h1>404</h1></center><center>nginx</center></html>"


def nothing() -> Facts:
    """No probe got anywhere."""
    return Facts()


def url(raw: str = f"wss://voice.example.com{PATH}", **fields: Any) -> UrlFacts:
    """A sound URL unless told otherwise."""
    fields = {"host": "voice.example.com", "path": PATH} | fields
    return UrlFacts(raw=raw, **fields)


def dns(*queries: DnsQuery, **fields: Any) -> Facts:
    """What resolvers said."""
    return Facts(url(), DnsFacts(name="voice.example.com", source="resolver", queries=queries, **fields))


def tcp(*outcomes: str, **fields: Any) -> Facts:
    """One address an outcome, on port 443."""
    attempts = tuple(TcpAttempt(f"203.0.113.{n}", 443, outcome, 20.0) for n, outcome in enumerate(outcomes, 1))  # type: ignore[arg-type]
    return Facts(url(), TcpFacts(attempts=attempts, **fields))


def control(**fields: Any) -> ControlFacts:
    """The control host, found, reached and trusted unless told otherwise."""
    given: dict[str, Any] = {"dns": "answer", "tcp": "open", "tls": "ok", "mozilla": "ok"} | fields
    return ControlFacts(host="api.telnyx.com", **given)


def certificate(**fields: Any) -> Certificate:
    """A leaf for voice.example.com, ninety days in the middle of its life."""
    given: dict[str, Any] = {
        "subject": "CN=voice.example.com",
        "issuer": "CN=R11,O=Let's Encrypt",
        "not_before_unix_ms": NOW_UNIX_MS - 45 * DAY_MS,
        "not_after_unix_ms": NOW_UNIX_MS + 45 * DAY_MS,
        "names": ("voice.example.com",),
    } | fields
    return Certificate(**given)


def tls(outcome: str = "ok", *chain: Certificate, shapes: tuple[TlsAttempt, ...] = (), **fields: Any) -> Facts:
    """One handshake in the carrier's shape; `fields` go to the attempt, those of TlsFacts by name."""
    whole = {
        name: fields.pop(name)
        for name in ("plain_answer", "plain_outcome", "silent", "trusted_names", "ca_given", "issuer_found_by_url")
        if name in fields
    }
    attempt = TlsAttempt(
        shape="carrier", address="203.0.113.1", outcome=outcome, ms=30.0, chain=chain or (certificate(),), **fields  # type: ignore[arg-type]
    )  # fmt: skip
    return Facts(url(), TlsFacts(attempts=(attempt,), shapes=shapes, checked_at_unix_ms=NOW_UNIX_MS, **whole))


def shake(shape: str, outcome: str = "ok", **fields: Any) -> TlsAttempt:
    """A handshake in another shape."""
    return TlsAttempt(shape=shape, address="203.0.113.1", outcome=outcome, ms=30.0, **fields)  # type: ignore[arg-type]


def answer(status: int, body: str = "", shape: str = "carrier", target: str = PATH, **headers: str) -> Exchange:
    """An HTTP answer; `headers` with `_` for `-`. A 101 is a right one."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    if status == 101:
        pairs = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "right"), *pairs)
    return Exchange(
        shape=shape, target=target, status=status, headers=pairs, body=body.encode(), accept_ok=status == 101
    )


def failed(outcome: str, shape: str = "carrier", **fields: Any) -> Exchange:
    """No HTTP answer at all: timeout, eof, reset, malformed."""
    return Exchange(shape=shape, target=PATH, outcome=outcome, **fields)  # type: ignore[arg-type]


def upgrade(carrier: Exchange, *shapes: Exchange, given: UrlFacts | None = None, **fields: Any) -> Facts:
    """What the endpoint said to the carrier, and to others."""
    return Facts(given or url(), UpgradeFacts(carrier=carrier, shapes=shapes, **fields))


def media(*arrivals: Any, ending: Ending | None = None, **fields: Any) -> Facts:
    """A stream of two seconds that went well unless told otherwise."""
    given: dict[str, Any] = {
        "codec": "PCMU", "sample_rate_hz": 8000, "sent_frames": 100, "planned_frames": 100, "sending_ms": 1980.0,
        "listening_ms": 2000.0,
    } | fields  # fmt: skip
    ending = ending or Ending(by="us", kind="close-frame", code=1000, at_ms=2300.0, after="close")
    return Facts(url(), UpgradeFacts(carrier=answer(101)), MediaFacts(arrivals=arrivals, ending=ending, **given))


def ended(kind: str = "close-frame", code: int | None = None, reason: str = "", **fields: Any) -> Ending:
    """The server ended the stream."""
    fields = {"at_ms": 40.0, "after": "start"} | fields
    return Ending(by="peer", kind=kind, code=code, reason=reason, **fields)  # type: ignore[arg-type]


def tries(*exchanges: Exchange) -> RepeatFacts:
    """Several tries in a row."""
    return RepeatFacts(tries=tuple(Try(at_ms=100.0 * n, exchange=exchange) for n, exchange in enumerate(exchanges)))


def held(wanted_s: float, **dropped_s: float | None) -> Facts:
    """Streams held open: `silent`, `media`, `media_ping` each to the second when the server's side dropped, or None."""
    holds = []
    for name, at_s in dropped_s.items():
        ending = (
            Ending(by="us", kind="close-frame", code=1000, at_ms=wanted_s * 1000)
            if at_s is None
            else Ending(by="peer", kind="eof", at_ms=at_s * 1000)
        )
        holds.append(Hold(traffic=name.replace("_", "+"), ending=ending, held_ms=ending.at_ms))  # type: ignore[arg-type]
    return Facts(url(), IdleFacts(wanted_ms=wanted_s * 1000, holds=tuple(holds)))
