"""TELNYX016: the application has no outbound voice profile."""

from callpath.doctor.accounts import known_account, named, the_application
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, app


def check(facts: Facts) -> Finding | None:
    application, asked = the_application(facts), known_account(facts)
    if application.outbound is None:
        raise FactMissing(AccountFacts)
    profile = application.outbound.outbound_voice_profile_id
    if profile and not asked.outbound_profile_missing:
        if asked.outbound_profile is None:
            raise FactMissing(AccountFacts)
        return None
    what = f"names the profile {profile}, which is gone" if profile else "has none"
    return Finding(
        f"the application {named(application)} cannot dial out: it {what}",
        (f"outbound.outbound_voice_profile_id: {profile or 'empty'}",),
        kind="fault" if asked.destination else "note",
    )


NONE = app(outbound={"channel_limit": 10})

CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX016",
    slug="outbound-profile-missing",
    title="The application has no outbound voice profile",
    owner="you",
    why="Telnyx dials only by the rules of a profile. A dial without one is refused, or accepted and then fails (D38, "
    "10010). Calls that come in are not concerned.",
    fix="Make an outbound voice profile in the portal (Voice, Outbound Voice Profiles) and choose it in the "
    "application's settings under Outbound.",
    named={
        "none, and a number is to be dialled": account(NONE, destination="+15555550123"),
        "none: worth knowing": account(NONE),
        "one that is gone": account(outbound_profile=None, outbound_profile_missing=True),
    },
    quiet={"there is one": account()},
    unchecked={
        "the application does not tell": account(app(outbound=None)),
        "it may not be asked": account(outbound_profile=None),
    },
)
