"""TELNYX023: webhooks are answered with a redirect."""

from __future__ import annotations

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key


def check(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status is None or not 300 <= failure.status < 400:
        return None
    return Finding(f"the newest webhook was answered with {failure.status}", failure.evidence)


RULE = Rule(
    code="TELNYX023",
    slug="webhook-redirected",
    title="Webhooks are answered with a redirect",
    layer="webhook",
    owner="you",
    why="Telnyx does not follow it everywhere, and where it does, a POST arrives as a GET: http in place of https, a "
    "missing slash, www, or a login page in front.",
    fix="Enter the final URL in the application: https, the exact host and path, no slash at the end.",
    masked_by=("TELNYX001", "TELNYX010"),
    check=check,
    examples=(
        Example("to https", delivered(delivery(301)), fires=True),
        Example("an error", delivered(delivery(500)), fires=False),
        Example("delivered", delivered(delivery(200)), fires=False),
        Example("no webhook within a day", delivered(), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)
