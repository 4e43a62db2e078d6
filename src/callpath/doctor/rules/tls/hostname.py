"""TLS006: a good certificate, for another name."""

from callpath.doctor.facts import Facts, TlsFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import certificate, tls

_MISMATCH = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome != "untrusted" or looked.carrier.verify_code not in _MISMATCH:
        return None
    given = facts[UrlFacts]
    leaf = looked.chain[0] if looked.chain else None
    names = ", ".join(leaf.names) if leaf and leaf.names else "no name at all (no SAN)"
    fix = ""
    if (
        leaf
        and any(name.endswith(".up.railway.app") for name in leaf.names)
        and not given.host.endswith(".railway.app")
    ):
        fix = (
            "Railway still shows its own certificate: add the CNAME and the TXT record of the custom domain and wait "
            "until it is issued."
        )
    elif given.host_is_address:
        fix = "Use the host name in the URL, never the address."
    return Finding(
        f"the certificate is for {names}, the URL says {given.host}",
        (
            Seen(f"verify: {looked.carrier.verify_message}", "the check of the chain"),
            *((Seen(f"subject: {leaf.subject}; names: {names}", "the certificate itself"),) if leaf else ()),
        ),
        fix=fix,
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS006",
    slug="tls-hostname-mismatch",
    title="The certificate is for another name",
    owner="you",
    why="A custom domain without its own certificate, another virtual host that answers first, an old host, or a bare "
    "IP in the URL: a carrier hangs up in the handshake.",
    fix="Attach the domain at the platform and wait for its certificate, or issue one whose SAN holds this very name: "
    "certbot certonly -d HOST",
    named={
        "another site": tls(
            "untrusted", certificate(names=("www.example.net",)), verify_code=62, verify_message="Hostname mismatch"
        )
    },
    quiet={"the right one": tls()},
)
