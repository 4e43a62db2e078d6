"""URL008: the port of the URL is closed, while the usual one serves."""

from __future__ import annotations

from callpath.doctor.facts import Facts, TcpAttempt, TcpFacts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing, tcp


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    given = facts[UrlFacts]
    if connections.open:
        return None
    usual = [attempt for attempt in connections.usual_port if attempt.outcome == "open"]
    if not usual or (given.secure and not connections.usual_port_speaks_tls):
        return None
    outcomes = ", ".join(f"{a.address}:{a.port} {a.outcome}" for a in connections.attempts)
    return Finding(
        f"port {given.port} takes no connection, port {usual[0].port} on the same address does",
        (outcomes, f"{usual[0].address}:{usual[0].port} open" + (" and speaks TLS" if given.secure else "")),
        fix=f"wss://{given.host}{given.target}",
    )


RULE = Rule(
    code="URL008",
    slug="url-port-mismatch",
    title="The URL names a port that is not published",
    layer="url",
    owner="you",
    why="Platforms publish 443 only; the port that the application listens on (3000, 8080) exists inside. With it in "
    "the URL the connection ends at the edge or in a firewall.",
    fix="Leave the port out of the public URL.",
    check=check,
    examples=(
        Example(
            "443 answers",
            tcp("timeout", usual_port=(TcpAttempt("203.0.113.1", 443, "open", 9.0),), usual_port_speaks_tls=True),
            fires=True,
        ),
        Example("nothing answers", tcp("timeout"), fires=False),
        Example("no connection was tried", nothing(), fires=None),
    ),
)
