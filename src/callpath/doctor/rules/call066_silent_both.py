"""CALL066: silence came from the caller, and nothing was sent."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM007")
    if found is None:
        return None
    return Finding(
        *symptom_words(facts[CallFacts], found),
        kind="limited",
        question="Was the caller on mute, and the handler meant to listen? Then nothing is wrong. This was told after 30 s "
        "of it, and somebody may have spoken later: the recording tells.",
    )


RULE = Rule(
    code="CALL066",
    slug="inbound-silence",
    title="Silence came from the caller, and nothing was sent",
    layer="codec",
    owner="unclear",
    why="Nobody was heard on either side: the caller is muted or gone, and the handler waits for a word.",
    fix="Let the handler speak first; call from another phone.",
    check=check,
    examples=(
        Example("SYM007 was seen", a_call(BOTH_WAYS, noticed("SYM007")), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
