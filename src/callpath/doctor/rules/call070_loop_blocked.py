"""CALL070: something in the process blocked the event loop."""

from __future__ import annotations

from callpath.doctor.calls import show_entries, symptom_seen, worst_lag
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted, noticed

BROKEN_MS = 500.0
"""Above this a caller hears a gap: callpath sends audio at most 200 ms ahead."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    worst = worst_lag(known)
    if worst is None:
        symptom_seen(known, "SYM013")  # raises where the source would not show it
        return None
    lag_ms, entry = worst
    summary = f"the event loop was held up for {lag_ms:.0f} ms: something blocks it"
    return Finding(summary, show_entries(known, entry), kind="fault" if lag_ms >= BROKEN_MS else "note")


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
        Example("told by another call of the process", a_call(BOTH_WAYS, counted(loop_lag_ms=800.0)), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
