"""PLATFORM008: the newest deployment failed; an older one runs."""

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_account import platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.deployments is None:
        raise FactMissing(PlatformFacts)
    states = [status for status, _ in seen.deployments]
    if not states or states[0] != "FAILED" or "SUCCESS" not in states:
        return None
    running = seen.deployments[states.index("SUCCESS")]
    return Finding(
        f"the deployment of {seen.deployments[0][1]} failed: what runs is the one of {running[1]}", kind="note"
    )


def states(*statuses: str) -> Facts:
    return platform(deployments=tuple((status, "2026-01-02T03:04:05.000Z") for status in statuses))


CAUSE = Cause.of(
    "account",
    check,
    code="PLATFORM008",
    slug="stale-build",
    title="The newest deployment failed; an older one runs",
    owner="you",
    why="What was changed since is not live.",
    fix="Read the build log of the one that failed: railway logs --build",
    named={"failed after one that runs": states("FAILED", "SUCCESS")},
    quiet={"the newest runs": states("SUCCESS", "FAILED")},
    unchecked={"deployments may not be asked": platform(deployments=None)},
)
