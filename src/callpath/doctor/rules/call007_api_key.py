"""CALL007: Telnyx refuses our commands because of the API key."""

from __future__ import annotations

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import GOOD, RANG, a_call, answered, sent

CODES = {"10009", "20001", "20002", "20003", "20008"}
"""Authentication failed, key missing, revoked, forbidden, invalid. Source: Telnyx, API errors."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in CODES or what.status == 401)
    if found is None:
        return None
    entry, what = found
    return Finding(f"Telnyx refused {what.command}: {refused_by(what)}", show_entries(known, entry))


RULE = Rule(
    code="CALL007",
    slug="api-key-invalid",
    title="Telnyx does not accept the API key",
    layer="account",
    owner="you",
    why="Every command is refused with it: calls come in, nobody answers, and the caller hears it ring.",
    fix="Make a new API v2 key (Telnyx portal, API Keys; it begins with KEY) in the account that owns the number, and set "
    "TELNYX_API_KEY, without blanks, quotes or line ends.",
    check=check,
    examples=(
        Example("401 to the answer", a_call(RANG, sent("answer"), answered("answer", 401, "10009")), fires=True),
        Example("another refusal", a_call(RANG, sent("answer"), answered("answer", 422, "90018")), fires=False),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
