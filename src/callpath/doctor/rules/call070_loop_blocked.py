"""CALL070: something in the process blocked the event loop."""

from __future__ import annotations

from callpath.doctor.calls import measure, symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed

BROKEN_MS = 500.0
"""Above this a caller hears a gap: callpath sends audio at most 200 ms ahead."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = symptom_seen(known, "SYM013")
    if found is None:
        return None
    summary, evidence = symptom_words(known, found)
    lag_ms = measure(found, "lag_ms")
    return Finding(summary, evidence, kind="fault" if lag_ms >= BROKEN_MS else "note")


RULE = Rule(
    code="CALL070",
    slug="event-loop-blocked",
    title="Something in the process blocks the event loop",
    layer="pacing",
    owner="you",
    why="While one piece of code computes or waits without await, no call of the process gets or sends audio.",
    fix="Move blocking work (database drivers, HTTP clients, models) to a thread: await asyncio.to_thread(…). "
    "PYTHONASYNCIODEBUG=1 names what takes long.",
    check=check,
    examples=(
        Example("800 ms", a_call(BOTH_WAYS, noticed("SYM013", lag_ms="800")), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
