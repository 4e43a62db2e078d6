"""CALL063: the caller's audio is not in the encoding that the stream says."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM004")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


CAUSE = Cause(
    code="CALL063",
    slug="wrong-encoding",
    title="The caller's audio is not in the encoding that the stream says",
    layer="codec",
    owner="unclear",
    why="The bytes look like another codec than the start frame names, so what is decoded is noise.",
    fix="Ask for stream_codec PCMU. If a program stands between Telnyx and this server, look at what it makes of "
    "the audio.",
    signs=(
        Sign(
            "call",
            check,
            examples=(
                Example("SYM004 was seen", a_call(BOTH_WAYS, noticed("SYM004", **{"is": "PCMA"})), fires=True),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
