"""PLATFORM003: a DNS record of the domain is not what the host needs."""

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import domain, platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None:
        raise FactMissing(PlatformFacts)
    for row in seen.domains:
        wrong = [record for record in row.dns_records if record[2].endswith("REQUIRES_UPDATE")]
        if not wrong or (seen.public_host and row.domain != seen.public_host):
            continue
        required, current, _ = wrong[0]
        return Finding(
            f"a DNS record of {row.domain} has to be {required}, and is {current or 'missing'}",
            tuple(
                f"required {required}, found {current or 'nothing'}: {status}" for required, current, status in wrong
            ),
            fix="\n".join(f"Set the record of {row.domain} to {required}" for required, _, _ in wrong),
        )
    return None


STALE = domain(dns_records=(("abc.up.railway.app", "old.example.net", "DNS_RECORD_STATUS_REQUIRES_UPDATE"),))

RIGHT = domain(dns_records=(("abc.up.railway.app", "abc.up.railway.app", "DNS_RECORD_STATUS_PROPAGATED"),))

CAUSE = Cause.of(
    "account",
    check,
    code="PLATFORM003",
    slug="platform-dns-requires-update",
    title="A DNS record of the domain is not what the host needs",
    owner="you",
    why="The name leads elsewhere, or the host cannot see that it is yours, and routes nothing.",
    fix="Set the records as the host shows them for this domain.",
    named={"the CNAME names another host": platform(STALE)},
    quiet={"as it has to be": platform(RIGHT)},
)
