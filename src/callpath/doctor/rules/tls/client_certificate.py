"""TLS010: the server wants a certificate from the client."""

import re

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import shake, tls

_ALERTS = ("CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA", "ALERT_NO_CERTIFICATE")

_PAGES = re.compile(
    r"No required SSL certificate was sent|SSL certificate (error|required)|client certificate (is )?required",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    if carrier.outcome in {"alert", "error"}:
        if any(name in carrier.reason for name in _ALERTS):
            return Finding(
                "the server ends the handshake because we showed no certificate",
                (Seen(f"alert: {carrier.reason}", "the handshake"),),
            )
        tls12 = looked.shape("tls12")
        if (
            "HANDSHAKE_FAILURE" in carrier.reason
            and tls12 is not None
            and tls12.asked_client_certificate
            and tls12.outcome != "ok"
        ):
            return Finding(
                "the server asks for a client certificate and ends the handshake without one",
                (
                    Seen(f"carrier's handshake: {carrier.reason}", "the handshake"),
                    Seen("a CertificateRequest stands in its TLS 1.2 flight", "a handshake of TLS 1.2"),
                ),
            )
    if UpgradeFacts in facts:
        answer = refused(facts)
        if answer is not None and answer.outcome == "answer" and _PAGES.search(answer.text):
            return Finding("the server answers that a client certificate is required", (show(answer),))
        if answer is not None and (
            "CERTIFICATE_REQUIRED" in answer.error
            or "ALERT_BAD_CERTIFICATE" in answer.error
            or "ALERT_UNKNOWN_CA" in answer.error
        ):
            return Finding(
                "the server ends the connection because we showed no certificate",
                (Seen(f"alert: {answer.error}", "the handshake"),),
            )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="TLS010",
    slug="tls-client-certificate-required",
    title="The server demands a client certificate",
    owner="you",
    why="Mutual TLS is switched on for this host. A carrier has no certificate of yours to show.",
    fix="Switch it off for the stream's host or path: nginx ssl_verify_client off; HAProxy verify none; Apache "
    "SSLVerifyClient none; stunnel verifyPeer = no; Cloudflare: no mTLS rule. Authenticate with stream_auth_token.",
    named={"TLS 1.3 says so": tls("alert", reason="TLSV13_ALERT_CERTIFICATE_REQUIRED")},
    quiet={"another alert": tls("alert", reason="SSLV3_ALERT_HANDSHAKE_FAILURE", shapes=(shake("tls12", "alert"),))},
)
