"""TLS008: the server knows only versions that are too old."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import shake, tls


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    if carrier.outcome not in {"alert", "error", "eof", "reset"}:
        return None
    old = looked.shape("tls11")
    reason = carrier.reason.upper()
    named = "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason
    works = old is not None and old.outcome == "ok" and old.version in {"TLSv1", "TLSv1.1", "SSLv3"}
    if not (named or works):
        return None
    tls12 = looked.shape("tls12")
    if tls12 is not None and tls12.outcome == "ok":
        return None
    version = old.version if works and old is not None else "an older version"
    return Finding(
        f"the server speaks {version} and nothing newer",
        (
            Seen(f"carrier's handshake: {carrier.reason or carrier.outcome}", "the handshake"),
            *(
                (Seen(f"with old versions allowed: {old.version}", "a handshake of old versions"),)
                if works and old
                else ()
            ),
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS008",
    slug="tls-protocol-too-old",
    title="The server's TLS is too old",
    owner="you",
    why="Carriers need TLS 1.2 or newer; TLS 1.0 and 1.1 are retired (RFC 8996).",
    fix="Allow 1.2 and 1.3: nginx ssl_protocols TLSv1.2 TLSv1.3; HAProxy ssl-min-ver TLSv1.2 (and no ssl-max-ver "
    "below); stunnel: remove sslVersionMax.",
    named={
        "TLS 1.1 at most": tls(
            "alert", reason="TLSV1_ALERT_PROTOCOL_VERSION", shapes=(shake("tls11", version="TLSv1.1"),)
        )
    },
    quiet={"TLS 1.3": tls()},
)
