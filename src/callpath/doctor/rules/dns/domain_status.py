"""PLATFORM003: the platform does not route the custom domain yet."""

from callpath.doctor.facts import FactMissing, Facts, PlatformDomain, PlatformFacts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import domain, platform


def _of_calls(facts: Facts) -> tuple[PlatformDomain, ...]:
    """The domain that calls use, or all where that is not known."""
    seen = facts[PlatformFacts]
    if seen.domains is None:
        raise FactMissing(PlatformFacts)
    return tuple(row for row in seen.domains if not seen.public_host or row.domain == seen.public_host)


def wrong_record(facts: Facts) -> Finding | None:
    for row in _of_calls(facts):
        wrong = [record for record in row.dns_records if record[2].endswith("REQUIRES_UPDATE")]
        if wrong:
            required, current, _ = wrong[0]
            return Finding(
                f"a DNS record of {row.domain} has to be {required}, and is {current or 'missing'}",
                tuple(
                    f"required {required}, found {current or 'nothing'}: {status}"
                    for required, current, status in wrong
                ),
                fix="\n".join(f"Set the record of {row.domain} to {required}" for required, _, _ in wrong),
            )
    return None


def unverified(facts: Facts) -> Finding | None:
    for row in _of_calls(facts):
        if row.verified is False:
            return Finding(
                f"{facts[PlatformFacts].platform} has not verified {row.domain}: its TXT record is missing",
                ("verified: false",),
            )
    return None


def not_issued(facts: Facts) -> Finding | None:
    for row in _of_calls(facts):
        if row.certificate not in ("", "VALID"):
            why = f", because of {row.certificate_error}" if row.certificate_error else ""
            failed = row.certificate.endswith("FAILED")
            return Finding(
                f"the certificate of {row.domain} {'could not be issued' if failed else 'is not issued yet'}{why}",
                (f"certificateStatus: {row.certificate}",),
            )
    return None


STALE = domain(dns_records=(("abc.up.railway.app", "old.example.net", "DNS_RECORD_STATUS_REQUIRES_UPDATE"),))
RIGHT = domain(dns_records=(("abc.up.railway.app", "abc.up.railway.app", "DNS_RECORD_STATUS_PROPAGATED"),))

CAUSE = Cause(
    code="PLATFORM003",
    slug="platform-domain-not-ready",
    merged=("platform-dns-requires-update", "platform-domain-unverified", "platform-certificate-not-issued"),
    title="The custom domain is not set up at the host",
    owner="you",
    why="The host routes a custom domain only once its DNS records, its verification and its certificate are in order.",
    fix="Set the records as the host shows them for this domain (service, Settings, Networking); dig +short HOST "
    "CNAME shows what is published.",
    signs=(
        Sign(
            "account",
            wrong_record,
            title="A DNS record of the domain is not what the host needs",
            why="The name leads elsewhere, or the host cannot see that it is yours, and routes nothing.",
            named={"the CNAME names another host": platform(STALE)},
            quiet={"as it has to be": platform(RIGHT)},
        ),
        Sign(
            "account",
            unverified,
            code="PLATFORM004",
            title="The host has not verified the domain",
            why="A custom domain needs the CNAME and a TXT record. Without the second the edge answers 404 in place "
            "of routing.",
            fix="Set the TXT record that the host shows beside the domain (service, Settings, Networking); dig +short "
            "HOST TXT shows what is published.",
            named={"not verified": platform(domain(verified=False))},
            quiet={
                "verified": platform(),
                "a name of the platform's own": platform(domain(custom=False, verified=None)),
            },
        ),
        Sign(
            "account",
            not_issued,
            code="PLATFORM002",
            title="The domain has no certificate yet",
            why="Until it is issued the host answers with a certificate for another name, and Telnyx hangs up in the "
            "handshake: no webhook, no audio.",
            fix="Set the CNAME and the TXT record that the host shows for this domain; a CAA record has to allow "
            "letsencrypt.org; behind Cloudflare, switch its proxy off until the certificate is there. It mostly takes "
            "less than an hour.",
            named={
                "still waiting": platform(domain(certificate="VALIDATING_OWNERSHIP")),
                "failed": platform(domain(certificate="ISSUE_FAILED", certificate_error="RATE_LIMIT")),
            },
            quiet={
                "issued": platform(),
                "of a name that calls do not use": platform(domain(), domain("b.example.com", certificate="ISSUING")),
            },
        ),
    ),
)
