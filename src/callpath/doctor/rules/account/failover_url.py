"""TELNYX012: the failover URL leads elsewhere."""

from callpath.doctor.accounts import named, the_application
from callpath.doctor.facts import Facts, ServedFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import URL, account, app
from callpath.doctor.urls import differences, same_host


def check(facts: Facts) -> Finding | None:
    application, served = the_application(facts), facts[ServedFacts]
    url = application.webhook_event_failover_url
    if not url:
        return None
    found = differences(url, served.webhook_url)
    if not found:
        return Finding(
            f"the failover URL of {named(application)} is the webhook URL once more: it helps nothing",
            kind="note",
            fix="Leave it empty, or name a second server that shares this one's call log.",
        )
    if same_host(url, served.webhook_url):
        return Finding(
            f"the failover URL of {named(application)} has our host, but is not where webhooks are taken: {url}",
            found,
            kind="note",
            fix="Leave it empty, or name a second server that shares this one's call log.",
        )
    return Finding(
        f"after two failed tries Telnyx sends the webhooks of {named(application)} to {url}, which is not this server",
        found,
        kind="note",
    )


def failover(url: str) -> Facts:
    return account(app(webhook_event_failover_url=url))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX012",
    slug="webhook-failover-elsewhere",
    title="The failover URL is another server's",
    owner="you",
    why="A webhook that fails twice here is delivered there: that server then holds half of the call, and this one "
    "misses events.",
    fix="If that server does not share this one's call log, leave the failover URL empty.",
    named={
        "another host": failover("https://backup.example.net/hook"),
        "our host, another path": failover("https://calls.example.com/hook"),
        "the same once more": failover(URL),
    },
    quiet={"none": account()},
)
