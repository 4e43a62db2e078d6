"""PLATFORM007: the service sleeps."""

from __future__ import annotations

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.deployments is None:
        raise FactMissing(PlatformFacts)
    if not seen.deployments or seen.deployments[0][0] != "SLEEPING":
        return None
    return Finding(f"{seen.platform} has put the service to sleep: the first call finds nobody", ("status: SLEEPING",))


def states(*statuses: str) -> Facts:
    return platform(deployments=tuple((status, "2026-01-02T03:04:05.000Z") for status in statuses))


RULE = Rule(
    code="PLATFORM007",
    slug="edge-cold-start",
    title="The service sleeps",
    layer="deploy",
    owner="you",
    why="A service that sleeps is woken by the first request, which may get 502 and waits for seconds. Telnyx waits two "
    "seconds for a webhook's answer.",
    fix="Switch serverless (app sleeping) off for this service: Settings, Deploy, Serverless.",
    check=check,
    examples=(
        Example("asleep", states("SLEEPING"), fires=True),
        Example("awake", states("SUCCESS"), fires=False),
        Example("deployments may not be asked", platform(deployments=None), fires=None),
        Example("the platform was not asked", nothing(), fires=None),
    ),
)
