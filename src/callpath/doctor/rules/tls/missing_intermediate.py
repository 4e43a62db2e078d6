"""TLS005: the server sends its certificate without the one between it and the root."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import certificate, tls
from callpath.doctor.rules.tls.untrusted_root import chain_ends_early

_UNKNOWN_ISSUER = {2, 20, 21}


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome != "untrusted" or looked.carrier.verify_code not in _UNKNOWN_ISSUER:
        return None
    if not chain_ends_early(looked):
        return None
    last = looked.chain[-1]
    unordered = len(looked.chain) > 1 and looked.chain[0].issuer not in {c.subject for c in looked.chain}
    return Finding(
        f"the certificate of {last.issuer if not unordered else looked.chain[0].issuer} is missing in what the "
        f"server sends",
        (
            f"sent: {' <- '.join(c.subject for c in looked.chain)}",
            Seen(f"verify: {looked.carrier.verify_message}", "the check of the chain"),
            *(
                Seen(f"the missing one is at {location}", "the issuer's certificate")
                if looked.issuer_found_by_url
                else f"the missing one should be at {location}"
                for location in last.issuer_urls[:1]
            ),
        ),
        confidence="high" if looked.issuer_found_by_url or last.issuer_issuer else "medium",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS005",
    slug="tls-missing-intermediate",
    title="The server does not send the intermediate certificate",
    owner="you",
    why="Browsers fetch or remember intermediates and show no error; carriers, curl and most libraries do not.",
    fix="Send the full chain: nginx ssl_certificate fullchain.pem; HAProxy: leaf, intermediate and key in one .pem; "
    "Apache SSLCertificateFile fullchain.pem; stunnel cert = fullchain.pem; Node: cert: readFileSync('fullchain.pem').",
    named={
        "leaf alone": tls(
            "untrusted",
            certificate(issuer="CN=Example Intermediate CA"),
            verify_code=21,
            verify_message="unable to verify the first certificate",
        )
    },
    quiet={"a whole chain": tls()},
)
