"""DNS004: the name exists and has no address."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
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
        f"{q.server}: {q.record} {' -> '.join((looked.name, *q.chain))} -> no address" for q in looked.queries
    )
    if looping or any(query.chain and query.chain[-1].rstrip(".") == looked.name for query in looked.queries):
        return Finding(f"the CNAMEs of {looked.name} lead in a circle", chains, title="The CNAMEs lead in a circle")
    return Finding(f"{looked.name} exists but has neither an A nor an AAAA record", chains)


CAUSE = Cause.of(
    "url",
    check,
    code="DNS004",
    slug="dns-no-address",
    title="The name has no address record",
    owner="you",
    why="The zone knows the name (it may hold TXT or MX records, or a CNAME that ends nowhere) but gives no address.",
    fix="Add the A/AAAA or CNAME record that the platform asks for.",
    named={"TXT only": dns(DnsQuery("A", "nodata", "192.0.2.53", 9.0), DnsQuery("AAAA", "nodata", "192.0.2.53", 9.0))},
    quiet={"no such name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 9.0))},
)
