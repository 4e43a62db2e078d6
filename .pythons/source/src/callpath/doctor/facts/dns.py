"""What resolvers said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts.url import HostClass

DnsOutcome = Literal["answer", "nxdomain", "nodata", "servfail", "refused", "timeout", "unreachable", "malformed"]


@dataclass(frozen=True, slots=True)
class DnsQuery:
    """One question to one server. `chain` holds the CNAME targets in order, `rcode` the server's own word."""

    record: str
    outcome: DnsOutcome
    server: str
    ms: float
    addresses: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()
    rcode: str = ""
    works_unchecked: bool = False  # SERVFAIL, but an answer came with checking disabled: DNSSEC is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsFacts:
    """Where the name leads. `source` says who told us; `classes` is parallel to `addresses`."""

    name: str
    source: Literal["literal", "override", "resolver", "system", "hosts-file", "proxy"]
    queries: tuple[DnsQuery, ...] = ()
    addresses: tuple[str, ...] = ()
    classes: tuple[HostClass, ...] = ()
    left_out: tuple[str, ...] = ()  # of the other family, by --ipv4 or --ipv6
    resolver_is_loopback: bool = False
