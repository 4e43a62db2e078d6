"""What controls showed, and what the doctor itself sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts.dns import DnsOutcome, DnsQuery
from callpath.doctor.facts.tcp import TcpOutcome
from callpath.doctor.facts.tls import TlsOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFacts:
    """The step that failed, measured again where the answer is known. None or "": not measured.

    `host` was looked up with the same resolver, reached by the same route and verified with the same trust store as
    the URL; `mozilla` is the same handshake against Mozilla's roots, and `tls_issuer` names who signed what it sent.
    `public` holds what public resolvers say of the URL's own name; `ipv6` is a connection to a host that has IPv6.
    """

    host: str = ""
    dns: DnsOutcome | None = None
    dns_detail: str = ""
    tcp: TcpOutcome | None = None
    tcp_detail: str = ""
    tls: TlsOutcome | None = None
    tls_issuer: str = ""
    mozilla: TlsOutcome | None = None
    ipv6: TcpOutcome | None = None
    public: tuple[DnsQuery, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFacts:
    """An HTTP proxy from the environment. `outcome` "used": the URL was reached through it after the direct way failed."""

    proxy: str
    outcome: Literal["used", "failed"]
    detail: str = ""
    direct: str = ""
    """How the direct way failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficFacts:
    """What the examination sent. `left_out` names requests that only --thorough sends; `limited_at` is the number of the
    request that was the first to be answered with a rate limit."""

    requests: int
    requests_max: int
    connections: int = 0
    left_out: tuple[str, ...] = ()
    limited_at: int = 0
    cut_off_ms: float | None = None
    """When the whole examination ran out of time."""
