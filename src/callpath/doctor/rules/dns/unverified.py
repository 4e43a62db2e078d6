"""PLATFORM004: the host does not believe that the domain is ours."""

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import domain, platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None:
        raise FactMissing(PlatformFacts)
    wrong = [
        row
        for row in seen.domains
        if row.verified is False and (not seen.public_host or row.domain == seen.public_host)
    ]
    if not wrong:
        return None
    return Finding(
        f"{seen.platform} has not verified {wrong[0].domain}: its TXT record is missing", ("verified: false",)
    )


CAUSE = Cause.of(
    "account",
    check,
    code="PLATFORM004",
    slug="platform-domain-unverified",
    title="The host has not verified the domain",
    owner="you",
    why="A custom domain needs the CNAME and a TXT record. Without the second the edge answers 404 in place of routing.",
    fix="Set the TXT record that the host shows beside the domain (service, Settings, Networking).",
    named={"not verified": platform(domain(verified=False))},
    quiet={"verified": platform(), "a name of the platform's own": platform(domain(custom=False, verified=None))},
)
