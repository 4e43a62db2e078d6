"""TELNYX017: the outbound voice profile is switched off."""

from callpath.doctor.accounts import known_account, the_profile
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, profile, refused_key


def check(facts: Facts) -> Finding | None:
    row = the_profile(facts)
    if row.get("enabled") is False:
        what = "is switched off"
    elif row.get("concurrent_call_limit") == 0:
        what = "allows no call: concurrent_call_limit is 0"
    else:
        return None
    return Finding(
        f"the outbound voice profile {row.get('name', '')!r} {what}",
        kind="fault" if known_account(facts).destination else "note",
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX017",
    slug="outbound-profile-disabled",
    title="The outbound voice profile is switched off",
    owner="you",
    why="No call goes out by it. Calls that come in are not concerned.",
    fix="Switch it on in the portal: Voice, Outbound Voice Profiles.",
    named={
        "switched off, and a number is to be dialled": account(
            outbound_profile=profile(enabled=False), destination="+15555550123"
        ),
        "no call at once": account(outbound_profile=profile(concurrent_call_limit=0)),
    },
    quiet={"switched on": account()},
    unchecked={"it may not be asked": account(outbound_profile=None), "the key was refused": refused_key()},
)
