"""What resolvers said of the name: one cause an outcome."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import dns


def nxdomain(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    denied = [query for query in looked.queries if query.outcome == "nxdomain"]
    if looked.addresses or not denied:
        return None
    query = denied[0]
    if query.chain:
        return Finding(
            f"{looked.name} points at {query.chain[-1]}, and that name does not exist",
            (Seen(f"{query.server}: {looked.name} CNAME {' -> '.join(query.chain)} -> NXDOMAIN", query.server),),
            fix=f"Point the CNAME of {looked.name} at a name that exists, or bring {query.chain[-1]} back.",
        )
    return Finding(
        f"{looked.name} does not exist (NXDOMAIN)",
        tuple(Seen(f"{q.server}: {q.record} NXDOMAIN", q.server) for q in denied),
    )


def servfail(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    broken = [query for query in looked.queries if query.outcome in {"servfail", "refused", "malformed"}]
    if looked.addresses or not broken or any(query.outcome == "nxdomain" for query in looked.queries):
        return None
    evidence = tuple(
        Seen(f"{q.server}: {q.record} -> {q.rcode or q.outcome} after {q.ms:.0f} ms", q.server) for q in broken
    )
    if any(query.works_unchecked for query in broken):
        return Finding(
            f"{looked.name}: SERVFAIL, but an answer comes with DNSSEC checking off: the signatures are broken",
            evidence,
            fix="Correct or remove the DS record at the registrar; it does not fit the zone's keys.",
        )
    return Finding(f"the resolver could not answer for {looked.name}: {broken[0].rcode or broken[0].outcome}", evidence)


def timeout(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    silent = {"timeout", "unreachable"}
    if looked.addresses or not looked.queries or any(query.outcome not in silent for query in looked.queries):
        return None
    return Finding(
        f"no resolver answered for {looked.name}",
        tuple(
            Seen(f"{q.server or 'system'}: {q.record} -> {q.outcome} after {q.ms:.0f} ms {q.rcode}".rstrip(), q.server)
            for q in looked.queries
        ),
    )


def no_address(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    if looked.addresses or not any(query.outcome == "nodata" for query in looked.queries):
        return None
    if any(query.outcome not in {"nodata", "answer"} for query in looked.queries):
        return None
    if looked.left_out:
        return Finding(
            f"{looked.name} has no address of the family asked for, only {', '.join(looked.left_out)}",
            confidence="medium",
        )
    looping = [query for query in looked.queries if len(set(query.chain)) < len(query.chain) or len(query.chain) > 8]
    chains = tuple(
        Seen(f"{q.server}: {q.record} {' -> '.join((looked.name, *q.chain))} -> no address", q.server)
        for q in looked.queries
    )
    if looping or any(query.chain and query.chain[-1].rstrip(".") == looked.name for query in looked.queries):
        return Finding(f"the CNAMEs of {looked.name} lead in a circle", chains, title="The CNAMEs lead in a circle")
    return Finding(f"{looked.name} exists but has neither an A nor an AAAA record", chains)


CAUSES = (
    Cause.of(
        "url",
        nxdomain,
        code="DNS001",
        slug="dns-nxdomain",
        title="The host name does not exist",
        owner="you",
        why="No record, a misspelt host, an expired domain, or a CNAME to a service that is gone: nobody can connect.",
        fix="Create the record (at Railway a custom domain needs its CNAME and its TXT), or correct the host in the "
        "URL. dig +short HOST shows when it is there.",
        named={"a misspelt name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 12.0))},
        quiet={
            "a record": dns(DnsQuery("A", "answer", "192.0.2.53", 12.0, ("203.0.113.1",)), addresses=("203.0.113.1",))
        },
    ),
    Cause.of(
        "url",
        servfail,
        code="DNS002",
        slug="dns-servfail",
        title="DNS fails for this name",
        owner="you",
        why="The zone's own servers do not answer properly (lame delegation, a dead or refusing name server, broken "
        "DNSSEC), so that resolvers give up. Some resolvers may still hold an old answer.",
        fix="Check the name servers that the registrar lists, and the DS record: dig +trace NAME; dig +cd NAME.",
        named={"a dead upstream": dns(DnsQuery("A", "servfail", "192.0.2.53", 2000.0, rcode="SERVFAIL"))},
        quiet={"no such name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 12.0))},
    ),
    Cause.of(
        "url",
        timeout,
        code="DNS003",
        slug="dns-timeout",
        title="DNS does not answer",
        owner="network",
        why="Either the resolver asked from here is down or filtered, or the zone's own name servers are silent. In "
        "the first case nothing is known about the name, in the second nobody can call.",
        fix="Ask another resolver (--resolver 1.1.1.1). If that one times out too, the zone's name servers are down.",
        named={"silence": dns(DnsQuery("A", "timeout", "192.0.2.53", 4000.0))},
        quiet={"an answer": dns(DnsQuery("A", "servfail", "192.0.2.53", 12.0))},
    ),
    Cause.of(
        "url",
        no_address,
        code="DNS004",
        slug="dns-no-address",
        title="The name has no address record",
        owner="you",
        why="The zone knows the name (it may hold TXT or MX records, or a CNAME that ends nowhere) but gives no "
        "address.",
        fix="Add the A/AAAA or CNAME record that the platform asks for. dig +short HOST shows when it is there.",
        named={
            "TXT only": dns(DnsQuery("A", "nodata", "192.0.2.53", 9.0), DnsQuery("AAAA", "nodata", "192.0.2.53", 9.0))
        },
        quiet={"no such name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 9.0))},
    ),
)
