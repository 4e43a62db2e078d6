"""DNS001: the name does not exist."""

from callpath.doctor.facts import DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import dns


def check(facts: Facts) -> Finding | None:
    looked = facts[DnsFacts]
    denied = [query for query in looked.queries if query.outcome == "nxdomain"]
    if looked.addresses or not denied:
        return None
    query = denied[0]
    if query.chain:
        return Finding(
            f"{looked.name} points at {query.chain[-1]}, and that name does not exist",
            (f"{query.server}: {looked.name} CNAME {' -> '.join(query.chain)} -> NXDOMAIN",),
            fix=f"Point the CNAME of {looked.name} at a name that exists, or bring {query.chain[-1]} back.",
        )
    return Finding(
        f"{looked.name} does not exist (NXDOMAIN)", tuple(f"{q.server}: {q.record} NXDOMAIN" for q in denied)
    )


CAUSE = Cause.of(
    "url",
    check,
    code="DNS001",
    slug="dns-nxdomain",
    title="The host name does not exist",
    owner="you",
    why="No record, a misspelt host, an expired domain, or a CNAME to a service that is gone: nobody can connect.",
    fix="Create the record (at Railway a custom domain needs its CNAME and its TXT), or correct the host in the URL.",
    named={"a misspelt name": dns(DnsQuery("A", "nxdomain", "192.0.2.53", 12.0))},
    quiet={"a record": dns(DnsQuery("A", "answer", "192.0.2.53", 12.0, ("203.0.113.1",)), addresses=("203.0.113.1",))},
)
