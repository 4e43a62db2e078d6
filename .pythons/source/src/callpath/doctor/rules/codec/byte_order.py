"""CALL061: the caller's L16 has its bytes the other way round."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM002")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


CAUSE = Cause(
    code="CALL061",
    slug="l16-byte-order",
    title="The caller's L16 has its bytes the other way round",
    layer="codec",
    owner="you",
    why="RTP's L16 is big-endian by standard; on real phones little-endian was found. Read the wrong way it is "
    "full-scale noise.",
    fix="CALLPATH_L16_BYTE_ORDER=detect (the default) follows the sound; or ask for PCMU, which has no byte order.",
    signs=(
        Sign(
            "call",
            check,
            examples=(
                Example("SYM002 was seen", a_call(BOTH_WAYS, noticed("SYM002", **{"is": "big"})), fires=True),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
