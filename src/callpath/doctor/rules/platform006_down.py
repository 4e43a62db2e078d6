"""PLATFORM006: nothing runs behind the name."""

from __future__ import annotations

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import platform

_DOWN = {
    "CRASHED": ("has crashed", "Mend what the last lines of its deploy log name, and deploy again."),
    "REMOVED": ("has been removed", "Deploy the service again."),
    "REMOVING": ("is being removed", "Deploy the service again."),
    "FAILED": ("failed, and nothing older runs", "See the build log, mend it, and deploy again."),
}
_UNDER_WAY = {"BUILDING", "DEPLOYING", "INITIALIZING", "QUEUED", "WAITING"}
_NEVER_RAN = {"FAILED", "SKIPPED", "NEEDS_APPROVAL"}


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.deployments is None:
        raise FactMissing(PlatformFacts)
    if not seen.deployments:
        return Finding(f"{seen.platform} has no deployment of this service", fix="Deploy the service.")
    if seen.deployments[0][0] in _UNDER_WAY:
        return None
    # One that failed to build leaves the one before it running.
    running = next((row for row in seen.deployments if row[0] not in _NEVER_RAN), seen.deployments[0])
    if running[0] not in _DOWN:
        return None
    words, fix = _DOWN[running[0]]
    return Finding(
        f"the deployment of {running[1] or 'an unknown time'} {words}: nothing runs behind the name",
        (f"status: {running[0]}", *seen.error_lines[-5:]),
        fix=fix,
    )


def states(*statuses: str) -> Facts:
    return platform(deployments=tuple((status, "2026-01-02T03:04:05.000Z") for status in statuses))


RULE = Rule(
    code="PLATFORM006",
    slug="crash-loop-or-oom",
    title="Nothing runs behind the name",
    layer="deploy",
    owner="you",
    why="The host's edge answers 502 or 404 for a service that is not up: no webhook is taken, no audio either.",
    fix="Deploy the service, and see its log.",
    check=check,
    examples=(
        Example("crashed", states("CRASHED", "REMOVED"), fires=True),
        Example("removed", states("REMOVED"), fires=True),
        Example("the only one failed", states("FAILED"), fires=True),
        Example("never deployed", platform(deployments=()), fires=True),
        Example("it runs", states("SUCCESS", "REMOVED"), fires=False),
        Example("the newest failed, the one before runs", states("FAILED", "SUCCESS"), fires=False),
        Example("one is under way", states("BUILDING", "REMOVED"), fires=False),
        Example("asleep", states("SLEEPING"), fires=False),
        Example("deployments may not be asked", platform(deployments=None), fires=None),
        Example("the platform was not asked", nothing(), fires=None),
    ),
)
