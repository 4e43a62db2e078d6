"""TELNYX024: nothing takes webhooks at that path."""

from __future__ import annotations

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key


def check(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status not in (404, 405, 410):
        return None
    if failure.by_callpath:
        return Finding(
            f"a callpath server was reached and answered {failure.status}: webhooks are not taken at that path",
            failure.evidence,
        )
    if "Application not found" in failure.body:
        return Finding(
            "the host's edge has no application behind that name (Application not found)",
            failure.evidence,
            fix="Attach the domain to the service at the host, deploy it, or correct the host in PUBLIC_URL and in the "
            "application.",
        )
    return Finding(f"the newest webhook was answered with {failure.status}", failure.evidence)


RULE = Rule(
    code="TELNYX024",
    slug="webhook-404",
    title="Nothing takes webhooks at that path",
    layer="webhook",
    owner="you",
    why="The webhook URL names a path that does not exist there, or another program answers for that host.",
    fix="Set the application's webhook URL to the one that `callpath serve` prints when it starts; a proxy in front has to "
    "pass its path on.",
    masked_by=("TELNYX001", "TELNYX010"),
    check=check,
    examples=(
        Example("somebody's 404", delivered(delivery(404, "Not Found")), fires=True),
        Example("a callpath server's own", delivered(delivery(404, headers=[["X-Callpath", "0.1"]])), fires=True),
        Example("the edge knows no such application", delivered(delivery(404, '{"message":"Application not found"}')),
                fires=True),
        Example("another error", delivered(delivery(500)), fires=False),
        Example("mended since", delivered(delivery(404, at=1), delivery(200, at=2)), fires=False),
        Example("no webhook within a day", delivered(), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)  # fmt: skip
