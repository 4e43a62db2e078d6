"""DNS005: a public name leads to an address that only this machine or network has."""

from callpath.doctor.facts import (
    DnsFacts,
    Facts,
    IdleFacts,
    MediaFacts,
    RepeatFacts,
    TcpFacts,
    TlsFacts,
    UpgradeFacts,
    UrlFacts,
)
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    if looked.source in {"literal", "override"} or facts[UrlFacts].host_class != "public":
        return None
    inside = [(a, kind) for a, kind in zip(looked.addresses, looked.classes, strict=True) if kind != "public"]
    if not inside:
        return None
    addresses = ", ".join(f"{address} ({kind})" for address, kind in inside)
    source = {"hosts-file": "this machine's hosts file", "system": "the system's resolver"}.get(
        looked.source, "the resolver"
    )
    summary = f"{looked.name} leads to {addresses}, by {source}"
    shown = Seen(addresses, source)
    if len(inside) < len(looked.addresses):
        return Finding(f"some addresses of the name cannot be reached from outside: {summary}", (shown,))
    all_loopback = all(kind == "loopback" for _, kind in inside)
    own = looked.source == "hosts-file" or looked.resolver_is_loopback
    tcp = facts.get(TcpFacts)
    reached = tcp is not None and bool(tcp.open)
    if reached and (_broken_above(facts) or (all_loopback and own)):
        # What answers there has a fault of its own, or this is somebody's laboratory on one machine.
        return Finding(f"{summary}; a carrier sees what public DNS says", (shown,), kind="note")
    return Finding(summary, (shown,))


def _broken_above(facts: Facts) -> bool:
    """Something that answered there does not work, or not always."""
    tcp, tls, upgrade = facts.get(TcpFacts), facts.get(TlsFacts), facts.get(UpgradeFacts)
    media, repeats, idle = facts.get(MediaFacts), facts.get(RepeatFacts), facts.get(IdleFacts)
    return (
        (tcp is not None and len(tcp.open) < len(tcp.attempts))
        or (tls is not None and any(attempt.outcome != "ok" for attempt in tls.attempts))
        or (upgrade is not None and not upgrade.carrier.upgraded)
        or (media is not None and media.ending.by == "peer" and media.ending.after not in {"stop", "close"})
        or (repeats is not None and any(not attempt.fine for attempt in repeats.tries))
        or (idle is not None and any(hold.ending.by == "peer" for hold in idle.holds))
    )


CAUSE = Cause.of(
    "url",
    check,
    code="DNS005",
    slug="dns-private-address",
    title="The public name resolves to a private address",
    owner="you",
    why="Split-horizon DNS, a VPN's or Tailscale's names, a hosts file, or a record with an inside address: from here "
    "it may even work, but the carrier cannot get there.",
    fix="Publish a record with the public address (or the platform's CNAME) in public DNS: dig @1.1.1.1 +short HOST "
    "shows what the carrier sees.",
    named={"an inside address": dns(addresses=("10.0.0.5",), classes=("private",))},
    quiet={"a public address": dns(addresses=("203.0.113.1",), classes=("public",))},
)
