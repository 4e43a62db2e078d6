"""TELNYX002: no answer from Telnyx's API."""

from __future__ import annotations

from callpath.doctor.facts import AccountFacts, ApiRefusal, FactMissing, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import account, refused_key


def check(facts: Facts) -> Finding | None:
    asked = facts[AccountFacts]
    if asked.key_accepted is not None:
        return None
    if not asked.refusals:
        raise FactMissing(AccountFacts)
    first = asked.refusals[0]
    if first.status is None:
        return Finding(
            f"Telnyx's API could not be asked: {first.detail}",
            kind="open",
            candidates=("telnyx-api-unreachable",),
            question="Does this machine reach the API at all (curl -sI https://api.telnyx.com/v2/balance)? If the server "
            "runs on this machine, too, its commands fail in the same way.",
        )
    return Finding(
        f"what answers at TELNYX_API_BASE is not Telnyx's API: {first.status}, {first.detail}",
        kind="open",
        candidates=("telnyx-api-unreachable",),
        question="Is TELNYX_API_BASE right? Unset, it is https://api.telnyx.com/v2. Otherwise Telnyx has an outage "
        "(status.telnyx.com), or a proxy stands between.",
    )


def unanswered(status: int | None, detail: str) -> Facts:
    return Facts(AccountFacts(refusals=(ApiRefusal("balance", status, "", detail),)))


RULE = Rule(
    code="TELNYX002",
    slug="telnyx-api-unreachable",
    title="Telnyx's API gave no answer",
    layer="account",
    owner="network",
    why="Without an answer nothing is known about the account.",
    fix="Let this machine reach api.telnyx.com on port 443.",
    check=check,
    examples=(
        Example("no connection", unanswered(None, "the connection to api.telnyx.com failed"), fires=True),
        Example("somebody else answers", unanswered(404, "not Telnyx's error format: '<html>'"), fires=True),
        Example("the key was refused", refused_key(), fires=False),
        Example("questions are answered", account(), fires=False),
        Example("nothing was asked", Facts(AccountFacts()), fires=None),
    ),
)
