"""TLS009: a connection opens, and the handshake never gets an answer."""

from callpath.doctor.facts import Facts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import tls


def check(facts: Facts) -> Finding | None:
    looked = facts[TlsFacts]
    if looked.carrier.outcome != "timeout" or looked.plain_answer:
        return None
    return Finding(
        "TCP opens, the ClientHello gets no answer",
        (
            Seen(f"{looked.carrier.received} bytes in {looked.carrier.ms:.0f} ms", "the handshake"),
            Seen(f"plain HTTP on the same port: {looked.plain_outcome}", "plain HTTP")
            if looked.plain_outcome
            else "plain HTTP on the same port: not tried",
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TLS009",
    slug="tls-handshake-timeout",
    title="The TLS handshake gets no answer",
    owner="you",
    why="The kernel takes the connection, but nobody reads it: a process that hangs or is starved, one that accepts "
    "and never reads, or another service on the port. Packets too large for the way look alike from some networks.",
    fix="See what holds the port and whether it runs: ss -ltnp, top, its log. If it works from other networks, "
    "suspect the MTU.",
    named={"silence": tls("timeout")},
    quiet={"an alert": tls("alert")},
)
