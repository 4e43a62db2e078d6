"""MACHINE003: the name has IPv6 addresses only, and this machine has no IPv6."""

from callpath.doctor.facts import ControlFacts, Facts, TcpAttempt, TcpFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import control, tcp, url

_SIX = TcpFacts(attempts=(TcpAttempt("2001:db8::1", 443, "unreachable", 1.0, "ENETUNREACH"),))


def check(facts: Facts) -> Finding | None:
    control, connections = facts[ControlFacts], facts[TcpFacts]
    if connections.open or control.ipv6 in {None, "open"} or not connections.attempts:
        return None
    if not all(":" in attempt.address for attempt in connections.attempts):
        return None
    return Finding(
        "this machine has no working IPv6, and the name has IPv6 addresses only; nothing can be said about the URL",
        tuple(f"{a.address}:{a.port} {a.outcome} {a.error}".rstrip() for a in connections.attempts),
        kind="open",
        question="Does it connect from a machine with IPv6? Telnyx lists IPv4 ranges only: add an A record anyway.",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MACHINE003",
    slug="machine-no-ipv6",
    title="This machine has no working IPv6",
    owner="network",
    why="The same step fails where it is known to work, so the failure says nothing about the URL.",
    fix="Fix the machine or network that the doctor runs on (dig api.telnyx.com, curl -sI https://api.telnyx.com), "
    "or run it from another.",
    named={"no IPv6 here": Facts(url(), _SIX, control(ipv6="unreachable"))},
    quiet={"the control connects": Facts(url(), _SIX, control(ipv6="open"))},
    unchecked={"no control was measured": tcp("timeout")},
)
