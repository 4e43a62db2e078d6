"""TELNYX026: webhooks are turned away, and not by a callpath server."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key


def check(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status is None or not 400 <= failure.status < 500 or failure.by_callpath:
        return None
    if failure.status in (404, 405, 408, 410):
        return None
    return Finding(
        f"the newest webhook was turned away with {failure.status}, and not by a callpath server", failure.evidence
    )


CAUSE = Cause.of(
    "account",
    check,
    code="TELNYX026",
    slug="webhook-blocked",
    title="Webhooks are turned away before a callpath server sees them",
    owner="you",
    why="A firewall for web applications, a bot check, an allow-list or a login in front takes Telnyx for a stranger; "
    "or another program than callpath answers there, and refuses the signature. Telnyx does not try again after most "
    "answers of this kind: the caller rings out.",
    fix="Let POST /api/calls/webhook through without a challenge or login: by its path, by the user agent "
    "telnyx-webhooks, or by Telnyx's published addresses.",
    named={
        "a challenge": delivered(delivery(403, "<title>Just a moment...</title>")),
        "another program's login": delivered(delivery(401)),
    },
    quiet={
        "our own refusal": delivered(delivery(401, headers=[["x-callpath", "0.1"]])),
        "a wrong path": delivered(delivery(404)),
        "delivered": delivered(delivery(200)),
    },
    unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
)
