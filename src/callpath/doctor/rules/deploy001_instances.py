"""DEPLOY001: the very same request sometimes works and sometimes does not."""

from __future__ import annotations

from callpath.doctor.facts import Ending, Exchange, Facts, MediaFacts, RepeatFacts, UpgradeFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, failed, nothing, tries, upgrade

NO_BACKEND = {"500", "502", "503", "504", "timeout", "eof", "reset", "no-connection", "malformed"}
"""No answer of an application: a proxy's 5xx, or none at all. See DEPLOY003."""


BRIEF_MS = 100.0
"""Well within the 150 ms that a try waits for an early close."""


def outcomes(facts: Facts) -> list[tuple[bool, str]]:
    """Every try in the carrier's shape in order of time: did it work, and how did it end."""
    upgrade_facts, repeats, media = facts[UpgradeFacts], facts[RepeatFacts], facts.get(MediaFacts)
    first_ending = None
    if media is not None and media.ending.by == "peer" and media.ending.after not in {"stop", "close"}:
        # The later tries say connected and start and listen for an instant: an ending on media, or a late one, is
        # nothing they could have seen, unless they saw one of their own.
        seen = any(attempt.ending is not None and attempt.ending.by == "peer" for attempt in repeats.tries)
        comparable = media.ending.after in {"connected", "start"} and media.ending.at_ms < BRIEF_MS
        all_failed = not any(attempt.fine for attempt in repeats.tries)  # it may have died of the first stream
        first_ending = media.ending if seen or comparable or all_failed else None
    rows = [_row(upgrade_facts.carrier, first_ending)]
    again = upgrade_facts.shape("again")
    if again is not None:
        rows.append(_row(again, None))
    return rows + [_row(attempt.exchange, attempt.ending) for attempt in repeats.tries]


def _row(exchange: Exchange, ending: Ending | None) -> tuple[bool, str]:
    if not exchange.upgraded:
        return False, str(exchange.status or exchange.outcome)
    if ending is not None and ending.by == "peer":
        return False, f"101, then {ending.code or ending.kind} {ending.reason}".rstrip()
    return True, "101"


def check(facts: Facts) -> Finding | None:
    rows = outcomes(facts)
    good = [text for ok, text in rows if ok]
    bad = [text for ok, text in rows if not ok]
    if not good or not bad:
        return None
    media = facts.get(MediaFacts)
    if media is not None and media.ending.at_ms > BRIEF_MS and rows[0][1] in bad and len(set(bad)) == 1:
        # Every bad end is the first stream's own: the good tries merely did not listen long enough to see it.
        return None
    if recovered(rows) or all(text in NO_BACKEND for text in bad):
        return None
    lookup = any(text.startswith("101, then") for text in bad)
    return Finding(
        f"{len(good)} of {len(rows)} identical tries worked; the others: {', '.join(dict.fromkeys(bad))}",
        tuple(f"try {number}: {text}" for number, (_, text) in enumerate(rows, 1)),
        fix="Keep what a call needs in a shared store (or run one replica), since webhook and stream land on any of them."
        if lookup else "",
    )  # fmt: skip


def recovered(rows: list[tuple[bool, str]]) -> bool:
    """Failed first, then only worked: something woke up."""
    if rows[0][1] == "no-connection":
        return False  # below HTTP, and after TCP and TLS had worked: nothing was asleep
    flags = [ok for ok, _ in rows]
    first_good = flags.index(True) if True in flags else 0
    return first_good > 0 and all(flags[first_good:]) and len(flags) - first_good >= 3


RULE = Rule(
    code="DEPLOY001",
    slug="wrong-instance",
    title="Not every instance behind the URL answers alike",
    layer="deploy",
    owner="you",
    why="Several replicas or backends stand behind one address and are not equal: one is down, old, misconfigured, or does "
    "not know the call. A share of the calls fails.",
    fix="Find the instance that differs (the proxy's log names the backend), add health checks, deploy all of them "
    "together.",
    masked_by=("URL003", "HTTP015", "DNS006", "DNS007"),
    check=check,
    examples=(
        Example(
            "every second try", Facts(*upgrade(answer(101)), tries(answer(404), answer(101), answer(404))), fires=True
        ),
        Example("always fine", Facts(*upgrade(answer(101)), tries(answer(101), answer(101))), fires=False),
        Example("woke up", Facts(*upgrade(failed("timeout")), tries(*[answer(101)] * 4)), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
