"""CALL068: our own audio comes back on the outbound track."""

from __future__ import annotations

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def check(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM009")
    return None if found is None else Finding(*symptom_words(facts[CallFacts], found), kind="note")


CAUSE = Cause(
    code="CALL068",
    slug="both-tracks-mixed",
    title="Our own audio comes back on the outbound track",
    layer="protocol",
    owner="you",
    why="both_tracks was asked for. callpath keeps the tracks apart and gives the handler the caller's only; "
    "programs that do not look at media.track hear themselves.",
    fix="CALLPATH_STREAM_TRACK=inbound_track, unless something needs the other track.",
    signs=(
        Sign(
            "call",
            check,
            examples=(
                Example("SYM009 was seen", a_call(BOTH_WAYS, noticed("SYM009")), fires=True),
                Example("a call that worked", a_call(GOOD), fires=False),
                Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
                Example("no call is known", nothing(), fires=None),
            ),
        ),
    ),
)
