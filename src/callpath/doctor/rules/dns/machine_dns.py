"""MACHINE001: the resolver of this machine finds nothing."""

from callpath.doctor.facts import ControlFacts, DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import control, dns

_NXDOMAIN = DnsQuery("A", "nxdomain", "192.0.2.53", 12.0)


def check(facts: Facts) -> Finding | None:
    control, looked = facts[ControlFacts], facts[DnsFacts]
    if looked.addresses or control.dns in {None, "answer"}:
        return None
    public = [query for query in control.public if query.outcome == "answer"]
    evidence = (
        f"{control.host}: {control.dns} ({control.dns_detail})",
        *(
            f"{q.server}: {looked.name} {q.record} {q.outcome} {', '.join(q.addresses)}".rstrip()
            for q in control.public
        ),
    )
    command = f"dig {control.host}; dig @1.1.1.1 {looked.name}"
    finds = f", while {public[0].server} finds {looked.name}" if public else ""
    return Finding(
        f"this machine has no working DNS: its resolver does not find {control.host} either{finds}; nothing can be "
        "said about the URL",
        evidence,
        kind="open",
        question=f"Does the resolver of this machine answer at all? {command}. Then run again with --resolver "
        "1.1.1.1, or from another network.",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MACHINE001",
    slug="machine-no-dns",
    title="This machine has no working DNS",
    owner="network",
    why="The same step fails where it is known to work, so the failure says nothing about the URL.",
    fix="Fix the machine or network that the doctor runs on (dig api.telnyx.com, curl -sI https://api.telnyx.com), "
    "or run it from another.",
    named={"NXDOMAIN for everything": Facts(*dns(_NXDOMAIN), control(dns="nxdomain"))},
    quiet={"the control is found": Facts(*dns(_NXDOMAIN), control())},
    unchecked={"no control was measured": dns(_NXDOMAIN)},
)
