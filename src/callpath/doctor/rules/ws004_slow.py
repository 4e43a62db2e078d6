"""WS004: the 101 comes, but late."""

from __future__ import annotations

from dataclasses import replace

from callpath.doctor.facts import Facts, RepeatFacts, UpgradeFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade

SLOW_MS = 2500.0
"""Carriers' own limit is not published; five seconds is usual, and the way there takes its part."""


def check(facts: Facts) -> Finding | None:
    upgrade_facts = facts[UpgradeFacts]
    carrier = upgrade_facts.carrier
    repeats = facts.get(RepeatFacts)
    waits = [carrier, *(attempt.exchange for attempt in repeats.tries)] if repeats is not None else [carrier]
    done = [exchange for exchange in waits if exchange.status == 101]
    if not done:
        return None
    slow = [exchange for exchange in done if exchange.ms >= SLOW_MS]
    if len(slow) * 2 < len(done) or not slow:
        return None
    return Finding(
        f"the upgrade is answered only after {slow[0].ms / 1000:.1f} s",
        tuple(f"[{exchange.shape}] 101 after {exchange.ms:.0f} ms" for exchange in done),
    )


RULE = Rule(
    code="WS004",
    slug="ws-handshake-slow",
    title="The upgrade is answered too late",
    layer="handshake",
    owner="you",
    why="Work is done before the WebSocket is accepted (a database, the AI's connection, a cold import). The carrier gives "
    "up while the caller listens to silence.",
    fix="Accept first, work later: answer the upgrade at once and connect to the AI while the first frames arrive.",
    masked_by=("URL003", "DEPLOY002"),
    by_time=True,
    check=check,
    examples=(
        Example("seven seconds", upgrade(replace(answer(101), ms=7000.0)), fires=True),
        Example("at once", upgrade(replace(answer(101), ms=20.0)), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
