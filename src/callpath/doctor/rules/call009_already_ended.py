"""CALL009: the call was over before our command came."""

from __future__ import annotations

from callpath.doctor.calls import ended_unix_ms, needed_refusal, refused_by, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import RANG, a_call, answered, hung_up, sent


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    ended = ended_unix_ms(known)
    found = needed_refusal(
        known, lambda what: what.error_code == "90018" or (what.error_code in {"90015", "10005"} and ended is not None)
    )
    if found is None:
        return None
    entry, what = found
    began = webhook(known, "call.initiated")
    waited = (entry.at_unix_ms - began.at_unix_ms) / 1000 if began is not None else 0.0
    return Finding(
        f"the call was over when {what.command} reached Telnyx, {waited:.1f} s after it began: {refused_by(what)}",
        show_entries(known, began, entry, webhook(known, "call.hangup")),
        owner="you" if waited >= 10 else None,
        fix="The command came late: answer at once, and do slow work after it." if waited >= 10 else "",
    )


RULE = Rule(
    code="CALL009",
    slug="call-already-ended",
    title="The caller had hung up before our command came",
    layer="call-control",
    owner="far end",
    why="Between a webhook and the command that follows from it the caller may hang up. Telnyx then answers 90018. No "
    "fault of the stream, and nothing was reached or refused.",
    fix="Nothing to mend. If it happens often, look at how long the server takes from the webhook to the command.",
    masked_by=("CALL007",),
    check=check,
    examples=(
        Example(
            "90018",
            a_call(RANG, sent("answer"), answered("answer", 422, "90018"), hung_up("originator_cancel")),
            fires=True,
        ),
        Example("another refusal", a_call(RANG, sent("answer"), answered("answer", 401, "10009")), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
