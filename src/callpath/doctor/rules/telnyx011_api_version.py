"""TELNYX011: the application sends webhooks of API version 1."""

from __future__ import annotations

from callpath.doctor.accounts import named, the_application
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import account, app, refused_key


def check(facts: Facts) -> Finding | None:
    application = the_application(facts)
    if application.webhook_api_version in ("2", None):
        return None
    return Finding(
        f"the application {named(application)} sends webhooks in version {application.webhook_api_version}",
        (f'webhook_api_version: "{application.webhook_api_version}"',),
    )


RULE = Rule(
    code="TELNYX011",
    slug="api-version-1-webhooks",
    title="The application sends webhooks of API version 1",
    layer="account",
    owner="you",
    why="Version 1 has another envelope, other event names, and no Ed25519 signature: a server of today refuses each one, "
    "and the phone just rings. It is the default of applications that were made by API.",
    fix='Set webhook_api_version to "2": in the portal (Programmable Voice), or `callpath doctor account --fix`.',
    masked_by=("TELNYX001",),
    check=check,
    examples=(
        Example("version 1", account(app(webhook_api_version="1")), fires=True),
        Example("version 2", account(), fires=False),
        Example("the key was refused", refused_key(), fires=None),
    ),
)
