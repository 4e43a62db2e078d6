"""Shakes hands as the carrier does, once an address; where that fails, in the shapes that tell why."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import AuthorityInformationAccessOID

from callpath.clock import Clock
from callpath.doctor.facts import Certificate, TcpFacts, TlsAttempt, TlsFacts, TlsOutcome, UrlFacts
from callpath.doctor.probes.channel import USER_AGENT, Channel, Contexts, client_context, connect, open_channel
from callpath.doctor.probes.shapes import proxy_header
from callpath.doctor.probes.url import is_public
from callpath.doctor.request import Request

AFTER_MS = 250.0
"""In TLS 1.3 the client is done before the server judged its (missing) certificate: the alert comes on the first
read. A quarter of a second is more than a round trip to another continent."""
SILENCE_MS = 3500.0
"""HAProxy in tcp mode tries a dead backend for three seconds before it hangs up."""
ISSUER_BYTES_MAX = 100_000
"""Maximum bytes of an issuer's certificate; a PKCS #7 bundle of a large authority has 10 kB."""
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")  # what `openssl rehash` names a certificate
_ALERT, _HANDSHAKE = 21, 22  # record types, RFC 8446 5.1
_SERVER_HELLO, _CERTIFICATE_REQUEST = 2, 13  # handshake types, RFC 5246 7.4


async def probe_tls(
    request: Request, url: UrlFacts, tcp: TcpFacts, clock: Clock, contexts: Contexts | None = None
) -> TlsFacts:
    """Verified handshakes with every open address; further shapes against the first that failed."""
    addresses = [attempt.address for attempt in tcp.open]

    context = (contexts or Contexts()).get(ca_file=request.ca_file, verify=True)
    second = request.ca_file is None and not request.insecure
    async with asyncio.TaskGroup() as tasks:
        tried = [tasks.create_task(_shake(request, url, address, "carrier", clock, context)) for address in addresses]
        opinion = (
            tasks.create_task(_shake(request, url, addresses[0], "mozilla", clock, mozilla_context()))
            if second
            else None
        )
    attempts = tuple(task.result() for task in tried)
    mozilla = opinion.result() if opinion is not None else None
    facts = TlsFacts(
        attempts=attempts,
        checked_at_unix_ms=clock.now_unix_ms(),
        ca_given=request.ca_file is not None,
        accepted_despite=request.insecure,
        mozilla=mozilla.outcome if mozilla is not None else "",
    )
    failed = next((attempt for attempt in attempts if attempt.outcome != "ok"), None)
    if failed is None:
        return facts
    if failed.outcome == "untrusted" and mozilla is not None and mozilla.outcome == "ok":
        by_mozilla = await _all_by_mozilla(request, url, addresses, clock)
        return replace(facts, attempts=by_mozilla, system_rejects=failed.verify_message, system_roots=system_roots())
    trusted = _trusted(request.ca_file)
    async with asyncio.TaskGroup() as tasks:
        shapes = [tasks.create_task(shape) for shape in _shapes(request, url, failed.address, clock)]
        plain = tasks.create_task(_plain(request, url, failed.address))
        cut = failed.outcome in {"eof", "reset"}
        silent = tasks.create_task(_keep_silent(request, url, failed.address)) if cut else None
    answer, outcome = plain.result()
    found = tuple(task.result() for task in shapes)
    chain = failed.chain or next((attempt.chain for attempt in found if attempt.chain), ())
    return TlsFacts(
        attempts=attempts,
        shapes=found,
        plain_answer=answer,
        plain_outcome=outcome,
        silent=silent.result() if silent is not None else "",
        trusted_names=tuple(root.subject for root in trusted),
        trusted_key_ids=tuple(root.key_id for root in trusted if root.key_id),
        checked_at_unix_ms=clock.now_unix_ms(),
        ca_given=request.ca_file is not None,
        accepted_despite=request.insecure,
        issuer_found_by_url=await _issuer_by_url(request, chain) if failed.verify_code in {2, 20, 21} else False,
        system_roots=system_roots() if failed.outcome == "untrusted" else None,
        mozilla=facts.mozilla,
    )


async def shake_control(
    request: Request, url: UrlFacts, address: str, clock: Clock
) -> tuple[TlsOutcome, TlsOutcome, str]:
    """Handshakes with a host that is known to be right: against this machine's roots, against Mozilla's, and who signed
    what it sent."""
    async with asyncio.TaskGroup() as tasks:
        system = tasks.create_task(_shake(request, url, address, "system", clock, client_context()))
        mozilla = tasks.create_task(_shake(request, url, address, "mozilla", clock, mozilla_context()))
        seen = tasks.create_task(_shake(request, url, address, "unverified", clock, client_context(verify=False)))
    chain = seen.result().chain
    return system.result().outcome, mozilla.result().outcome, chain[-1].issuer if chain else ""


async def _all_by_mozilla(
    request: Request, url: UrlFacts, addresses: list[str], clock: Clock
) -> tuple[TlsAttempt, ...]:
    """The carrier's handshake with each address, against Mozilla's roots."""
    async with asyncio.TaskGroup() as tasks:
        tried = [
            tasks.create_task(_shake(request, url, address, "carrier", clock, mozilla_context()))
            for address in addresses
        ]
    return tuple(task.result() for task in tried)


def _shapes(request: Request, url: UrlFacts, address: str, clock: Clock) -> list[Any]:
    """Handshakes that differ from the carrier's in one thing each."""

    def legacy() -> ssl.SSLContext:
        context = client_context(verify=False)
        context.set_ciphers("ALL:@SECLEVEL=0")  # or OpenSSL would not even offer what is too old
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are meant here
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    unverified = client_context(verify=False)
    tls12 = client_context(verify=False)
    tls12.maximum_version = ssl.TLSVersion.TLSv1_2
    all_ciphers = client_context(verify=False)
    all_ciphers.set_ciphers("ALL:@SECLEVEL=0")
    rows: list[tuple[str, ssl.SSLContext, str | None, bytes]] = [
        ("unverified", unverified, url.host, b""),
        ("tls12", tls12, url.host, b""),
        ("tls11", legacy(), url.host, b""),
        ("all-ciphers", all_ciphers, url.host, b""),
        ("no-sni", client_context(verify=False), None, b""),
        ("other-sni", client_context(verify=False), "callpath-doctor.invalid", b""),
        ("no-alpn", client_context(verify=False, alpn=()), url.host, b""),
        ("h2", client_context(verify=False, alpn=("h2",)), url.host, b""),
    ]
    if request.thorough:
        rows.append(("proxy-header", client_context(verify=False), url.host, proxy_header(address, url.port)))
    return [
        _shake(request, url, address, name, clock, context, server_name=server_name, before=before)
        for name, context, server_name, before in rows
    ]


async def _shake(
    request: Request,
    url: UrlFacts,
    address: str,
    shape: str,
    clock: Clock,
    context: ssl.SSLContext,
    *,
    server_name: str | None = "",
    before: bytes = b"",
) -> TlsAttempt:
    started_ms = clock.now_ms()
    channel: Channel | None = None
    fields: dict[str, Any] = {}
    outcome: TlsOutcome = "ok"
    try:
        async with asyncio.timeout(request.timeout_ms / 1000):
            channel = await connect(request.via, address, url.port)
            if before:
                await channel.send(before)
            await channel.start_tls(context, url.host if server_name == "" else server_name)
        fields |= _session(channel)
        fields |= await _after(channel)
        outcome = fields.pop("outcome", outcome)
    except TimeoutError:
        outcome = "timeout" if channel is not None else "no-connection"
    except ssl.SSLCertVerificationError as error:
        outcome = "untrusted"
        fields |= {"verify_code": error.verify_code, "verify_message": error.verify_message, "reason": error.reason}
    except ssl.SSLEOFError as error:
        outcome = "eof"
        fields["reason"] = error.reason or ""
    except ssl.SSLError as error:
        outcome = _outcome(error, channel)
        fields["reason"] = ssl_reason(error)
    except (ConnectionResetError, BrokenPipeError):
        outcome = "reset"
    except (OSError, ValueError) as error:  # ValueError: a server name that TLS cannot carry
        outcome = "no-connection" if channel is None else "error"
        fields["reason"] = str(error)
    finally:
        if channel is not None:
            channel.abort()
    if channel is not None:
        fields |= {"first_bytes": channel.first_bytes[:512], "received": channel.received}
        fields |= _flight(channel.first_bytes)
    return TlsAttempt(shape=shape, address=address, outcome=outcome, ms=clock.now_ms() - started_ms, **fields)


def ssl_reason(error: ssl.SSLError) -> str:
    """OpenSSL's name for the error. Where Python has none (newer alerts), the same spelling made of the message."""
    if error.reason:
        return error.reason
    text = re.sub(r"^\[[^\]]*\]\s*|\s*\(_ssl\.c:\d+\)$", "", str(error.args[-1] if error.args else error))
    return re.sub(r"\W+", "_", text).strip("_").upper()


def _outcome(error: ssl.SSLError, channel: Channel | None) -> TlsOutcome:
    first = channel.first_bytes if channel is not None else b""
    if first and first[0] not in {20, 21, 22, 23}:  # the record types of TLS
        return "not-tls"
    if "ALERT" in ssl_reason(error) or first[:1] == bytes([_ALERT]):
        return "alert"
    if "EOF" in ssl_reason(error):
        return "eof"
    return "error"


async def _after(channel: Channel) -> dict[str, Any]:
    """What the server says to a client that finished the handshake and keeps still."""
    try:
        async with asyncio.timeout(AFTER_MS / 1000):
            content = await channel.receive()
    except TimeoutError:
        return {}
    except ssl.SSLError as error:
        reason = ssl_reason(error)
        return {"outcome": "alert" if "ALERT" in reason else "error", "reason": reason}
    except OSError:
        return {"reason": "reset after the handshake"}
    return {} if content else {"reason": "closed after the handshake"}


def _session(channel: Channel) -> dict[str, Any]:
    tls = channel.tls
    assert tls is not None
    cipher = tls.cipher()
    return {
        "version": tls.version() or "",
        "cipher": cipher[0] if cipher else "",
        "alpn": tls.selected_alpn_protocol(),
        "chain": tuple(_certificate(der) for der in _chain(tls)),
    }


def _chain(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates exactly as sent. Public API from Python 3.13; before, the object behind it has the same."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return [bytes(der) for der in public()]
    inner = getattr(tls, "_sslobj", None)
    if inner is not None and hasattr(inner, "get_unverified_chain"):
        return [bytes(item.public_bytes(2)) for item in inner.get_unverified_chain() or ()]  # 2: DER in _ssl
    leaf = tls.getpeercert(binary_form=True)
    return [leaf] if leaf else []


def _certificate(der: bytes) -> Certificate:
    """What matters of one certificate; parts that cannot be read stay empty."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        extensions: list[x509.Extension[Any]] = []
        with contextlib.suppress(ValueError):
            extensions = list(certificate.extensions)
        by_kind = {type(extension.value): extension.value for extension in extensions}
        self_signed = False
        if certificate.issuer == certificate.subject:
            try:
                certificate.verify_directly_issued_by(certificate)
                self_signed = True
            except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
                pass
        names = by_kind.get(x509.SubjectAlternativeName)
        purposes = by_kind.get(x509.ExtendedKeyUsage)
        basic = by_kind.get(x509.BasicConstraints)
        access = by_kind.get(x509.AuthorityInformationAccess)
        key_id = by_kind.get(x509.SubjectKeyIdentifier)
        authority = by_kind.get(x509.AuthorityKeyIdentifier)
        key = certificate.public_key()
        algorithm = certificate.signature_hash_algorithm
        return Certificate(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            not_before_unix_ms=int(certificate.not_valid_before_utc.timestamp() * 1000),
            not_after_unix_ms=int(certificate.not_valid_after_utc.timestamp() * 1000),
            names=tuple(str(name.value) for name in names) if names is not None else (),
            self_signed=self_signed,
            is_ca=bool(basic is not None and basic.ca),
            issuer_urls=tuple(
                str(item.access_location.value)
                for item in access or ()
                if item.access_method == AuthorityInformationAccessOID.CA_ISSUERS
            ),
            key=f"RSA {key.key_size}" if isinstance(key, rsa.RSAPublicKey)
            else f"EC {key.curve.name}" if isinstance(key, ec.EllipticCurvePublicKey)
            else type(key).__name__.removeprefix("_"),
            signature=algorithm.name if algorithm is not None else "",
            purposes=tuple(purpose.dotted_string for purpose in purposes) if purposes is not None else (),
            key_id=key_id.digest.hex() if key_id is not None else "",
            issuer_key_id=authority.key_identifier.hex() if authority and authority.key_identifier else "",
            issuer_issuer=", ".join(
                name.value.rfc4514_string()
                for name in (authority.authority_cert_issuer or () if authority else ())
                if isinstance(name, x509.DirectoryName)
            ),
            der=der,
        )  # fmt: skip
    except (ValueError, UnsupportedAlgorithm) as error:
        return Certificate(subject=f"unreadable: {error}", issuer="", not_before_unix_ms=0, not_after_unix_ms=0)


def _trusted(ca_file: str | None) -> list[Certificate]:
    """The roots of --ca."""
    if ca_file is None:
        return []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca_file)
    return [_certificate(der) for der in context.get_ca_certs(binary_form=True)]


def _flight(first: bytes) -> dict[str, Any]:
    """What the readable part of the server's first flight says: an alert before any hello, a wish for our certificate
    (readable up to TLS 1.2 only)."""
    messages = b""
    seen_hello = False
    alert_first = False
    at = 0
    while at + 5 <= len(first):
        kind, length = first[at], int.from_bytes(first[at + 3 : at + 5], "big")
        body = first[at + 5 : at + 5 + length]
        if kind == _HANDSHAKE:
            messages += body
            seen_hello = True
        elif kind == _ALERT and not seen_hello:
            alert_first = True
            break
        else:
            break
        at += 5 + length
    asked = False
    at = 0
    while at + 4 <= len(messages):
        if messages[at] == _CERTIFICATE_REQUEST:
            asked = True
        at += 4 + int.from_bytes(messages[at + 1 : at + 4], "big")
    return {"asked_client_certificate": asked, "alert_before_hello": alert_first}


async def _plain(request: Request, url: UrlFacts, address: str) -> tuple[bytes, str]:
    """Plain HTTP on the same port: the first bytes of the answer, and how it went."""
    channel: Channel | None = None
    content = b""
    try:
        async with asyncio.timeout(request.timeout_ms / 1000):
            channel = await connect(request.via, address, url.port)
            await channel.send(
                f"GET {url.target} HTTP/1.1\r\nHost: {url.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
                "Connection: close\r\n\r\n".encode()
            )
            while len(content) < 512:
                more = await channel.receive()
                if not more:
                    return content, "answer" if content else "eof"
                content += more
    except TimeoutError:
        return content, "answer" if content else "timeout"
    except OSError:
        return content, "answer" if content else "reset"
    finally:
        if channel is not None:
            channel.abort()
    return content, "answer"


async def _keep_silent(request: Request, url: UrlFacts, address: str) -> Literal["", "open", "eof", "reset", "spoke"]:
    """Connect and say nothing: does the peer hang up all the same?"""
    channel: Channel | None = None
    try:
        async with asyncio.timeout(request.timeout_ms / 1000):
            channel = await connect(request.via, address, url.port)
        async with asyncio.timeout(min(SILENCE_MS, request.timeout_ms) / 1000):
            content = await channel.receive()
    except TimeoutError:
        return "open" if channel is not None else ""
    except OSError:
        return "reset" if channel is not None else ""
    finally:
        if channel is not None:
            channel.abort()
    return "spoke" if content else "eof"


async def _issuer_by_url(request: Request, chain: tuple[Certificate, ...]) -> bool:
    """Fetch the issuer from the address in the last certificate sent, as browsers do and carriers do not.

    True if it signed that certificate and was itself signed by a trusted root. The address is the peer's own word: only
    plain http to port 80 of public addresses is asked (RFC 5280 4.2.2.1 wants http), and nothing it says can raise.
    """
    last = chain[-1] if chain else None
    if last is None or not last.issuer_urls or not last.der:
        return False
    try:
        content = await _fetch(last.issuer_urls[0], request.timeout_ms / 2)
        found = _load(content)
        if found is None:
            return False
        x509.load_der_x509_certificate(last.der).verify_directly_issued_by(found)
        return found.issuer != found.subject and _signed_by_root(found, request.ca_file)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, OSError):  # ValueError: odd names, too
        return False


async def _fetch(location: str, timeout_ms: float) -> bytes:
    """The body of a GET, b"" where the address is not one to ask. Raises ValueError and OSError."""
    parts = urlsplit(location)
    if parts.scheme != "http" or not parts.hostname or (parts.port or 80) != 80:
        return b""
    channel: Channel | None = None
    content = b""
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            rows = await asyncio.get_running_loop().getaddrinfo(parts.hostname, 80, type=socket.SOCK_STREAM)
            addresses = [str(row[4][0]) for row in rows]
            if not addresses or any(not is_public(address) for address in addresses):
                return b""
            channel = await open_channel(addresses[0], 80)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            head = f"GET {path} HTTP/1.0\r\nHost: {parts.hostname}\r\nUser-Agent: {USER_AGENT}\r\nConnection: close\r\n\r\n"
            await channel.send(head.encode())
            while len(content) <= ISSUER_BYTES_MAX and (more := await channel.receive()):
                content += more
    finally:
        if channel is not None:
            channel.abort()
    return content.partition(b"\r\n\r\n")[2]


def _load(body: bytes) -> x509.Certificate | None:
    """One certificate, or the first of a PKCS #7 bundle, both of which RFC 5280 4.2.2.1 allows."""
    if not body:
        return None
    if body.startswith(b"-----"):
        return x509.load_pem_x509_certificate(body)
    try:
        return x509.load_der_x509_certificate(body)
    except ValueError:
        bundle = pkcs7.load_der_pkcs7_certificates(body)
        return bundle[0] if bundle else None


def _signed_by_root(certificate: x509.Certificate, ca_file: str | None) -> bool:
    """Whether a root of the system, of Mozilla's list or of `ca_file` signed it."""
    name = certificate.issuer.public_bytes()
    for context in (client_context(ca_file=ca_file), mozilla_context(ca_file)):
        for der in (der for der in context.get_ca_certs(binary_form=True) if name in der):
            with contextlib.suppress(ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                certificate.verify_directly_issued_by(x509.load_der_x509_certificate(der))
                return True
    return False


def system_roots() -> int:
    """How many roots this machine's own store holds: in its file, and in its folder, which OpenSSL reads when asked."""
    loaded = len(ssl.create_default_context().get_ca_certs())
    folder = ssl.get_default_verify_paths().capath
    hashed = [path for path in Path(folder).iterdir() if _HASHED.fullmatch(path.name)] if folder else []
    return max(loaded, len(hashed))


def mozilla_context(ca_file: str | None = None, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """TLS as the carrier speaks it, against Mozilla's list of roots in the place of the system's."""
    context = client_context(verify=False, alpn=alpn)
    context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    return context
