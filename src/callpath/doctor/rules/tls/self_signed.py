"""TLS003: the certificate vouches for itself."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import certificate, tls

_SELF_SIGNED_LEAF = 18  # X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome != "untrusted" or not looked.chain:
        return None
    leaf = looked.chain[0]
    if looked.carrier.verify_code != _SELF_SIGNED_LEAF and not (
        leaf.self_signed and looked.carrier.verify_code in {19, 20, 21}
    ):
        return None
    return Finding(
        "the certificate is signed by itself",
        (
            Seen(f"subject and issuer: {leaf.subject}", "the certificate itself"),
            Seen(f"verify: {looked.carrier.verify_message}", "the check of the chain"),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS003",
    slug="tls-self-signed",
    title="The certificate is self-signed",
    owner="you",
    why="No authority vouches for it, so a carrier hangs up. curl -k and a browser with an exception hide this.",
    fix="Get a certificate from a public authority: certbot --nginx -d HOST, or Caddy, which does it by itself.",
    named={
        "signed by itself": tls(
            "untrusted", certificate(self_signed=True), verify_code=18, verify_message="self-signed certificate"
        )
    },
    quiet={"a good one": tls()},
)
