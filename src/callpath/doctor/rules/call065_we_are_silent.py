"""CALL065: nothing but digital silence was sent to the caller."""

from __future__ import annotations

from callpath.call.symptoms import SILENT_S
from callpath.doctor.calls import every, measure, symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed
from callpath.timeline import StreamStarted


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    found = symptom_seen(call, "SYM006")
    if found is None:
        return None
    words = symptom_words(call, found)
    told_at_end = 0 < measure(found, "seconds") < SILENT_S
    if told_at_end and len(every(call, StreamStarted)) < 2:
        return Finding(*words)
    return Finding(
        *words,
        kind="limited",
        question="Was the handler meant to be silent for so long, and did it speak later? Then nothing is wrong. This was "
        "told before the call was over: the recording tells.",
    )


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
        Example("SYM006 at the end of the stream", a_call(BOTH_WAYS, noticed("SYM006", seconds="8")), fires=True),
        Example(
            "after 30 s, when words may still come", a_call(BOTH_WAYS, noticed("SYM006", seconds="30")), fires=True
        ),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
