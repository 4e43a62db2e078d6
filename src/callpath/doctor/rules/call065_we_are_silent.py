"""CALL065: nothing but digital silence was sent to the caller."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM006")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


RULE = Rule(
    code="CALL065",
    slug="sends-silence",
    title="Nothing but digital silence was sent to the caller",
    layer="handler",
    owner="you",
    why="The handler plays, but what it plays is silence: a muted or failed text-to-speech, or zeros that were encoded.",
    fix="Look at the source of the audio: save what goes into play() to a file and listen.",
    check=check,
    examples=(
        Example("SYM006 was seen", a_call(BOTH_WAYS, noticed("SYM006")), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
