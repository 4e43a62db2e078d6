"""DNS002: a server answered that it cannot answer."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    broken = [query for query in looked.queries if query.outcome in {"servfail", "refused", "malformed"}]
    if looked.addresses or not broken or any(query.outcome == "nxdomain" for query in looked.queries):
        return None
    evidence = tuple(f"{q.server}: {q.record} -> {q.rcode or q.outcome} after {q.ms:.0f} ms" for q in broken)
    if any(query.works_unchecked for query in broken):
        return Finding(
            f"{looked.name}: SERVFAIL, but an answer comes with DNSSEC checking off: the signatures are broken",
            evidence,
            fix="Correct or remove the DS record at the registrar; it does not fit the zone's keys.",
        )
    return Finding(f"the resolver could not answer for {looked.name}: {broken[0].rcode or broken[0].outcome}", evidence)


CAUSE = Cause.of(
    "url",
    check,
    code="DNS002",
    slug="dns-servfail",
    title="DNS fails for this name",
    owner="you",
    why="The zone's own servers do not answer properly (lame delegation, a dead or refusing name server, broken "
    "DNSSEC), so that resolvers give up. Some resolvers may still hold an old answer.",
    fix="Check the name servers that the registrar lists, and the DS record: dig +trace NAME; dig +cd NAME.",
    named={"a dead upstream": dns(DnsQuery("A", "servfail", "192.0.2.53", 2000.0, rcode="SERVFAIL"))},
    quiet={"no such name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 12.0))},
)
