"""TELNYX003: the account has no money left."""

from decimal import Decimal, InvalidOperation

from callpath.doctor.accounts import known_account
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, refused_key


def check(facts: Facts) -> Finding | None:
    balance = known_account(facts).balance
    try:
        left = Decimal(str((balance or {})["available_credit"]))
    except (KeyError, InvalidOperation):
        raise FactMissing(AccountFacts) from None
    if left > 0:
        return None
    currency = (balance or {}).get("currency", "")
    limit = (balance or {}).get("credit_limit", "?")
    return Finding(
        f"the available credit is {left} {currency}: Telnyx makes and takes no calls",
        (f"balance {(balance or {}).get('balance', '?')}, credit limit {limit}, available {left} {currency}",),
    )


def credit(text: str) -> Facts:
    return account(balance={"balance": text, "available_credit": text, "currency": "USD"})


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX003",
    slug="account-no-credit",
    title="The Telnyx account has no credit left",
    owner="you",
    why="Telnyx blocks calls of an account that cannot pay for them; nothing in the server shows it.",
    fix="Pay in at the Telnyx portal (Billing), and switch on auto-recharge.",
    named={"nothing left": credit("0.00"), "in debt": credit("-3.20")},
    quiet={"some left": credit("0.05")},
    unchecked={"the balance may not be asked": account(balance=None), "the key was refused": refused_key()},
)
