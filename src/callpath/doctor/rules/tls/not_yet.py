"""TLS002: a certificate is not valid yet."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import DAY_MS, NOW_UNIX_MS, certificate, tls

_NOT_YET = 9  # X509_V_ERR_CERT_NOT_YET_VALID


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome != "untrusted":
        return None
    early = [c for c in looked.chain if c.not_before_unix_ms > looked.checked_at_unix_ms]
    if looked.carrier.verify_code != _NOT_YET and not (early and early[0] is looked.chain[0]):
        return None
    hours = (early[0].not_before_unix_ms - looked.checked_at_unix_ms) / 3_600_000 if early else 0
    return Finding(
        f"the certificate is valid only in {hours:.0f} hours",
        (
            Seen(looked.carrier.verify_message, "the check of the chain"),
            *(Seen(f"subject: {c.subject}", "the certificate's own date") for c in early),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS002",
    slug="tls-not-yet-valid",
    title="The certificate is not valid yet",
    owner="you",
    why="It was made on a machine whose clock runs ahead, or for a later start, or the clock here runs behind.",
    fix="Issue it again with the right time (timedatectl shows the clock), or check this machine's own clock.",
    named={
        "from tomorrow": tls(
            "untrusted",
            certificate(not_before_unix_ms=NOW_UNIX_MS + DAY_MS),
            verify_code=9,
            verify_message="certificate is not yet valid",
        )
    },
    quiet={"valid": tls()},
)
