"""TLS001: a certificate is past its end."""

from datetime import UTC, datetime

from callpath.doctor.facts import Certificate, Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import DAY_MS, NOW_UNIX_MS, certificate, tls

_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED, openssl-verification-options(1)


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    past = [c for c in looked.chain if c.not_after_unix_ms < looked.checked_at_unix_ms]
    if looked.carrier.outcome != "untrusted":
        return None
    if looked.carrier.verify_code != _EXPIRED and not (past and past[0] is looked.chain[0]):
        return None
    if not past:
        return Finding(
            "a certificate of the trusted chain has expired (not one of those the server sent)",
            (Seen(looked.carrier.verify_message, "the handshake"),),
        )
    which = "the certificate" if past[0] is looked.chain[0] else f"the intermediate {past[0].subject}"
    days = (looked.checked_at_unix_ms - past[0].not_after_unix_ms) / DAY_MS
    return Finding(
        f"{which} expired {days:.0f} days ago" if days >= 1 else f"{which} expired {days * 24:.0f} hours ago",
        (
            f"subject: {past[0].subject}",
            Seen(f"notAfter: {_iso(past[0])}", "the certificate's own date"),
            Seen(f"verify: {looked.carrier.verify_message}", "the check of the chain"),
            f"this machine's clock: {_at(looked.checked_at_unix_ms)}",
        ),
        title="" if past[0] is looked.chain[0] else "An intermediate certificate has expired",
    )


def _iso(certificate: Certificate) -> str:
    return _at(certificate.not_after_unix_ms)


def _at(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat()


CAUSE = Cause.of(
    "url",
    check,
    code="TLS001",
    slug="tls-expired",
    title="The certificate has expired",
    owner="you",
    why="A carrier checks the certificate and hangs up in the handshake; nothing reaches the application or its log.",
    fix="Renew it and reload the server, then see why the renewal did not run (certbot renew --dry-run, the ACME log). "
    "If its dates include today, the clock of the doctor's machine is wrong: date -u.",
    named={
        "yesterday": tls(
            "untrusted",
            certificate(not_after_unix_ms=NOW_UNIX_MS - DAY_MS),
            verify_code=10,
            verify_message="certificate has expired",
        )
    },
    quiet={"still good": tls()},
)
