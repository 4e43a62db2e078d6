"""TELNYX008: the number leads to another application than ours."""

from callpath.doctor.accounts import known_account, masked, named, the_application
from callpath.doctor.facts import AccountFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import OTHER, OURS, account, app, number, refused_key
from callpath.doctor.urls import same_url


def check(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if not asked.number_found or not asked.connection_id:
        raise FactMissing(AccountFacts)
    ours = the_application(facts)
    if asked.application_missing or asked.connection_id == ours.id:
        return None
    theirs = next((row for row in asked.applications if row.id == asked.connection_id), None)
    if theirs is not None and same_url(theirs.webhook_event_url or "", ours.webhook_event_url or ""):
        return None
    where = named(theirs) if theirs is not None else f"id:{asked.connection_id}"
    reason = "the one that was named" if asked.chosen_by == "asked" else "the one that leads to this server"
    return Finding(
        f"the number {masked(asked.number_asked)} leads to the application {where}; {reason} is {named(ours)}",
        (
            *([f"{where} sends its webhooks to {theirs.webhook_event_url or 'nobody'}"] if theirs is not None else []),
            f"{named(ours)} sends them to {ours.webhook_event_url or 'nobody'}",
        ),
        fix=f"Assign the number to {named(ours)}: in the portal under Numbers, or `callpath doctor account --number … "
        f"--application {ours.id} --fix`.",
    )


THEIRS = app(id=OTHER, application_name="billing", webhook_event_url="https://billing.example.net/hook")

CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX008",
    slug="number-on-other-application",
    title="The number is assigned to another application",
    owner="you",
    why="The webhooks of its calls go to another program. This server never hears of them.",
    fix="Assign the number to the application whose webhook URL is this server's.",
    named={
        "on one application, while another leads to us": account(
            row=number(connection_id=OTHER), applications=(app(), THEIRS)
        )
    },
    quiet={
        "on ours": account(),
        "the only application there is": account(THEIRS, row=number(connection_id=OTHER)),
        "on another one, whose webhooks come here, too": account(
            row=number(connection_id=OTHER), applications=(app(), app(id=OTHER))
        ),
    },
    unchecked={
        "no number was asked for": account(number_found=None, connection_id=OURS),
        "the key was refused": refused_key(),
    },
)
