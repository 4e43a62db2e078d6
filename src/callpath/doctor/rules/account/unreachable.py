"""TELNYX002: no answer from Telnyx's API."""

import re

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import AccountFacts, ApiRefusal, CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import account, refused_key
from callpath.doctor.rules.sample_call import RANG, a_call, answered, sent


def telnyx_unreachable(facts: Facts) -> Finding | None:
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
            question="Does this machine reach the API at all (curl -sI https://api.telnyx.com/v2/balance)? If the "
            "server runs on this machine, too, its commands fail in the same way.",
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


_HEADER = re.compile(r"invalid (character in )?header|illegal header|ERR_INVALID_CHAR", re.IGNORECASE)


def call_api_unreachable(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.status is None or what.status >= 500 or what.status in {408, 429})
    if found is None:
        return None
    entry, what = found
    evidence = show_entries(known, entry)
    if _HEADER.search(what.error_detail or ""):
        return Finding(
            f"{what.command} never left this machine: {what.error_detail}",
            evidence,
            title="The API key holds a character that no header may have",
            fix="A line end, blank or quote came along when TELNYX_API_KEY was pasted. Set the bare value again.",
        )
    if what.status == 429:
        return Finding(
            f"Telnyx refused {what.command} as one too many: {refused_by(what)}",
            evidence,
            title="Telnyx limits the rate of our commands",
            fix="Dial and command less at once, or ask Telnyx for a higher limit.",
        )
    if what.status is not None:
        return Finding(
            f"Telnyx answered {what.command} with {refused_by(what)} after {what.attempts} tries",
            evidence,
            owner="Telnyx",
            fix="An error on Telnyx's side. See status.telnyx.com, and send Telnyx this report.",
        )
    return Finding(f"{what.command} got no answer after {what.attempts} tries: {what.error_detail}", evidence)


CAUSE = Cause(
    code="TELNYX002",
    slug="telnyx-api-unreachable",
    title="Telnyx's API gave no answer",
    owner="network",
    why="Without an answer nothing is known about the account.",
    fix="Let this machine reach api.telnyx.com on port 443: curl -sI https://api.telnyx.com/v2/balance",
    signs=(
        Sign(
            "account",
            telnyx_unreachable,
            named={
                "no connection": unanswered(None, "the connection to api.telnyx.com failed"),
                "somebody else answers": unanswered(404, "not Telnyx's error format: '<html>'"),
            },
            quiet={"the key was refused": refused_key(), "questions are answered": account()},
            unchecked={"nothing was asked": Facts(AccountFacts())},
        ),
        Sign(
            "call",
            call_api_unreachable,
            code="CALL008",
            title="Telnyx's API did not answer our command",
            why="Webhooks come in, but commands do not get out: a firewall that stops outgoing connections, a DNS or "
            "TLS fault on this machine, or a wrong TELNYX_API_BASE.",
            fix="Try from the server: curl https://api.telnyx.com/v2/balance -H 'Authorization: Bearer …'. Open "
            "outgoing 443, or put TELNYX_API_BASE right.",
            named={
                "no connection": a_call(RANG, sent("answer"), answered("answer", None, None, "failed: refused")),
                "an error of Telnyx's": a_call(RANG, sent("answer"), answered("answer", 503)),
            },
            quiet={"a refusal": a_call(RANG, sent("answer"), answered("answer", 422, "90018"))},
        ),
    ),
)
