"""CALL072: our audio came out with gaps, because it was made too slowly."""

from __future__ import annotations

from callpath.doctor.calls import every, never, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted
from callpath.timeline import MediaCounted

SHARE, LEAST = 0.02, 10


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    if not every(known, MediaCounted):
        never(known, MediaCounted)
        return None
    underruns = sum(count.underruns for count in known.state.counts.values())
    out = known.state.frames_out
    if underruns < LEAST or underruns < SHARE * out:
        return None
    return Finding(
        f"playout ran dry {underruns} times in {out / 50:.0f} s of our audio",
        show_entries(known, *every(known, MediaCounted)[-1:]),
        confidence="medium",
    )


RULE = Rule(
    code="CALL072",
    slug="send-too-slow-underrun",
    title="Our audio has gaps: it is made slower than it is heard",
    layer="pacing",
    owner="you",
    why="Each time playout runs dry the caller hears a gap in mid-sentence. (Between sentences it is no fault, "
    "and counts once.)",
    fix="Hand audio to play() earlier and in larger pieces, from a source that is faster than real time.",
    masked_by=("CALL070", "CALL053"),
    check=check,
    examples=(
        Example("40 times in 10 s", a_call(BOTH_WAYS, counted(underruns=40)), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without counters", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
