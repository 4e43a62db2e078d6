"""CALL010: the Telnyx account may not do this: blocked, without funds, not verified, or over a limit."""

from __future__ import annotations

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample_call import RANG, a_call, answered, sent

WORDS = {
    "20012": "the account is inactive",
    "20013": "the account is blocked",
    "20100": "the account has no funds",
    "10010": "the account or key may not do this",
    "10038": "the account's verification level is too low for this",
    "20014": "the account is not verified",
    "20015": "the account is not verified",
    "20016": "the account is not verified",
    "20017": "the account is not verified",
    "90041": "the account's limit of calls at once is reached",
    "90042": "the voice profile's limit of calls at once is reached",
    "90043": "the connection's limit of calls at once is reached",
}
"""Source: Telnyx, API errors; in our words."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in WORDS)
    if found is None:
        return None
    entry, what = found
    return Finding(
        f"{WORDS[what.error_code or '']}: Telnyx refused {what.command} ({refused_by(what)})",
        show_entries(known, entry),
    )


PAST = Sign(
    "call",
    check,
    examples=(
        Example("no funds", a_call(RANG, sent("answer"), answered("answer", 403, "20100")), fires=True),
        Example("another refusal", a_call(RANG, sent("answer"), answered("answer", 422, "90018")), fires=False),
    ),
)

CAUSE = Cause(
    code="CALL010",
    slug="account-not-permitted",
    title="The Telnyx account may not do this now",
    layer="account",
    owner="you",
    why="The command itself is right, the account is not in a state to carry it out.",
    fix="Telnyx portal: billing (balance), account level (verification), outbound voice profile (limits, destinations).",
    signs=(PAST,),
)
