"""TELNYX008: the number leads to another application than ours."""

from __future__ import annotations

from callpath.doctor.accounts import known_account, masked, named, the_application
from callpath.doctor.facts import AccountFacts, FactMissing, Facts, ServedFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import OTHER, OURS, account, app, number, refused_key
from callpath.doctor.urls import same_host
from callpath.wire.api import CallControlApplication


def ours_beside(facts: Facts) -> CallControlApplication | None:
    """Another application of this account that leads to our host, where the number's own does not."""
    asked, served = known_account(facts), facts[ServedFacts]
    application = the_application(facts)
    if same_host(application.webhook_event_url or "", served.webhook_url):
        return None
    return next((row for row in asked.applications if same_host(row.webhook_event_url or "", served.webhook_url)), None)


def check(facts: Facts) -> Finding | None:
    asked = known_account(facts)
    if not asked.number_found or not asked.connection_id:
        raise FactMissing(AccountFacts)
    application, ours = the_application(facts), ours_beside(facts)
    if ours is None:
        return None
    return Finding(
        f"the number {masked(asked.number_asked)} leads to the application {named(application)}; the one that calls this "
        f"server is {named(ours)}",
        (
            f"{named(application)} sends its webhooks to {application.webhook_event_url or 'nobody'}",
            f"{named(ours)} sends them to {ours.webhook_event_url}",
        ),
        fix=f"Assign the number to {named(ours)}: in the portal under Numbers, or `callpath doctor account --number … "
        f"--application {ours.id} --fix`.",
    )


THEIRS = app(id=OTHER, application_name="billing", webhook_event_url="https://billing.example.net/hook")

RULE = Rule(
    code="TELNYX008",
    slug="number-on-other-application",
    title="The number leads to another application",
    layer="account",
    owner="you",
    why="The webhooks of its calls go to another program. This server never hears of them.",
    fix="Assign the number to the application whose webhook URL is this server's.",
    masked_by=("TELNYX001",),
    check=check,
    examples=(
        Example(
            "on one application, while another leads to us",
            account(THEIRS, row=number(connection_id=OTHER), applications=(app(), THEIRS)),
            fires=True,
        ),
        Example("on ours", account(), fires=False),
        Example("the only application there is", account(THEIRS, row=number(connection_id=OTHER)), fires=False),
        Example("no number was asked for", account(number_found=None, connection_id=OURS), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)
