"""DNS003: no answer at all from any resolver."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    silent = {"timeout", "unreachable"}
    if looked.addresses or not looked.queries or any(query.outcome not in silent for query in looked.queries):
        return None
    return Finding(
        f"no resolver answered for {looked.name}",
        tuple(
            f"{q.server or 'system'}: {q.record} -> {q.outcome} after {q.ms:.0f} ms {q.rcode}".rstrip()
            for q in looked.queries
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="DNS003",
    slug="dns-timeout",
    title="DNS does not answer",
    owner="network",
    why="Either the resolver asked from here is down or filtered, or the zone's own name servers are silent. In the "
    "first case nothing is known about the name, in the second nobody can call.",
    fix="Ask another resolver (--resolver 1.1.1.1). If that one times out too, the zone's name servers are down.",
    named={"silence": dns(DnsQuery("A", "timeout", "192.0.2.53", 4000.0))},
    quiet={"an answer": dns(DnsQuery("A", "servfail", "192.0.2.53", 12.0))},
)
