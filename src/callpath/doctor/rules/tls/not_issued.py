"""PLATFORM002: the domain has no certificate yet."""

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import domain, platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None:
        raise FactMissing(PlatformFacts)
    for row in seen.domains:
        if row.certificate in ("", "VALID") or (seen.public_host and row.domain != seen.public_host):
            continue
        why = f", because of {row.certificate_error}" if row.certificate_error else ""
        failed = row.certificate.endswith("FAILED")
        return Finding(
            f"the certificate of {row.domain} {'could not be issued' if failed else 'is not issued yet'}{why}",
            (f"certificateStatus: {row.certificate}",),
        )
    return None


CAUSE = Cause.of(
    "account",
    check,
    code="PLATFORM002",
    slug="platform-certificate-not-issued",
    title="The domain has no certificate yet",
    owner="you",
    why="Until it is issued the host answers with a certificate for another name, and Telnyx hangs up in the "
    "handshake: no webhook, no audio.",
    fix="Set the CNAME and the TXT record that the host shows for this domain; a CAA record has to allow "
    "letsencrypt.org; behind Cloudflare, switch its proxy off until the certificate is there. It mostly takes less "
    "than an hour.",
    named={
        "still waiting": platform(domain(certificate="VALIDATING_OWNERSHIP")),
        "failed": platform(domain(certificate="ISSUE_FAILED", certificate_error="RATE_LIMIT")),
    },
    quiet={
        "issued": platform(),
        "of a name that calls do not use": platform(domain(), domain("b.example.com", certificate="ISSUING")),
    },
)
