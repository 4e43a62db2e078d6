"""EDGE019: the socket came to another deployment than the webhooks."""

from __future__ import annotations

from callpath.doctor.calls import every
from callpath.doctor.edges import SHORT_MS, posts, show_row, upgrades
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.timeline import FirstInbound


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    rows = [row for row in upgrades(facts) if row.deployment_id]
    first = [row for row in posts(facts) if row.deployment_id]
    if not rows or not first or rows[-1].deployment_id == first[-1].deployment_id:
        return None
    if rows[-1].status == 101 and (rows[-1].duration_ms or 0) >= SHORT_MS:
        return None  # another one, and it worked
    if every(call, FirstInbound):
        return None
    return Finding(
        f"the webhook went to deployment {first[-1].deployment_id[:8]}, the upgrade to {rows[-1].deployment_id[:8]}",
        (show_row(first[-1]), show_row(rows[-1])),
        confidence="medium",
    )


RULE = Rule(
    code="EDGE019",
    slug="wrong-instance",
    title="The socket came to another deployment than the webhooks",
    layer="deploy",
    owner="you",
    why="Webhook and upgrade were served by two deployments or instances. What the one keeps in memory of the "
    "call the other does not know.",
    fix="Keep the call's state in a store that all instances share, run one instance, or wait for calls to end "
    "before the old deployment goes.",
    masked_by=(),
    check=check,
    examples=(
        Example(
            "two deployments",
            seen_at_edge(row("POST", deployment="aaaa1111"), row("GET", 404, deployment="bbbb2222")),
            fires=True,
        ),
        Example(
            "one deployment",
            seen_at_edge(row("POST", deployment="aaaa1111"), row("GET", 404, deployment="aaaa1111")),
            fires=False,
        ),
        Example("no edge log", nothing(), fires=None),
    ),
)
