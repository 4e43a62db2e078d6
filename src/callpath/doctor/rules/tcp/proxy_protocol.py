"""TLS013: the listener waits for the PROXY header of a balancer."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, failed, upgrade


def check(facts: Facts) -> Finding | None:
    if UpgradeFacts not in facts:
        looked = facts[TlsFacts]
        shape = looked.shape("proxy-header")
        unverified = looked.shape("unverified")
        if shape is None or shape.outcome != "ok" or (unverified is not None and unverified.outcome == "ok"):
            return None
        return Finding(
            "the handshake works only after a PROXY header",
            (f"carrier's handshake: {looked.carrier.outcome}", f"after a PROXY header: {shape.version}"),
        )
    carrier = refused(facts)
    if carrier is None:
        return None
    better = facts[UpgradeFacts].shape("proxy-header")
    if better is None or better.outcome != "answer":
        return None
    if better.upgraded or (carrier.outcome != "answer" and better.status not in {400, 408}):
        return Finding("the port answers only after a PROXY header", (show(carrier), show(better)))
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="TLS013",
    slug="proxy-protocol-expected",
    title="The listener expects the PROXY protocol",
    owner="you",
    why="A balancer that writes a PROXY line before each connection was meant to stand in front. A carrier that "
    "connects directly writes none, and is dropped.",
    fix="Send the traffic through that balancer, or remove the expectation: nginx `listen ... proxy_protocol`, "
    "HAProxy `accept-proxy`, Apache RemoteIPProxyProtocol, Caddy proxy_protocol listener wrapper.",
    named={"only after a PROXY line": upgrade(failed("eof"), answer(101, shape="proxy-header"))},
    quiet={"closed either way": upgrade(failed("eof"), failed("eof", shape="proxy-header"))},
)
