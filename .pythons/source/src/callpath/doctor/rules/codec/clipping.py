"""CALL067: the caller's audio is cut off at the end of the scale."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM008")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found), kind="note")


CAUSE = Cause(
    code="CALL067",
    slug="inbound-clipping",
    title="The caller's audio is cut off at the end of the scale",
    layer="codec",
    owner="far end",
    why="The phone or a gateway amplifies too much. It sounds harsh, and recognition suffers; the stream is in order.",
    fix="Nothing on this side. Another phone or headset will sound better.",
    signs=(
        Sign(
            "call",
            check,
            examples=(
                Example("SYM008 was seen", a_call(BOTH_WAYS, noticed("SYM008")), fires=True),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
