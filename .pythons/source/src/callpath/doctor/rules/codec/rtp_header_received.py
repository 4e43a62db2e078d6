"""CALL074: each of the caller's payloads begins with an RTP header."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM015")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


CAUSE = Cause(
    code="CALL074",
    slug="rtp-header-received",
    title="Each of the caller's payloads begins with an RTP header",
    layer="codec",
    owner="unclear",
    why="A payload is the codec's bytes alone. The 12 bytes of a header are decoded with them: a crackle in every frame.",
    fix="If a program stands between Telnyx and this server, let it cut off the first 12 bytes of each packet. If none "
    "does, send Telnyx this report with the stream_id.",
    signs=(
        Sign(
            "call",
            check,
            examples=(
                Example("SYM015 was seen", a_call(BOTH_WAYS, noticed("SYM015")), fires=True),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
