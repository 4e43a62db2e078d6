"""TLS012: no cipher, curve or signature that both sides take."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import shake, tls


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    if carrier.outcome not in {"alert", "error"}:
        return None
    wide = looked.shape("all-ciphers")
    unverified = looked.shape("unverified")
    if (
        wide is not None
        and wide.outcome == "ok"
        and unverified is not None
        and unverified.outcome not in {"ok", "untrusted"}
    ):
        return Finding(
            f"only outdated parameters would do: {wide.version} {wide.cipher}",
            (
                Seen(f"carrier's handshake: {carrier.reason}", "the handshake"),
                Seen(f"with everything allowed: {wide.version} {wide.cipher}", "a handshake with everything allowed"),
            ),
        )
    wrong = ("DH_KEY_TOO_SMALL", "WRONG_SIGNATURE_TYPE", "NO_SHARED", "NO_SUITABLE", "BAD_ECPOINT", "WRONG_CURVE")
    if any(name in carrier.reason for name in wrong):
        return Finding(
            "the server's key exchange is too weak or unknown",
            (Seen(f"carrier's handshake: {carrier.reason}", "the handshake"),),
        )
    if (
        "HANDSHAKE_FAILURE" in carrier.reason
        and carrier.alert_before_hello
        and all(shape.outcome not in {"ok", "untrusted"} for shape in looked.shapes)
    ):
        return Finding(
            "the server refuses every set of ciphers we offer",
            (
                Seen(
                    f"alert before any hello, in {len(looked.shapes)} shapes: {carrier.reason}",
                    "handshakes",
                    len(looked.shapes),
                ),
            ),
            confidence="medium",
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="TLS012",
    slug="tls-no-shared-cipher",
    title="Server and carrier have no cipher in common",
    owner="you",
    why="The server's list of ciphers, curves or its key fits no modern client (an old list, or one so strict that it "
    "is empty for this certificate's key type).",
    fix="Use a maintained list (ssl-config.mozilla.org, intermediate; nginx: ssl_protocols TLSv1.2 TLSv1.3;) or "
    "remove the directive; check that the key type (RSA, ECDSA) fits the ciphers.",
    named={
        "only outdated ciphers": tls(
            "alert",
            reason="SSLV3_ALERT_HANDSHAKE_FAILURE",
            shapes=(shake("all-ciphers", cipher="DES-CBC3-SHA"), shake("unverified", "alert")),
        )
    },
    quiet={"a good handshake": tls()},
)
