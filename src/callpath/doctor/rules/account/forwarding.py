"""TELNYX019: the number forwards its calls."""

from callpath.doctor.accounts import masked, the_voices
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, refused_key, voice


def check(facts: Facts) -> Finding | None:
    for row in the_voices(facts):
        forwarding = row.get("call_forwarding")
        if not isinstance(forwarding, dict) or not forwarding.get("call_forwarding_enabled"):
            continue
        target = forwarding.get("forwards_to")
        if not target:
            continue  # switched on by default, and without an effect until it forwards somewhere
        who = masked(row.get("phone_number"))
        if forwarding.get("forwarding_type") == "on-failure":
            return Finding(f"where {who} cannot be reached, Telnyx forwards the call to {masked(target)}", kind="note")
        return Finding(
            f"the number {who} forwards every call to {masked(target)}: none comes here",
            (f"call_forwarding: enabled, forwarding_type {forwarding.get('forwarding_type') or 'not given'}",),
        )
    return None


def forwards(kind: str, to: str = "+15555550144", *, on: bool = True) -> Facts:
    forwarding = {"call_forwarding_enabled": on, "forwards_to": to, "forwarding_type": kind}
    return account(voices=(voice(call_forwarding=forwarding),))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX019",
    slug="number-forwarded",
    title="The number forwards its calls",
    owner="you",
    why="A number that forwards always hands each call to another one; its application hears of none.",
    fix="Switch call forwarding off in the portal: Numbers, the number's voice settings.",
    named={"always": forwards("always"), "where it cannot be reached": forwards("on-failure")},
    quiet={
        "switched on, to nowhere: the default": forwards("always", ""),
        "switched off": forwards("always", on=False),
    },
    unchecked={"its voice settings may not be asked": account(voices=()), "the key was refused": refused_key()},
)
