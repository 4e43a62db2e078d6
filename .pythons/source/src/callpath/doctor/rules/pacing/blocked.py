"""WS011: pings come back late or never."""

from __future__ import annotations

from callpath.doctor.calls import show_entries, symptom_seen, worst_lag
from callpath.doctor.closings import early
from callpath.doctor.facts import CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import media, nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted, noticed

LATE_MS = 1000.0


"""A pong needs a round trip and no thought: even from the far side of the earth it takes 0.4 s."""


def ws_blocked(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if early(facts) is not None or len(stream.pong_ms) < 2:
        return None
    late = [ms for ms in stream.pong_ms if ms is not None and ms >= LATE_MS]
    evidence = (f"pongs after: {', '.join('never' if ms is None else f'{ms:.0f} ms' for ms in stream.pong_ms)}",)
    if late:
        return Finding(f"a ping was answered only after {max(late) / 1000:.1f} s", evidence)
    if all(ms is None for ms in stream.pong_ms) and not stream.arrivals and stream.ending.kind != "close-frame":
        return Finding(
            "after the 101 nothing comes back: no pong, no frame, no answer to our close", evidence, confidence="medium"
        )
    return None


BROKEN_MS = 500.0


"""Above this a caller hears a gap: callpath sends audio at most 200 ms ahead."""


def call_loop_blocked(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    worst = worst_lag(known)
    if worst is None:
        symptom_seen(known, "SYM013")  # raises where the source would not show it
        return None
    lag_ms, entry = worst
    summary = f"the event loop was held up for {lag_ms:.0f} ms: something blocks it"
    return Finding(summary, show_entries(known, entry), kind="fault" if lag_ms >= BROKEN_MS else "note")


CAUSE = Cause(
    code="WS011",
    slug="event-loop-blocked",
    title="The server's event loop is blocked",
    layer="pacing",
    owner="you",
    why="Pings are answered by the WebSocket library itself; when that takes seconds, synchronous work (a database, "
    "a model, "
    "a flood of logging) holds the loop, and audio stutters for every call at once.",
    fix="Move the work into a thread or process (asyncio.to_thread, worker_threads), and log less per frame.",
    signs=(
        Sign(
            "url",
            ws_blocked,
            by_time=True,
            examples=(
                Example("2.5 s", media(pong_ms=(20.0, 2500.0, 30.0)), fires=True),
                Example("prompt", media(pong_ms=(20.0, 21.0, 30.0)), fires=False),
                Example("no stream was opened", nothing(), fires=None),
            ),
        ),
        Sign(
            "call",
            call_loop_blocked,
            code="CALL070",
            title="Something in the process blocks the event loop",
            why="While one piece of code computes or waits without await, no call of the process gets or sends audio.",
            fix="Move blocking work (database drivers, HTTP clients, models) to a thread: await asyncio.to_thread(…). "
            "PYTHONASYNCIODEBUG=1 names what takes long.",
            examples=(
                Example("800 ms", a_call(BOTH_WAYS, noticed("SYM013", lag_ms="800")), fires=True),
                Example(
                    "told by another call of the process", a_call(BOTH_WAYS, counted(loop_lag_ms=800.0)), fires=True
                ),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
