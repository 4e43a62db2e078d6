"""The cases, a module a layer; each module's CASES lists its own, and ALL joins them in the doctor's order."""

from __future__ import annotations

from tests.lab.case import Case
from tests.lab.cases import (
    auth,
    codec,
    deploy,
    dns,
    handshake,
    healthy,
    http,
    keepalive,
    pacing,
    platforms,
    protocol,
    rare,
    routing,
    tcp,
    tls,
    url,
)

MODULES = (
    url, dns, tcp, tls, http, platforms, handshake, routing, auth, protocol, codec, pacing, keepalive, deploy, healthy,
    rare,
)  # fmt: skip

ALL: tuple[Case, ...] = tuple(case for module in MODULES for case in module.CASES)

assert len({case.name for case in ALL}) == len(ALL), "two cases share a name"
