"""DNS009: this network's resolver and public ones give different answers."""

from callpath.doctor.facts import ControlFacts, DnsFacts, DnsQuery, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import control, dns

_NXDOMAIN = DnsQuery("A", "nxdomain", "192.0.2.53", 12.0)
_PUBLIC = DnsQuery("A", "answer", "1.1.1.1", 9.0, ("203.0.113.1",))


def check(facts: Facts) -> Finding | None:
    control, looked = facts[ControlFacts], facts[DnsFacts]
    answers = [query for query in control.public if query.outcome == "answer"]
    denied = [query for query in control.public if query.outcome == "nxdomain"]
    shown = tuple(f"{q.server}: {q.record} {q.outcome} {', '.join(q.addresses)}".rstrip() for q in control.public)
    ours = tuple(f"{q.server}: {q.record} {q.outcome} {', '.join(q.addresses)}".rstrip() for q in looked.queries)
    if not looked.addresses and answers and control.dns in {None, "answer"}:
        return Finding(
            f"resolvers disagree: this machine's finds no {looked.name}, {answers[0].server} gives "
            f"{', '.join(answers[0].addresses)}",
            (*ours, *shown),
            kind="open",
            candidates=("dns-stale-record",),
            question="Is the record new, or filtered here? Run again as the world sees it: --resolver "
            f"{answers[0].server}",
        )
    inside = [a for a, kind in zip(looked.addresses, looked.classes, strict=False) if kind != "public"]
    if inside and answers:
        return Finding(
            f"resolvers disagree: this network gives {', '.join(inside)}, {answers[0].server} gives "
            f"{', '.join(answers[0].addresses)} (split DNS)",
            (*ours, *shown),
            kind="open",
            question=f"Run again as the world sees it: --resolver {answers[0].server}",
        )
    if looked.addresses and len(denied) > 1 and len(denied) == len(control.public):
        return Finding(
            f"{looked.name} exists only for this network's resolver: public ones say NXDOMAIN", (*ours, *shown),
            fix="Create the record in the public zone of the domain.", owner="you",
        )  # fmt: skip
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="DNS009",
    slug="dns-resolvers-disagree",
    title="Resolvers disagree about the name",
    owner="network",
    why="Telnyx asks public resolvers. A new record, a stale cache, a filter or split DNS makes this network see "
    "something else.",
    fix="Run the doctor with --resolver 1.1.1.1 to see what the world sees, and correct the record that differs.",
    named={"found by public resolvers only": Facts(*dns(_NXDOMAIN), control(public=(_PUBLIC, _PUBLIC)))},
    quiet={"found by none": Facts(*dns(_NXDOMAIN), control(public=(_NXDOMAIN, _NXDOMAIN)))},
    unchecked={"no control was measured": dns(_NXDOMAIN)},
)
