"""HTTP015: too many requests."""

import re

from callpath.doctor.answers import edge_refusal, show
from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Exchange, Facts, RepeatFacts, TrafficFacts, UpgradeFacts
from callpath.doctor.ourselves import own_word
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, tries, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge

_WORDS = re.compile(r"too many|rate.?limit|throttl|slow down|quota", re.IGNORECASE)

OWN = '{"error":"too_many_upgrades","detail":"no more are looked at"}'


def http_rate_limited(facts: Facts) -> Finding | None:
    upgrade_facts = facts[UpgradeFacts]
    carrier = upgrade_facts.carrier
    repeats = facts.get(RepeatFacts)
    later = [attempt.exchange for attempt in repeats.tries] if repeats is not None else []
    row = edge_refusal(facts, "limited")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(carrier),), fix=row.fix)
    if _limits(carrier):
        return Finding("the very first upgrade is over the limit", _evidence(carrier))
    limited = [exchange for exchange in (*upgrade_facts.shapes, *later) if _limits(exchange)]
    if limited:
        return _own_doing(facts, limited[0], _evidence(limited[0]))
    # nginx's limiter says 503 unless told otherwise, and only where the same request passed a moment ago.
    refused_later = [exchange for exchange in later if exchange.status == 503 and author(exchange).name == "nginx"]
    if refused_later and carrier.upgraded and all(exchange.upgraded or exchange.status == 503 for exchange in later):
        return _own_doing(facts, refused_later[0], (show(refused_later[0]),))
    return None


def _limits(exchange: Exchange) -> bool:
    """An answer of a limiter; a callpath server says itself why it refuses (CALLPATH004)."""
    if exchange.outcome != "answer" or own_word(exchange) is not None:
        return False
    return exchange.status == 429 or (exchange.status in {403, 503} and bool(_WORDS.search(exchange.text)))


def _evidence(exchange: Exchange) -> tuple[str, ...]:
    after = exchange.header("retry-after")
    return (show(exchange), *((f"retry-after: {after}",) if after else ()))


def _own_doing(facts: Facts, exchange: Exchange, evidence: tuple[str, ...]) -> Finding:
    """The first request passed: the doctor's own requests used the limit up, and nothing but the limit is proven."""
    traffic = facts.get(TrafficFacts)
    number = f"request number {traffic.limited_at}" if traffic is not None and traffic.limited_at else "a later request"
    note = facts[UpgradeFacts].carrier.upgraded
    return Finding(
        f"{number} of this examination was answered with {exchange.status}: the doctor's own requests are over a "
        "limit, so it stopped",
        evidence,
        kind="open",
        confidence="low",
        candidates=("rate-limited-429",) if note else (),
        question="How many upgrades a second may come from one address? All calls come from a few of Telnyx's. Wait "
        "until the limit is over before the next run.",
    )


def edge_rate_limited(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 429)
    return Finding("the upgrade was answered with 429", tuple(show_row(row) for row in rows[:3])) if rows else None


CAUSE = Cause(
    code="HTTP015",
    slug="rate-limited-429",
    title="A rate limit turns upgrades away",
    owner="you",
    why="All calls come from a handful of carrier addresses, so that a limit per client address is soon used up.",
    fix="Exempt the stream's path or the carrier's ranges from the limiter (nginx limit_req/limit_conn, "
    "express-rate-limit, the CDN's rules).",
    signs=(
        Sign(
            "url",
            http_rate_limited,
            named={
                "429 at once": upgrade(answer(429)),
                "the third try: the doctor's own doing": Facts(*upgrade(answer(101)), tries(answer(101), answer(429))),
            },
            quiet={
                "all pass": Facts(*upgrade(answer(101)), tries(answer(101), answer(101))),
                "a callpath server's own": upgrade(answer(429, OWN, X_Callpath="0.1.0")),
            },
        ),
        Sign(
            "edge",
            edge_rate_limited,
            code="EDGE012",
            title="A rate limit turned the upgrade away",
            fix="Exempt the stream's path or the carrier's ranges from the limiter: in nginx no limit_req in its "
            "location.",
            named={"429": seen_at_edge(row("GET", 429))},
            quiet={"404": seen_at_edge(row("GET", 404))},
        ),
    ),
)
