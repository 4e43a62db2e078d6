"""TELNYX028: several applications send their webhooks here."""

from callpath.doctor.accounts import known_account, named
from callpath.doctor.facts import AccountFacts, FactMissing, Facts, ServedFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import OTHER, account, app, refused_key
from callpath.doctor.urls import same_url


def check(facts: Facts) -> Finding | None:
    asked, served = known_account(facts), facts[ServedFacts]
    if not asked.applications_listed:
        raise FactMissing(AccountFacts)
    ours = [row for row in asked.applications if same_url(row.webhook_event_url or "", served.webhook_url)]
    if len(ours) < 2:
        return None
    return Finding(
        f"{len(ours)} applications send their webhooks to this server: {', '.join(map(named, ours))}", kind="note"
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX028",
    slug="webhook-url-shared",
    title="Several applications send their webhooks here",
    owner="you",
    why="That is allowed. Where one of them is set in another way (version, limits, profile), only its calls behave "
    "oddly.",
    fix="Keep one application for each server, unless you mean it so.",
    named={"two": account(applications=(app(), app(id=OTHER, application_name="old")))},
    quiet={"one": account()},
    unchecked={"they may not be listed": account(applications_listed=False), "the key was refused": refused_key()},
)
