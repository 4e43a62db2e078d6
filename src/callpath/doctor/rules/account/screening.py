"""TELNYX020: the number turns some callers away."""

from callpath.doctor.accounts import masked, the_voices
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
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


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX020",
    slug="number-screens-callers",
    title="The number turns some callers away",
    owner="you",
    why="A call that is rejected there leaves no trace here: for that caller the number seems dead.",
    fix="Set inbound call screening to flag_calls or disabled in the number's voice settings, if such callers are "
    "wanted.",
    named={"rejects": screening("reject_calls")},
    quiet={"only flags": screening("flag_calls"), "off": account()},
    unchecked={"its voice settings may not be asked": account(voices=()), "the key was refused": refused_key()},
)
