"""TELNYX005: the number is not active."""

from callpath.doctor.accounts import masked, the_numbers
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, number, refused_key

_WORDS = {
    "purchase-pending": "its purchase is not finished",
    "purchase-failed": "its purchase failed",
    "port-pending": "it is still being ported in: until that day the old carrier gets its calls",
    "port-failed": "its porting failed",
    "ported-out": "it has been ported to another carrier",
    "port-out-pending": "it is being ported to another carrier",
    "deleted": "it has been deleted",
    "emergency-only": "it may only be used for emergency calls",
    "requirement-info-pending": "Telnyx waits for papers (the number's requirements)",
    "requirement-info-under-review": "Telnyx is looking through its papers",
    "requirement-info-exception": "Telnyx did not accept its papers",
    "provision-pending": "Telnyx has not set it up yet",
}


def check(facts: Facts) -> Finding | None:
    wrong = [row for row in the_numbers(facts) if row.get("status") not in ("active", None)]
    if not wrong:
        return None
    status = str(wrong[0]["status"])
    return Finding(
        f"the number {masked(wrong[0].get('phone_number'))} is {status}: {_WORDS.get(status, 'calls do not come in')}",
        tuple(f"{masked(row.get('phone_number'))}: status {row['status']}" for row in wrong),
    )


def status(text: str) -> Facts:
    return account(row=number(status=text))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX005",
    slug="number-not-active",
    title="The number is not active",
    owner="you",
    why="Only an active number takes calls.",
    fix="See Numbers in the Telnyx portal for what is missing: papers, payment, or the end of porting.",
    named={"porting is not finished": status("port-pending"), "papers are missing": status("requirement-info-pending")},
    quiet={"active": account()},
    unchecked={"the key was refused": refused_key()},
)
