"""CALL062: bytes come at another rate than the stream says."""

from __future__ import annotations

from callpath.doctor.calls import measure, symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed

DOUBLE_WITHIN = 0.2
"""Of times 2."""


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM003")
    if found is None:
        return None
    words = symptom_words(facts[CallFacts], found)
    if abs(measure(found, "times") - 2) > DOUBLE_WITHIN:
        return Finding(*words)
    return Finding(
        *words,
        kind="open",
        candidates=("sample-rate-mismatch", "two-channels"),
        question="Is it twice the sampling rate, or two channels? Both are twice the bytes. If a program stands between "
        "Telnyx and this server, look at what it sends: of two channels it must send one.",
    )


RULE = Rule(
    code="CALL062",
    slug="sample-rate-mismatch",
    title="Bytes come at another rate than the stream says",
    layer="codec",
    owner="Telnyx",
    why="8 kHz read as 16 kHz is a chipmunk, the reverse is slow motion.",
    fix="Ask for PCMU at 8000 Hz, or set CALLPATH_PLAY_RATE_HZ and the codec so that both sides name one rate.",
    check=check,
    examples=(
        Example("SYM003 was seen", a_call(BOTH_WAYS, noticed("SYM003", times="0.5")), fires=True),
        Example(
            "twice the bytes: the rate, or two channels", a_call(BOTH_WAYS, noticed("SYM003", times="1.97")), fires=True
        ),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
