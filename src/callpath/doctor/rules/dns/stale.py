"""DNS007: the name's addresses lead to different servers."""

from dataclasses import replace

from callpath.doctor.facts import Exchange, Facts, RepeatFacts, TcpFacts, TlsFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import answer, tcp, tries


def check(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    if len(connections.open) < 2:
        return None
    tls = facts.get(TlsFacts)
    if tls is not None:
        good = [attempt for attempt in tls.attempts if attempt.outcome == "ok"]
        bad = [
            attempt
            for attempt in tls.attempts
            if attempt.outcome not in {"ok", "timeout", "eof", "reset", "no-connection"}
        ]
        if good and bad:
            return Finding(
                f"{bad[0].address} does not show the certificate that {good[0].address} shows",
                tuple(
                    Seen(f"{a.address}: {a.outcome} {a.verify_message or a.reason}".rstrip(), a.address)
                    for a in tls.attempts
                ),
            )
    repeats = facts.get(RepeatFacts)
    if repeats is None:
        return None
    fates: dict[str, set[bool]] = {}
    for attempt in repeats.tries:
        fates.setdefault(attempt.exchange.address, set()).add(attempt.exchange.upgraded)
    if (
        len(fates) > 1
        and all(len(fate) == 1 for fate in fates.values())
        and {True} in fates.values()
        and {False} in fates.values()
    ):
        lines = tuple(
            Seen(f"{t.exchange.address}: {t.exchange.status or t.exchange.outcome}", t.exchange.address)
            for t in repeats.tries
        )
        return Finding("the same request is upgraded at one address of the name and refused at another", lines)
    return None


def _at(address: str, status: int) -> Exchange:
    return replace(answer(status), address=address)


def _two(status: int) -> Facts:
    facts = tcp("open", "open")
    facts.add(
        tries(_at("203.0.113.1", 101), _at("203.0.113.2", status), _at("203.0.113.1", 101), _at("203.0.113.2", status))
    )
    return facts


CAUSE = Cause.of(
    "url",
    check,
    code="DNS007",
    slug="dns-stale-record",
    title="One address of the name belongs to another server",
    owner="you",
    why="After a move an old record (often the AAAA, or one at a second provider) still leads to the previous server, "
    "which has another certificate or no such path. Calls fail by the address they happen to pick.",
    fix="Remove the records of the old server, lower the TTL before the next move.",
    named={"the old server answers 404": _two(404)},
    quiet={"both upgrade": _two(101)},
)
