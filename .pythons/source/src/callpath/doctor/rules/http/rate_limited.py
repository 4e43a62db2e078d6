"""HTTP015: too many requests."""

from __future__ import annotations

import re

from callpath.doctor.answers import show
from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts, RepeatFacts, UpgradeFacts
from callpath.doctor.ourselves import own_word
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import answer, nothing, tries, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge

_WORDS = re.compile(r"too many|rate.?limit|throttl|slow down|quota", re.IGNORECASE)


OWN = '{"error":"too_many_upgrades","detail":"no more are looked at"}'


def http_rate_limited(facts: Facts) -> Finding | None:
    upgrade_facts = facts[UpgradeFacts]
    repeats = facts.get(RepeatFacts)
    later = [attempt.exchange for attempt in repeats.tries] if repeats is not None else []
    for exchange in (upgrade_facts.carrier, *later):
        if (
            exchange.outcome != "answer" or own_word(exchange) is not None
        ):  # a callpath server says itself why: CALLPATH004
            continue
        if exchange.status == 429 or (exchange.status in {403, 503} and _WORDS.search(exchange.text)):
            first = exchange is upgrade_facts.carrier
            return Finding(
                "the very first upgrade is over the limit" if first else "a few upgrades in a row are over the limit",
                (
                    show(exchange),
                    *((f"retry-after: {exchange.header('retry-after')}",) if exchange.has("retry-after") else ()),
                ),
            )
    # nginx's limiter says 503 unless told otherwise, and only where the same request passed a moment ago.
    refused_later = [exchange for exchange in later if exchange.status == 503 and author(exchange).name == "nginx"]
    passed_first = upgrade_facts.carrier.upgraded or (bool(later) and later[0].upgraded)
    if refused_later and passed_first and all(exchange.upgraded or exchange.status == 503 for exchange in later):
        return Finding(
            "the first upgrade passes, the next ones within the second get nginx's own 503",
            (show(refused_later[0]),),
            confidence="medium",
        )
    return None


def edge_rate_limited(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 429)
    return Finding("the upgrade was answered with 429", tuple(show_row(row) for row in rows[:3])) if rows else None


CAUSE = Cause(
    code="HTTP015",
    slug="rate-limited-429",
    title="A rate limit turns upgrades away",
    layer="http",
    owner="you",
    why="All calls come from a handful of carrier addresses, so that a limit per client address is soon used up.",
    fix="Exempt the stream's path or the carrier's ranges from the limiter (nginx limit_req/limit_conn, "
    "express-rate-limit, the CDN's rules).",
    signs=(
        Sign(
            "url",
            http_rate_limited,
            examples=(
                Example("429 at once", upgrade(answer(429)), fires=True),
                Example("the third try", Facts(*upgrade(answer(101)), tries(answer(101), answer(429))), fires=True),
                Example("all pass", Facts(*upgrade(answer(101)), tries(answer(101), answer(101))), fires=False),
                Example("a callpath server's own", upgrade(answer(429, OWN, X_Callpath="0.1.0")), fires=False),
                Example("nothing was tried", nothing(), fires=None),
            ),
        ),
        Sign(
            "edge",
            edge_rate_limited,
            code="EDGE012",
            title="A rate limit turned the upgrade away",
            fix="Exempt the stream's path or the carrier's ranges from the limiter.",
            examples=(
                Example("429", seen_at_edge(row("GET", 429)), fires=True),
                Example("404", seen_at_edge(row("GET", 404)), fires=False),
                Example("no edge log", nothing(), fires=None),
            ),
        ),
    ),
)
