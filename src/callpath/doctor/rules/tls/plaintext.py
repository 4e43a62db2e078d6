"""TLS007: wss was aimed at a port that speaks plain HTTP."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import tls


def speaks_plain_http(looked: TlsFacts) -> bool:
    """Plain HTTP got an HTTP answer that does not ask for TLS, and no TLS record ever came."""
    plain = looked.plain_answer
    if not plain.startswith(b"HTTP/"):
        return False
    wants_tls = any(word in plain for word in (b"HTTPS port", b"HTTPS server", b"SSL-enabled"))
    record = looked.carrier.first_bytes[:1] in {b"\x14", b"\x15", b"\x16", b"\x17"}
    return not wants_tls and not record


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome in {"ok", "untrusted", "no-connection"} or not speaks_plain_http(looked):
        return None
    return Finding(
        "the port answers plain HTTP and no TLS",
        (
            Seen(f"to a ClientHello: {looked.carrier.outcome} {looked.carrier.first_bytes[:40]!r}", "the handshake"),
            Seen(f"to plain HTTP: {looked.plain_answer[:60]!r}", "plain HTTP"),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS007",
    slug="tls-plaintext-port",
    title="The port does not speak TLS",
    owner="you",
    why="The application itself answers on this port, with no TLS in front of it; or the proxy's listener lacks its "
    "ssl flag.",
    fix="Put a TLS terminator in front (the platform's edge, Caddy, nginx with `listen 443 ssl`), and aim the URL at "
    "it.",
    named={"a bare application": tls("not-tls", first_bytes=b"HTTP/1.1 400", plain_answer=b"HTTP/1.1 404 Not Found")},
    quiet={"a TLS port": tls("alert", first_bytes=b"\x15", plain_answer=b"HTTP/1.1 400 sent to HTTPS port")},
)
