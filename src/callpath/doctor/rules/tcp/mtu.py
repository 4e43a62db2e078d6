"""TCP005: small packets pass, full ones vanish."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import tls


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    carrier = looked.carrier
    speaks_tls = b"HTTPS" in looked.plain_answer or b"SSL-enabled" in looked.plain_answer
    if carrier.outcome != "timeout" or not speaks_tls:
        return None
    return Finding(
        "the server takes connections and answers short requests, but its TLS flight never arrives whole",
        (
            Seen(f"TLS: {carrier.received} bytes in {carrier.ms:.0f} ms", "the handshake"),
            Seen(f"plain HTTP on the same port: {looked.plain_answer[:60]!r}", "plain HTTP"),
        ),
        confidence="medium",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TCP005",
    slug="tcp-mtu-blackhole",
    title="Large packets are lost on the way",
    owner="network",
    why="A tunnel, VPN or PPPoE link has a smaller packet size, and the message that would say so (ICMP fragmentation "
    "needed) is filtered: short answers pass, the certificates do not.",
    fix="Clamp the MSS on the tunnel (iptables -t mangle ... TCPMSS --clamp-mss-to-pmtu), and let ICMP type 3 code 4 "
    "through.",
    named={"a short answer passes": tls("timeout", plain_answer=b"HTTP/1.1 400 sent to HTTPS port")},
    quiet={"nothing passes": tls("timeout")},
)
