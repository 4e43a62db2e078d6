"""WS011: pings come back late or never."""

from __future__ import annotations

from callpath.doctor.closings import early
from callpath.doctor.facts import Facts, MediaFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import media, nothing

LATE_MS = 1000.0
"""A pong needs a round trip and no thought: even from the far side of the earth it takes 0.4 s."""


def check(facts: Facts) -> Finding | None:
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


RULE = Rule(
    code="WS011",
    slug="event-loop-blocked",
    title="The server's event loop is blocked",
    layer="pacing",
    owner="you",
    why="Pings are answered by the WebSocket library itself; when that takes seconds, synchronous work (a database, "
    "a model, "
    "a flood of logging) holds the loop, and audio stutters for every call at once.",
    fix="Move the work into a thread or process (asyncio.to_thread, worker_threads), and log less per frame.",
    # What the content or the end of the stream proves goes before what only time suggests.
    masked_by=(
        "URL003",
        "WS010",
        "MEDIA001",
        "MEDIA002",
        "MEDIA003",
        "MEDIA004",
        "MEDIA006",
        "MEDIA007",
        "MEDIA008",
        "MEDIA011",
        "KEEP001",
    ),
    by_time=True,
    check=check,
    examples=(
        Example("2.5 s", media(pong_ms=(20.0, 2500.0, 30.0)), fires=True),
        Example("prompt", media(pong_ms=(20.0, 21.0, 30.0)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
