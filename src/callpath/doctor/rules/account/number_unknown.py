"""TELNYX004: the number is not in this account."""

from callpath.doctor.accounts import known_account, masked
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account


def check(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if asked.number_found is None:
        raise FactMissing(AccountFacts)
    if asked.number_found:
        return None
    hints = ["it was looked for by its bare digits, as Telnyx's filter wants it; a plus in that filter finds nothing"]
    digits = asked.number_asked.lstrip("+")
    if digits.startswith("0") or len(digits) < 8:
        hints.append("it has no country code: give it in full, as in +1 555 555 0199")
    return Finding(f"this account has no number {masked(asked.number_asked)}", tuple(hints))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX004",
    slug="number-not-in-account",
    title="The number is not in this Telnyx account",
    owner="you",
    why="Calls to it go to another account, or nowhere: this one never hears of them.",
    fix="Check the number with its country code, and that TELNYX_API_KEY is of the account that owns it.",
    named={
        "Telnyx finds none": account(number_found=False, number=None, numbers=()),
        "asked without its country code": account(
            number_asked="+05555550199", number_found=False, number=None, numbers=()
        ),
    },
    quiet={"it is there": account()},
    unchecked={"no number was asked for": account(number_found=None)},
)
