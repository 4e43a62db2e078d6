"""DNS008: the name has IPv6 addresses only."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    if looked.source not in {"resolver", "system"} or looked.left_out or not looked.addresses:
        return None
    if not all(":" in address for address in looked.addresses):
        return None
    return Finding(
        f"{looked.name} has IPv6 addresses only: {', '.join(looked.addresses)}",
        tuple(f"{query.server}: {query.record} -> {query.outcome}" for query in looked.queries),
        kind="open",
        candidates=("dns-ipv6-only",),
        question="Does the carrier connect over IPv6? Its documents name IPv4 ranges only. An A record settles it.",
    )


_V6 = DnsQuery("AAAA", "answer", "192.0.2.53", 9.0, ("2001:db8::1",))

CAUSE = Cause.of(
    "url",
    check,
    code="DNS008",
    slug="dns-ipv6-only",
    title="The name has no IPv4 address",
    owner="you",
    why="The ranges that Telnyx publishes are IPv4; whether it connects to an endpoint that has only IPv6 is not "
    "known.",
    fix="Add an A record: HOST. 300 IN A ADDRESS",
    named={"AAAA alone": dns(_V6, addresses=("2001:db8::1",))},
    quiet={"both": dns(_V6, addresses=("2001:db8::1", "203.0.113.1"))},
)
