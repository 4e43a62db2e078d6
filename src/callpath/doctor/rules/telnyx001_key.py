"""TELNYX001: Telnyx does not take the API key."""

from __future__ import annotations

from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import account, refused_key


def check(facts: Facts) -> Finding | None:
    asked = facts[AccountFacts]
    if asked.key_accepted is None:
        raise FactMissing(AccountFacts)
    if asked.key_accepted:
        return None
    said = tuple(f"{row.question}: {row.status} {row.code} {row.detail}".strip() for row in asked.refusals)
    return Finding("Telnyx refused TELNYX_API_KEY, so no command of this server can work either", said[-3:])


RULE = Rule(
    code="TELNYX001",
    slug="api-key-invalid",
    title="Telnyx does not take the API key",
    layer="account",
    owner="you",
    why="The key is wrong, has been revoked, belongs to another account, or is one of the old API v1. Every command fails "
    "with it: calls ring out.",
    fix="Make a key in the Telnyx portal (API Keys), set it as TELNYX_API_KEY (it begins with KEY), restart the server.",
    check=check,
    examples=(
        Example("401 on the first question", refused_key(), fires=True),
        Example("questions are answered", account(), fires=False),
        Example("no answer came", Facts(AccountFacts()), fires=None),
    ),
)
