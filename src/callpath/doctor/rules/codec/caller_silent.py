"""CALL064: nothing but digital silence came from the caller."""

from callpath.doctor.calls import symptom_seen, symptom_words
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed


def call_caller_silent(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM005")
    if found is None:
        return None
    return Finding(
        *symptom_words(facts[CallFacts], found),
        kind="limited",
        question="Was the caller on mute, or only listening? Then nothing is wrong. This was told after 30 s of "
        "it, and he may have spoken later: the recording tells.",
    )


def call_silent_both(facts: Facts) -> Finding | None:
    found = symptom_seen(facts[CallFacts], "SYM007")
    if found is None:
        return None
    return Finding(
        *symptom_words(facts[CallFacts], found),
        kind="limited",
        question="Was the caller on mute, and the handler meant to listen? Then nothing is wrong. This was told after "
        "30 s of it, and somebody may have spoken later: the recording tells.",
    )


CAUSE = Cause(
    code="CALL064",
    slug="inbound-silence",
    title="Nothing but digital silence came from the caller",
    owner="far end",
    why="Frames arrive in time, and every one is silence: the phone is muted, or its audio does not reach "
    "Telnyx. The socket is not at fault.",
    fix="Call from another phone. If it stays silent, send Telnyx this report: one-way audio on the phone's side.",
    signs=(
        Sign(
            "call",
            call_caller_silent,
            named={"SYM005 was seen": a_call(BOTH_WAYS, noticed("SYM005"))},
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
        Sign(
            "call",
            call_silent_both,
            code="CALL066",
            title="Silence came from the caller, and nothing was sent",
            why="Nobody was heard on either side: the caller is muted or gone, and the handler waits for a word.",
            fix="Let the handler speak first; call from another phone.",
            owner="unclear",
            named={"SYM007 was seen": a_call(BOTH_WAYS, noticed("SYM007"))},
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
