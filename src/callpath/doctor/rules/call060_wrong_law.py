"""CALL060: the caller's audio is in the other companding law than the stream says."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM001")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found))


RULE = Rule(
    code="CALL060",
    slug="codec-alaw-as-ulaw",
    title="The caller's audio is in the other companding law than the stream says",
    layer="codec",
    owner="Telnyx",
    why="mu-law read as A-law, or the reverse, is loud static. callpath decodes what the start frame names, so "
    "the frame and the bytes contradict each other.",
    fix="Ask for stream_codec PCMU (CALLPATH_STREAM_CODEC), so that Telnyx transcodes; and send Telnyx this "
    "report with the stream_id.",
    check=check,
    examples=(
        Example("SYM001 was seen", a_call(BOTH_WAYS, noticed("SYM001", **{"is": "PCMA"})), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
