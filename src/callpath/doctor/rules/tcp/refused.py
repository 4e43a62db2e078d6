"""TCP001: nothing listens, or a firewall says no at once."""

from callpath.doctor.facts import Facts, TcpFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import tcp


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    if connections.open or not any(attempt.outcome in {"refused", "reset"} for attempt in connections.attempts):
        return None
    shown = tuple(f"{a.address}:{a.port} {a.outcome} after {a.ms:.0f} ms" for a in connections.attempts)
    return Finding(f"port {connections.attempts[0].port} refuses connections", shown)


CAUSE = Cause.of(
    "url",
    check,
    code="TCP001",
    slug="tcp-refused",
    title="Nothing accepts connections on this port",
    owner="you",
    why="The machine is there and says no: the process is down, listens on another port or only on 127.0.0.1, or a "
    "firewall rejects. All four look the same from outside.",
    fix="Start the server, bind 0.0.0.0 (not 127.0.0.1) and the right port, open it in the firewall: ss -ltnp shows "
    "who listens.",
    named={"nothing listens": tcp("refused")},
    quiet={"it hangs instead": tcp("timeout")},
)
