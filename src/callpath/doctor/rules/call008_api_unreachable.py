"""CALL008: a command got no answer from Telnyx at all."""

from __future__ import annotations

import re

from callpath.doctor.calls import needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import RANG, a_call, answered, sent

_HEADER = re.compile(r"invalid (character in )?header|illegal header|ERR_INVALID_CHAR", re.IGNORECASE)


def check(facts: Facts) -> Finding | None:
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


RULE = Rule(
    code="CALL008",
    slug="telnyx-api-unreachable",
    title="Telnyx's API did not answer our command",
    layer="network",
    owner="network",
    why="Webhooks come in, but commands do not get out: a firewall that stops outgoing connections, a DNS or TLS fault on "
    "this machine, or a wrong TELNYX_API_BASE.",
    fix="Try from the server: curl https://api.telnyx.com/v2/balance -H 'Authorization: Bearer …'. Open outgoing 443, or "
    "put TELNYX_API_BASE right.",
    masked_by=("CALL007",),
    check=check,
    examples=(
        Example(
            "no connection", a_call(RANG, sent("answer"), answered("answer", None, None, "failed: refused")), fires=True
        ),
        Example("an error of Telnyx's", a_call(RANG, sent("answer"), answered("answer", 503)), fires=True),
        Example("a refusal", a_call(RANG, sent("answer"), answered("answer", 422, "90018")), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
