"""TLS011: the server has no certificate for this name."""

from callpath.doctor.facts import Facts, TlsFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import shake, tls


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    if carrier.outcome not in {"alert", "error", "eof", "reset", "timeout"}:
        return None
    given = facts[UrlFacts]
    reason = carrier.reason.upper()
    if "UNRECOGNIZED_NAME" in reason:
        return Finding(f"the server knows no host {given.host}", (Seen(f"alert: {carrier.reason}", "the handshake"),))
    nameless = [
        shape
        for shape in (looked.shape("no-sni"), looked.shape("other-sni"))
        if shape is not None and shape.outcome == "ok"
    ]
    unverified = looked.shape("unverified")
    if nameless and unverified is not None and unverified.outcome not in {"ok", "untrusted"}:
        other = "no name" if nameless[0].shape == "no-sni" else "another name"
        return Finding(
            f"a handshake for {given.host} fails, one for {other} works",
            (
                Seen(f"with this name: {carrier.outcome} {carrier.reason}".rstrip(), "the handshake"),
                Seen(f"{nameless[0].shape}: {nameless[0].version}", f"a handshake for {other}"),
            ),
        )
    if "ALERT_INTERNAL_ERROR" in reason and carrier.alert_before_hello:
        # What Go's TLS (Caddy, Traefik) says when its table of certificates has none for the name.
        return Finding(
            f"the server cannot find a certificate for {given.host}",
            (Seen(f"alert before any hello: {carrier.reason}", "the handshake"),),
            confidence="medium",
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="TLS011",
    slug="tls-unrecognized-name",
    title="The server has no certificate for this name",
    owner="you",
    why="The TLS terminator chooses by the name in the handshake (SNI) and knows no site of this name: the domain was "
    "not added, or its certificate is not issued yet.",
    fix="Add the host to the proxy's or platform's domains, and wait until its certificate is issued; remove "
    "strict-sni / ssl_reject_handshake for it.",
    named={
        "strict about names": tls("alert", reason="TLSV1_UNRECOGNIZED_NAME"),
        "works without the name": tls(
            "alert", reason="X", shapes=(shake("no-sni", version="TLSv1.3"), shake("unverified", "alert"))
        ),
    },
    quiet={"a good handshake": tls()},
)
