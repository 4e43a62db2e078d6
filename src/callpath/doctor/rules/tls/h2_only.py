"""TLS014: the listener speaks HTTP/2 alone."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import answer, failed, upgrade


def check(facts: Facts) -> Finding | None:
    tls = facts.get(TlsFacts)
    if tls is not None and tls.carrier.outcome != "ok" and UpgradeFacts not in facts:
        if "NO_APPLICATION_PROTOCOL" in tls.carrier.reason:
            return Finding(
                "the server refuses HTTP/1.1 in the handshake", (Seen(f"alert: {tls.carrier.reason}", "the handshake"),)
            )
        return None
    carrier = refused(facts)
    if carrier is None:
        return None
    h2 = facts[UpgradeFacts].shape("h2")
    speaks_h2 = h2 is not None and h2.version == "2"
    # Settings in the place of an HTTP/1 answer: what listeners say that know nothing else.
    settings_came = carrier.outcome == "malformed" and len(carrier.raw) >= 9 and carrier.raw[3] in {4, 7}
    if (
        carrier.outcome == "answer"
        and carrier.status == 505
        and "HTTP/1.0" not in carrier.text
        and speaks_h2
        and carrier.version != "2"
    ):
        return Finding("HTTP/1.1 is refused, HTTP/2 is spoken", (show(carrier),))
    if (carrier.outcome in {"eof", "reset", "timeout"} and speaks_h2) or settings_came:
        plain = facts[UpgradeFacts].shape("plain")
        if plain is not None and plain.outcome == "answer":
            return None
        return Finding(
            "HTTP/1.1 gets no answer, HTTP/2 does",
            (show(carrier), Seen("the same path over HTTP/2 -> an answer", "the request over HTTP/2")),
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="TLS014",
    slug="http2-only-endpoint",
    title="The listener speaks HTTP/2 only",
    owner="you",
    why="A WebSocket upgrade is an HTTP/1.1 request. This listener takes only HTTP/2 (ALPN h2, or proto h2), as made "
    "for gRPC.",
    fix="Offer http/1.1 as well: HAProxy `alpn h2,http/1.1` and no `proto h2`; Cloud Run: no end-to-end HTTP/2; "
    "nginx: plain listen.",
    named={"only h2 answers": upgrade(failed("eof"), failed("answer", shape="h2", version="2"))},
    quiet={
        "nothing answers": upgrade(failed("eof"), failed("eof", shape="h2")),
        "an ordinary refusal": upgrade(answer(404)),
    },
)
