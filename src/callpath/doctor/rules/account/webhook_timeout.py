"""TELNYX013: the application's webhook time-out is odd."""

from callpath.doctor.accounts import named, the_application
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import account, app, refused_key

SECONDS_MIN, SECONDS_MAX = 2, 10


def check(facts: Facts) -> Finding | None:
    application = the_application(facts)
    seconds = application.webhook_timeout_secs
    if seconds is None or SECONDS_MIN <= seconds <= SECONDS_MAX:
        return None
    effect = (
        "an answer that takes a moment counts as lost, and the event comes twice"
        if seconds < SECONDS_MIN
        else "a webhook that is lost comes again that much later, while the caller waits"
    )
    return Finding(
        f"the webhook time-out of the application {named(application)} is {seconds} s: {effect}",
        (
            f"webhook_timeout_secs: {seconds}",
            "Telnyx's API calls it the time-out, its portal the delay before a retry; unset, a retry comes after 2 s",
        ),
        kind="note",
    )


def timeout(seconds: int | None) -> Facts:
    return account(app(webhook_timeout_secs=seconds))


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX013",
    slug="webhook-timeout-odd",
    title="Unusual webhook timeout",
    owner="you",
    why="Callers wait while Telnyx waits.",
    fix="Leave the webhook time-out (in the portal: custom webhook retry delay) empty.",
    named={"none at all": timeout(0), "half a minute": timeout(30)},
    quiet={"five seconds": timeout(5), "unset": timeout(None)},
    unchecked={"the key was refused": refused_key()},
)
