"""WS004: the 101 comes, but late."""

from dataclasses import replace
from typing import Any

from callpath.doctor.edges import failed_upgrades, show_row
from callpath.doctor.facts import Facts, RepeatFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import answer, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge

SLOW_MS = 2500.0
"""Carriers' own limit is not published; five seconds is usual, and the way there takes its part."""

LIMIT_MS = 8000.0
"""Chosen: an answer after 5.5 s has worked, and no client waits for ever."""


def _weight(ms: float) -> dict[str, Any]:
    """How much a late answer proves, since Telnyx's own limit is not known."""
    if ms >= LIMIT_MS:
        return {"confidence": "medium"}
    return {
        "kind": "open",
        "confidence": "low",
        "candidates": ("ws-handshake-slow",),
        "question": "Telnyx's limit is not published; 5.5 s has worked. Until then the caller hears silence. Does the "
        "time go into work before the accept?",
    }


def ws_slow(facts: Facts) -> Finding | None:
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
        tuple(
            Seen(f"[{exchange.shape}] 101 after {exchange.ms:.0f} ms", f"answer {number}")
            for number, exchange in enumerate(done, 1)
        ),
        **_weight(slow[0].ms),
    )


def edge_gave_up(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 499, 408)
    return (
        Finding(
            f"the client went away after {rows[0].duration_ms or 0:.0f} ms without an answer",
            tuple(show_row(row) for row in rows[:3]),
        )
        if rows
        else None
    )


CAUSE = Cause(
    code="WS004",
    slug="ws-handshake-slow",
    title="The upgrade is answered too late",
    owner="you",
    why="Work is done before the WebSocket is accepted (a database, the AI's connection, a cold import). The carrier "
    "gives up while the caller listens to silence.",
    fix="Accept first (await websocket.accept()), work later: answer the upgrade at once and connect to the AI while "
    "the first frames arrive.",
    signs=(
        Sign(
            "url",
            ws_slow,
            by_time=True,
            named={"seven seconds": upgrade(replace(answer(101), ms=7000.0))},
            quiet={"at once": upgrade(replace(answer(101), ms=20.0))},
        ),
        Sign(
            "edge",
            edge_gave_up,
            code="EDGE013",
            title="Telnyx gave up before the application answered the upgrade",
            why="499 in the edge's log: the client went away while the application was still at work before accepting "
            "(a database, a connection to an AI).",
            fix="Accept the socket first (await websocket.accept()), and do everything else afterwards.",
            named={"499": seen_at_edge(row("GET", 499, duration=5000))},
            quiet={"404": seen_at_edge(row("GET", 404))},
        ),
    ),
)
