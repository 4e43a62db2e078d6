"""TELNYX021: webhooks of this account are not signed for our public key."""

from callpath.doctor.accounts import known_account
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, refused_key


def check(facts: Facts) -> Finding | None:
    fits = known_account(facts).public_key_fits
    if fits is None:
        raise FactMissing(AccountFacts)
    if fits:
        return None
    return Finding(
        "this server refused the newest webhook as bad_signature, and none of the recorded ones verifies with "
        "TELNYX_PUBLIC_KEY",
        ("Telnyx tells its public key nowhere in the API: this is judged by the webhooks that it recorded",),
        confidence="medium",
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX021",
    slug="webhook-public-key-mismatch",
    title="TELNYX_PUBLIC_KEY is not this account's",
    owner="you",
    why="Each webhook is signed with the account's own key. With the public key of another account every one is "
    "refused, and the phone just rings.",
    fix="Copy the public key from the Telnyx portal of this very account (Keys & Credentials, Public Key) to "
    "TELNYX_PUBLIC_KEY and restart. If it is the right one, something between Telnyx and the server rewrites bodies.",
    named={"refused, and none verifies": account(public_key_fits=False)},
    quiet={"a recorded webhook verifies": account(public_key_fits=True)},
    unchecked={"no webhook is on record": account(public_key_fits=None), "the key was refused": refused_key()},
)
