"""TELNYX010: the application's webhook URL is not the one that we serve."""

from callpath.doctor.accounts import known_account, named, the_application
from callpath.doctor.facts import Facts, ServedFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import OTHER, URL, account, app, number
from callpath.doctor.urls import differences


def check(facts: Facts) -> Finding | None:
    asked, served = known_account(facts), facts[ServedFacts]
    if asked.application is None and asked.applications_listed and not asked.connection_id:
        if not asked.applications:
            return Finding("this account has no Call Control application at all", fix=_MAKE)
        return Finding(
            f"none of the account's {len(asked.applications)} Call Control applications leads to {served.webhook_url}",
            tuple(f"{named(row)}: {row.webhook_event_url or 'no URL'}" for row in asked.applications[:10]),
            fix=f"Set the webhook URL of the application that is meant to {served.webhook_url}, in the portal or with "
            "`callpath doctor account --application ID --fix`.",
        )
    application = the_application(facts)
    found = differences(application.webhook_event_url or "", served.webhook_url)
    if not found:
        return None
    return Finding(
        f"the application {named(application)} sends its webhooks to {application.webhook_event_url or 'nobody'}, "
        f"this server takes them at {served.webhook_url}",
        found,
        fix=f"Set its webhook URL to {served.webhook_url}: in the portal under Voice, Programmable Voice, or "
        "`callpath doctor account --fix`. If that URL is the right one, correct PUBLIC_URL instead.",
    )


_MAKE = (
    "Make a Call Control application in the portal (Voice, Programmable Voice) with this server's webhook URL, "
    "version 2, and assign a number to it."
)


def at(url: str) -> Facts:
    return account(app(webhook_event_url=url))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX010",
    slug="webhook-url-mismatch",
    title="The application's webhook URL is not this server's",
    owner="you",
    why="Telnyx tells of calls at that URL and nowhere else; a part of it that differs, a slash at the end included, "
    "is another place.",
    fix="Set the application's webhook URL to the one that `callpath serve` prints when it starts.",
    named={
        "another host": at("https://old.example.com/api/calls/webhook"),
        "another path": at("https://calls.example.com/webhook"),
        "http in place of https": at("http://calls.example.com/api/calls/webhook"),
        "a slash at the end": at(URL + "/"),
        "no URL": at(""),
        "no application leads here": account(None, row=number(connection_id=None), applications=(app(id=OTHER),)),
    },
    quiet={
        "the same, the host in capitals": at("https://CALLS.example.com:443/api/calls/webhook"),
        "the same": account(),
    },
    winners={"no application leads here": "number-not-assigned"},
)
