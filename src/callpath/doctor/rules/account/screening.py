"""TELNYX020: the number turns some callers away."""

from __future__ import annotations

from callpath.doctor.accounts import masked, the_voices
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample_account import account, refused_key, voice


def check(facts: Facts) -> Finding | None:
    rows = [row for row in the_voices(facts) if row.get("inbound_call_screening") == "reject_calls"]
    if not rows:
        return None
    return Finding(
        f"Telnyx rejects callers of {masked(rows[0].get('phone_number'))} whom it takes for spam, before any webhook",
        ("inbound_call_screening: reject_calls",),
        kind="note",
    )


def screening(kind: str) -> Facts:
    return account(voices=(voice(inbound_call_screening=kind),))


ACCOUNT = Sign(
    "account",
    check,
    examples=(
        Example("rejects", screening("reject_calls"), fires=True),
        Example("only flags", screening("flag_calls"), fires=False),
        Example("off", account(), fires=False),
        Example("its voice settings may not be asked", account(voices=()), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)

CAUSE = Cause(
    code="TELNYX020",
    slug="number-screens-callers",
    title="The number turns some callers away",
    layer="account",
    owner="you",
    why="A call that is rejected there leaves no trace here: for that caller the number seems dead.",
    fix="Set inbound call screening to flag_calls or disabled in the number's voice settings, if such callers are wanted.",
    signs=(ACCOUNT,),
)
