"""DNS006: one of several addresses takes no connection."""

from callpath.doctor.facts import Facts, TcpFacts, TlsFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import tcp


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    if facts[UrlFacts].host_class == "loopback":
        return None  # localhost has two addresses, and most servers listen on one
    dead = [attempt for attempt in connections.attempts if attempt.outcome != "open"]
    evidence = [Seen(f"{a.address}:{a.port} {a.outcome}", a.address) for a in connections.attempts]
    tls = facts.get(TlsFacts)
    if tls is not None and not dead and any(attempt.outcome == "ok" for attempt in tls.attempts):
        silent = [
            attempt for attempt in tls.attempts if attempt.outcome in {"timeout", "eof", "reset", "no-connection"}
        ]
        evidence = [Seen(f"{a.address}: TLS {a.outcome}", a.address) for a in tls.attempts]
        if not silent:
            return None
        return Finding(f"{', '.join(a.address for a in silent)} takes connections but no TLS", tuple(evidence))
    if not dead or not connections.open:
        return None
    families = {":" in attempt.address for attempt in dead}
    alive = {":" in attempt.address for attempt in connections.open}
    only = (
        "IPv6" if families == {True} and alive == {False} else "IPv4" if families == {False} and alive == {True} else ""
    )
    what = f" (all of {only})" if only else ""
    return Finding(
        f"{len(dead)} of {len(connections.attempts)} addresses take no connection{what}: every n-th call fails",
        tuple(evidence),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="DNS006",
    slug="dns-one-address-dead",
    title="One of the name's addresses is dead",
    owner="you",
    why="Each call picks an address. Those that pick the dead one (or prefer IPv6 and find it dead) never connect.",
    fix="Remove the record of the dead address (an AAAA that nobody serves is common: dig +short HOST AAAA), or bring "
    "that machine back.",
    named={"one of two refuses": tcp("open", "refused")},
    quiet={"both open": tcp("open", "open")},
)
