"""The cases, a module a layer; each module's CASES lists its own, and ALL joins them in the doctor's order."""

from __future__ import annotations

import re
from collections.abc import Sequence

from callpath.doctor.rules import RULES
from tests.lab.case import HEALTHY, Case
from tests.lab.cases import (
    auth,
    codec,
    deploy,
    dns,
    handshake,
    healthy,
    http,
    keepalive,
    machine,
    pacing,
    platforms,
    protocol,
    rare,
    routing,
    tcp,
    tls,
    trial,
    unseen,
    url,
)
from tests.lab.programs import missing

MODULES = (
    url, dns, tcp, tls, http, platforms, handshake, routing, auth, protocol, codec, pacing, keepalive, deploy, healthy,
    rare, machine, unseen, trial,
)  # fmt: skip

ALL: tuple[Case, ...] = tuple(case for module in MODULES for case in module.CASES)

assert len({case.name for case in ALL}) == len(ALL), "two cases share a name"


_BY_TIME = frozenset(rule.slug for rule in RULES if rule.by_time)
_TIMED_NAMES = re.compile(
    r"^(?:pace|slow|idle|age|ends|resets|closes|half|dns-.*silent)|late|silent|deaf|hangs|stops|blocked|never-|rate-limit|"
    r"connection-limit|limit-conn|cut-once|after-101|healthy-(?:pings|slow|idle|answers)|crashes-after"
)


def is_timed(case: Case) -> bool:
    """Whether the verdict hangs on when something happens: a wait that ends, a race of a close with an answer, a rate."""
    return bool(case.expected & _BY_TIME) or _TIMED_NAMES.search(case.name) is not None


def further_cases(cases: Sequence[Case]) -> list[Case]:
    """Those whose causes another case shows already; healthy ones are never among them."""
    further: list[Case] = []
    shown: set[str] = set()
    for case in cases:
        if missing(case):
            continue
        if case.expected <= shown and HEALTHY not in case.expected:
            further.append(case)
        shown |= case.expected
    return further
