"""TELNYX011: the application sends webhooks of API version 1."""

from callpath.doctor.accounts import named, the_application
from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import account, app
from callpath.doctor.rules.sample_call import call, refusals


def telnyx_api_version(facts: Facts) -> Finding | None:
    application = the_application(facts)
    if application.webhook_api_version in ("2", None):
        return None
    return Finding(
        f"the application {named(application)} sends webhooks in version {application.webhook_api_version}",
        (f'webhook_api_version: "{application.webhook_api_version}"',),
    )


def call_api_version(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "api_version_1")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were of API version 1, in which nothing can be verified",
        tuple(row.detail for row in rows[:4]),
    )


CAUSE = Cause(
    code="TELNYX011",
    slug="api-version-1-webhooks",
    title="The application sends webhooks of API version 1",
    owner="you",
    why="Version 1 has another envelope, other event names, and no Ed25519 signature: a server of today refuses each "
    "one, and the phone just rings. It is the default of applications that were made by API.",
    fix='Set webhook_api_version to "2": in the portal (Programmable Voice), or `callpath doctor account --fix`.',
    signs=(
        Sign(
            "account",
            telnyx_api_version,
            named={"version 1": account(app(webhook_api_version="1"))},
            quiet={"version 2": account()},
        ),
        Sign(
            "call",
            call_api_version,
            code="CALL003",
            title="The Call Control application sends webhooks of API version 1",
            why="Applications made by API begin with webhook_api_version 1: another envelope, another signature. A "
            "server for version 2 refuses every event, and the phone just rings.",
            fix="Set webhook_api_version to 2: Telnyx portal, Call Control application, Webhook API Version; or "
            "callpath doctor account --fix.",
            named={"version 1": Facts(call(), refusals("api_version_1"))},
            quiet={"another reason": Facts(call(), refusals("stale"))},
        ),
    ),
)
