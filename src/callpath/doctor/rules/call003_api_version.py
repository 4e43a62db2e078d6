"""CALL003: the application sends webhooks of API version 1."""

from __future__ import annotations

from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import call, refusals


def check(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "api_version_1")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were of API version 1, in which nothing can be verified",
        tuple(row.detail for row in rows[:4]),
    )


RULE = Rule(
    code="CALL003",
    slug="api-version-1-webhooks",
    title="The Call Control application sends webhooks of API version 1",
    layer="account",
    owner="you",
    why="Applications made by API begin with webhook_api_version 1: another envelope, another signature. A server for "
    "version 2 refuses every event, and the phone just rings.",
    fix="Set webhook_api_version to 2: Telnyx portal, Call Control application, Webhook API Version; or "
    "callpath doctor account --fix.",
    check=check,
    examples=(
        Example("version 1", Facts(call(), refusals("api_version_1")), fires=True),
        Example("another reason", Facts(call(), refusals("stale")), fires=False),
        Example("no call log was read", nothing(), fires=None),
    ),
)
