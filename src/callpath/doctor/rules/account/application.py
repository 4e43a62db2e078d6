"""TELNYX009: the application is switched off, or gone."""

from callpath.doctor.accounts import known_account, named, the_application
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import OTHER, account, app, number


def check(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if asked.application_missing and not asked.connection_kind:
        return Finding(
            f"there is no application and no connection id:{asked.connection_id} in this account any more",
            ("404 for /call_control_applications and for /connections",),
            fix="Make a Call Control application in the portal (Voice, Programmable Voice), and assign the number to "
            "it.",
        )
    application = the_application(facts)
    if application.active is not False:
        return None
    return Finding(
        f"the application {named(application)} is switched off",
        (f"active: false; last changed {application.updated_at or 'at an unknown time'}",),
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX009",
    slug="app-inactive-or-deleted",
    title="The Call Control application is switched off or gone",
    owner="you",
    why="An application that is not active takes no calls, makes none, and sends no webhooks.",
    fix="Switch it on: in the portal under Voice, Programmable Voice, or `callpath doctor account --fix`.",
    named={
        "switched off": account(app(active=False)),
        "the number's application is gone": account(None, row=number(connection_id=OTHER), application_missing=True),
    },
    quiet={"active": account()},
    unchecked={"which application is meant is not known": account(None)},
)
