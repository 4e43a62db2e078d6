"""TLS016: a forwarder takes the connection, its backend is not there."""

from __future__ import annotations

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, TlsFacts, UpgradeFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import failed, nothing, tls, upgrade
from callpath.doctor.rules.tcp003_closed_on_accept import FORWARDER_MS


def check(facts: Facts) -> Finding | None:
    tls_facts = facts.get(TlsFacts)
    if UpgradeFacts not in facts and tls_facts is not None:
        carrier_tls = tls_facts.carrier
        if (
            carrier_tls.outcome in {"eof", "reset"}
            and carrier_tls.received == 0
            and carrier_tls.ms >= FORWARDER_MS
            and tls_facts.silent in {"eof", "reset"}
            and all(shape.outcome in {"eof", "reset", "timeout", "no-connection"} for shape in tls_facts.shapes)
        ):
            return Finding(
                f"the connection is held for {carrier_tls.ms / 1000:.1f} s and dropped without a byte",
                (f"ClientHello: {carrier_tls.outcome} after {carrier_tls.ms:.0f} ms",),
                confidence="medium",
            )
        return None
    carrier = refused(facts)
    if carrier is None or carrier.outcome not in {"eof", "reset"}:
        return None
    upgrade_facts = facts[UpgradeFacts]
    if any(exchange.outcome in {"answer", "malformed"} for exchange in upgrade_facts.shapes):
        return None
    if upgrade_facts.silent not in {"eof", "reset"}:
        return None
    if tls_facts is None and carrier.ms < FORWARDER_MS:
        return None
    what = (
        "TLS is done, then the connection is dropped"
        if tls_facts is not None
        else "the connection is held, then dropped"
    )
    return Finding(
        f"{what} without a byte of HTTP, even if we ask nothing",
        (show(carrier), f"silent connection: {upgrade_facts.silent}"),
        confidence="medium",
    )


RULE = Rule(
    code="TLS016",
    slug="proxy-upstream-down",
    title="A forwarder answers, but the application behind it is not there",
    layer="http",
    owner="you",
    why="Something that forwards connections without reading them (stunnel, a TCP balancer, HAProxy in tcp mode, a tunnel) "
    "accepts, cannot reach its backend, and hangs up.",
    fix="Start the application, and compare its address and port with the forwarder's backend (mind localhost "
    "against ::1).",
    masked_by=("URL003", "TLS013", "TLS014", "TLS007"),
    check=check,
    examples=(
        Example(
            "closed even in silence",
            Facts(*upgrade(failed("eof"), failed("eof", shape="plain"), silent="eof"), *tls()),
            fires=True,
        ),
        Example("a server that waits for a request", upgrade(failed("eof"), silent="open"), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
