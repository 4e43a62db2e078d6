"""MACHINE002: nothing outside can be reached."""

from callpath.doctor.facts import ControlFacts, Facts, TcpFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import control, tcp


def check(facts: Facts) -> Finding | None:
    control, connections = facts[ControlFacts], facts[TcpFacts]
    if connections.open or not connections.attempts:
        return None
    if all(":" in attempt.address for attempt in connections.attempts) and control.ipv6 not in {None, "open"}:
        return None  # MACHINE003
    answered = any(attempt.outcome in {"refused", "reset"} for attempt in connections.attempts)
    if control.tcp in {None, "open"} and (control.dns in {None, "answer"} or answered):
        return None
    failed = control.tcp_detail or f"{control.host}: {control.dns} ({control.dns_detail})"
    return Finding(
        f"this machine has no working route: {control.host} cannot be reached either; nothing can be said about the URL",
        (f"{failed}", *(f"{a.address}:{a.port} {a.outcome} {a.error}".rstrip() for a in connections.attempts)),
        kind="open",
        question=f"Does this machine reach anything outside? curl -sI https://{control.host}. Behind an HTTP proxy "
        "set HTTPS_PROXY. Then run again, or from another network.",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MACHINE002",
    slug="machine-no-route",
    title="This machine has no working route to the internet",
    owner="network",
    why="The same step fails where it is known to work, so the failure says nothing about the URL.",
    fix="Fix the machine or network that the doctor runs on (dig api.telnyx.com, curl -sI https://api.telnyx.com), "
    "or run it from another.",
    named={"the control times out, too": Facts(*tcp("timeout"), control(tcp="timeout", tls=None, mozilla=None))},
    quiet={
        "the control connects": Facts(*tcp("timeout"), control()),
        "refused, and nothing to compare with": Facts(*tcp("refused"), control(dns="nxdomain", tcp=None)),
    },
    unchecked={"no control was measured": tcp("timeout")},
)
