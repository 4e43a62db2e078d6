"""TCP003: connections are taken and dropped before a word is said."""

from callpath.doctor.facts import Facts, TcpFacts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import shake, tls

FORWARDER_MS = 900.0
"""A forwarder tries its backend again for about a second or more (HAProxy: three times, a second apart) before it
gives up; a listener that wants nobody closes at once."""


def check(facts: Facts) -> Finding | None:
    facts[TcpFacts]
    upgrade_facts, tls_facts = facts.get(UpgradeFacts), facts.get(TlsFacts)
    if upgrade_facts is not None and tls_facts is None:
        tries = (upgrade_facts.carrier, *(x for x in upgrade_facts.shapes if x.shape != "h2"))
        cut = all(exchange.outcome in {"eof", "reset"} for exchange in tries)
        if cut and upgrade_facts.silent in {"eof", "reset"} and upgrade_facts.carrier.ms < FORWARDER_MS:
            return Finding(
                "the connection is accepted and dropped at once, even if we say nothing",
                (
                    Seen(f"silent connection: {upgrade_facts.silent}", "a silent connection"),
                    Seen(f"upgrade request: {upgrade_facts.carrier.outcome}", "the request as Telnyx"),
                ),
            )
    elif tls_facts is not None:
        carrier = tls_facts.carrier
        shapes = tls_facts.shapes
        cut = carrier.outcome in {"eof", "reset"} and carrier.received == 0 and carrier.ms < FORWARDER_MS
        cut = cut and tls_facts.silent in {"eof", "reset"}  # or it waits for a word, and dislikes ours
        if (
            cut
            and shapes
            and all(shape.outcome in {"eof", "reset"} for shape in shapes)
            and tls_facts.plain_outcome in {"eof", "reset"}
        ):
            return Finding(
                "the connection is accepted and dropped without a byte, whatever we say",
                (
                    Seen(f"ClientHello: {carrier.outcome}", "the handshake"),
                    Seen(f"plain HTTP: {tls_facts.plain_outcome}", "plain HTTP"),
                ),
                confidence="medium",
            )
    return None


def _tls_cut(outcome: str) -> Facts:
    facts = tls(
        outcome, shapes=(shake("tls12", outcome), shake("no-sni", outcome)), plain_outcome="reset", silent="reset"
    )
    facts.add(TcpFacts(attempts=()))
    return facts


CAUSE = Cause.of(
    "url",
    check,
    code="TCP003",
    slug="tcp-reset-on-accept",
    title="Connections are accepted and dropped at once",
    owner="you",
    why="Something takes the connection and closes it before any protocol begins: a forwarder whose backend is gone, "
    "a connection limit, a filter by source address (tcpwrappers, a proxy's reject rule), or a crashing accept loop.",
    fix="Look at what holds the port (ss -ltnp) and at its log for this second; check its backend, limits and source "
    "rules.",
    named={"reset in the handshake, whatever is said": _tls_cut("reset")},
    quiet={"an alert is an answer": _tls_cut("alert")},
)
