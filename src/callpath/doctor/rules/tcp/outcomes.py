"""How every attempt to connect ended: one row an outcome."""

from callpath.doctor.facts import Facts, TcpFacts
from callpath.doctor.rule import Cause, Check, Finding, Owner, Seen
from callpath.doctor.rules.sample import tcp

_LOCAL = {"ENETUNREACH", "EADDRNOTAVAIL", "EACCES", "EPERM"}
"""Errors of this machine: no packet left it."""


def _ended(outcomes: frozenset[str], but: frozenset[str], words: str) -> Check:
    """Nothing opened, one attempt ended in one of `outcomes`, and none in one of `but`."""

    def check(facts: Facts) -> Finding | None:
        connections = facts[TcpFacts]
        seen = {attempt.outcome for attempt in connections.attempts}
        if connections.open or not seen & outcomes or seen & but:
            return None
        shown = tuple(
            Seen(f"{a.address}:{a.port} {a.outcome}{f' ({a.error})' if a.error else ''} after {a.ms:.0f} ms", a.address)
            for a in connections.attempts
        )
        if all(attempt.error in _LOCAL for attempt in connections.attempts):
            return Finding(
                "this machine has no way to the address, so nothing is known about the server",
                shown,
                kind="open",
                question="Does it connect from a machine with that address family and no local firewall?",
            )
        return Finding(words.format(port=connections.attempts[0].port), shown)

    return check


def _row(code: str, slug: str, title: str, owner: Owner, check: Check, *, why: str, fix: str, named: Facts) -> Cause:
    return Cause.of(
        "url", check, code=code, slug=slug, title=title, owner=owner, why=why, fix=fix,
        named={"as it says": named}, quiet={"another outcome": tcp("timeout" if code == "TCP001" else "refused")},
    )  # fmt: skip


REFUSED, TIMEOUT = frozenset({"refused", "reset"}), frozenset({"timeout"})

CAUSES = (
    _row(
        "TCP001", "tcp-refused", "Nothing accepts connections on this port", "you",
        _ended(REFUSED, frozenset(), "port {port} refuses connections"),
        why="The machine is there and says no: the process is down, listens on another port or only on 127.0.0.1, or "
        "a firewall rejects. All four look the same from outside.",
        fix="Start the server, bind 0.0.0.0 (not 127.0.0.1) and the right port, open it in the firewall: ss -ltnp "
        "shows who listens.",
        named=tcp("refused"),
    ),
    _row(
        "TCP002", "tcp-timeout-firewall-drop", "Connections are dropped without an answer", "network",
        _ended(TIMEOUT, REFUSED, "no answer at all to a connection on port {port}"),
        why="A firewall or security group drops the packets, or the address belongs to no running machine.",
        fix="Open the port for the internet (or at least for the carrier's ranges) in the cloud firewall, the "
        "security group and on the host itself (ufw allow 443/tcp); check that the address is the machine's.",
        named=tcp("timeout"),
    ),
    _row(
        "TCP004", "tcp-host-unreachable", "The network reports that the host cannot be reached", "network",
        _ended(frozenset({"unreachable", "denied", "error"}), REFUSED | TIMEOUT, "the network says that there is no way"),
        why="A router or firewall on the way answers for the host: no route, the host is down, or a rule rejects with "
        "an ICMP message.",
        fix="Check that the address is the running machine's, and firewall rules that reject with "
        "icmp-host-prohibited: iptables -L -n | grep REJECT",
        named=tcp("unreachable"),
    ),
)  # fmt: skip
