"""TCP002: packets vanish."""

from callpath.doctor.facts import Facts, TcpFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import tcp


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    outcomes = {attempt.outcome for attempt in connections.attempts}
    if connections.open or "timeout" not in outcomes or outcomes & {"refused", "reset"}:
        return None
    shown = tuple(f"{a.address}:{a.port} {a.outcome} after {a.ms:.0f} ms" for a in connections.attempts)
    return Finding(f"no answer at all to a connection on port {connections.attempts[0].port}", shown)


CAUSE = Cause.of(
    "url",
    check,
    code="TCP002",
    slug="tcp-timeout-firewall-drop",
    title="Connections are dropped without an answer",
    owner="network",
    why="A firewall or security group drops the packets, or the address belongs to no running machine.",
    fix="Open the port for the internet (or at least for the carrier's ranges) in the cloud firewall, the security "
    "group and on the host itself; check that the address is the machine's.",
    named={"packets vanish": tcp("timeout")},
    quiet={"refused": tcp("refused")},
)
