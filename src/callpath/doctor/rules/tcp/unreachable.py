"""TCP004: routers or firewalls say that there is no way."""

from callpath.doctor.facts import Facts, TcpFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import tcp


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    outcomes = {attempt.outcome for attempt in connections.attempts}
    if connections.open or not outcomes or outcomes & {"refused", "reset", "timeout"}:
        return None
    shown = tuple(f"{a.address}:{a.port} {a.outcome} ({a.error}) after {a.ms:.0f} ms" for a in connections.attempts)
    if all(attempt.error in {"ENETUNREACH", "EADDRNOTAVAIL", "EACCES", "EPERM"} for attempt in connections.attempts):
        return Finding(
            "this machine has no way to the address, so nothing is known about the server",
            shown,
            kind="open",
            question="Does it connect from a machine with that address family and no local firewall?",
        )
    return Finding("the network says that the host cannot be reached", shown)


CAUSE = Cause.of(
    "url",
    check,
    code="TCP004",
    slug="tcp-host-unreachable",
    title="The network reports that the host cannot be reached",
    owner="network",
    why="A router or firewall on the way answers for the host: no route, the host is down, or a rule rejects with an "
    "ICMP message.",
    fix="Check that the address is the running machine's, and firewall rules that reject (REJECT with "
    "icmp-host-prohibited).",
    named={"no route to host": tcp("unreachable")},
    quiet={"refused": tcp("refused")},
)
