"""Reads the URL as given: no connection, no resolver."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import dns.exception
import dns.name

from callpath.doctor.facts import HostClass, UrlFacts
from callpath.doctor.request import Request

INTERNAL_SUFFIXES = (".internal", ".local", ".localdomain", ".lan", ".home.arpa", ".intranet", ".corp", ".svc")
"""Names that no public resolver knows: RFC 6762 (.local), RFC 8375 (home.arpa), ICANN's reserved .internal, and what
containers and office networks use."""
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")  # RFC 1918, 6598, 4193
)
TEST_CONNECTION = "test-connection"
"""The call id with which callpath's own server lets a probe in; the server names the same one."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
_DEFAULT_PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}


def classify_address(text: str) -> HostClass:
    """From where that address can be reached. Documentation and benchmark ranges count as public."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified:
        return "unspecified"
    if address.is_link_local:
        return "link-local"
    if any(address.version == network.version and address in network for network in _PRIVATE):
        return "private"
    return "public"


def is_public(text: str) -> bool:
    """Whether the address is one that anybody on the internet may be sent to: no private, local, shared, multicast or
    documentation range, and none of these inside an IPv6 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            address = inner
        elif address in _NAT64:
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.is_global and not address.is_multicast


def classify_host(host: str) -> HostClass:
    """As classify_address for a literal; a name is public unless its form says that no public resolver knows it."""
    try:
        return classify_address(host)
    except ValueError:
        pass
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "loopback"
    if name.endswith(INTERNAL_SUFFIXES):
        return "internal-name"
    return "public" if "." in name else "bare-name"


def probe_url(request: Request) -> UrlFacts:
    """What the text of the URL says. `problem` is set where no connection can be tried at all."""
    raw = request.url
    text = re.sub(r"[\x00-\x20\x7f\u00a0\u200b-\u200f\u2028\u2029\u2060\ufeff]|%0[AaDd]$", "", raw).strip("\"'`<>")
    scheme, separator, _ = text.partition("://")
    scheme = scheme.lower()
    if not separator:
        text, scheme = f"wss://{text}", ""
    try:
        parts = urlsplit(text)
        port = parts.port
        host = (parts.hostname or "").removesuffix(".")
    except ValueError as error:
        return UrlFacts(raw=raw, scheme=scheme, problem=str(error), vouched=request.vouched)
    try:
        ipaddress.ip_address(host)
        literal = True
    except ValueError:
        literal = False
    if not literal and not host.isascii():
        host = _ascii(host)
    problem = ""
    if host in _DEFAULT_PORTS and parts.path.startswith("//"):
        problem = "two schemes stand one behind the other"
    elif not host:
        problem = "no host"
    elif port == 0:
        problem = "port 0 cannot be connected to"
    elif not literal and (wrong := _wrong_labels(host)):
        problem = wrong
    elif not literal and not re.fullmatch(r"[^\s/?#@:\[\]{}$<>\"'\\|^`%&=,;!()*+]+", host):
        problem = f"host {host!r} cannot be a name"
    return UrlFacts(
        raw=raw,
        scheme=scheme,
        host=host,
        port=port or _DEFAULT_PORTS.get(scheme, 443),
        port_given=port is not None,
        path=parts.path or "/",
        query=parts.query,
        fragment=parts.fragment,
        userinfo="@" in parts.netloc,
        problem=problem,
        host_class=classify_host(host) if host else "public",
        host_is_address=literal,
        vouched=request.vouched,
        token_given=request.token is not None,
        local=request.is_local,
        made_up_call=not request.known_call and f"/{TEST_CONNECTION}/" not in f"{parts.path}/",
        listen_only=request.listen_only,
    )


def _ascii(host: str) -> str:
    """The name as it goes over the wire: `bücher.example` is `xn--bcher-kva.example`. Unchanged where that fails."""
    try:
        return dns.name.from_unicode(host).to_text(omit_final_dot=True)
    except (dns.exception.DNSException, UnicodeError):
        return host


def _wrong_labels(host: str) -> str:
    """What makes `host` no name that any resolver can be asked for (RFC 1035 2.3.4)."""
    labels = host.split(".")
    if "" in labels and host:
        where = "begins with a dot" if host.startswith(".") else "has two dots in a row"
        return f"the host {host!r} {where}: a part of the name is empty (an unset variable?)"
    if long := next((label for label in labels if len(label.encode()) > 63), ""):
        return f"a part of the host name has {len(long.encode())} characters, and 63 is the maximum: {long[:20]!r}…"
    if len(host.encode()) > 253:
        return f"the host name has {len(host.encode())} characters, and 253 is the maximum"
    return ""
