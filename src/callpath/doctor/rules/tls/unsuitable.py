"""TLS015: a certificate that is trusted by name, but not fit for a web server."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import certificate, tls

_CHAIN_CODES = {2, 9, 10, 18, 19, 20, 21, 62, 64, 7}

_WORDS = {
    26: "it is not meant for servers (extended key usage)",
    24: "a certificate in the chain may not sign others (not a CA)",
    25: "the chain is longer than a CA allows",
    34: "it has a critical extension that clients do not know",
    47: "the CA may not issue for this name (name constraints)",
    66: "its key is too short",
    67: "a CA's key in the chain is too short",
    68: "a signature in the chain uses a hash that is too weak",
    23: "it has been revoked",
}  # openssl-verification-options(1), x509_vfy.h


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    if carrier.outcome != "untrusted" or carrier.verify_code in _CHAIN_CODES:
        return None
    leaf = looked.chain[0] if looked.chain else None
    reason = _WORDS.get(carrier.verify_code, carrier.verify_message)
    return Finding(
        f"the certificate is refused: {reason}",
        (
            Seen(f"verify: {carrier.verify_message} (code {carrier.verify_code})", "the check of the chain"),
            *(
                (f"key {leaf.key}, signature {leaf.signature}, purposes {', '.join(leaf.purposes) or 'any'}",)
                if leaf
                else ()
            ),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS015",
    slug="tls-certificate-unsuitable",
    title="The certificate is not fit for this use",
    owner="you",
    why="Its purpose, key, signature or place in the chain breaks a rule that clients enforce.",
    fix="Issue a new one for server authentication, with RSA 2048 or EC P-256 and SHA-256: certbot does, and openssl "
    "with -addext extendedKeyUsage=serverAuth.",
    named={
        "made for clients": tls(
            "untrusted", certificate(), verify_code=26, verify_message="unsuitable certificate purpose"
        )
    },
    quiet={"merely expired": tls("untrusted", certificate(), verify_code=10)},
)
