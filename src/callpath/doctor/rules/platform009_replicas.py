"""PLATFORM009: several replicas that share no call log."""

from __future__ import annotations

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.replicas is None:
        raise FactMissing(PlatformFacts)
    if seen.replicas < 2:
        return None
    count = f"{seen.replicas} replicas"
    if seen.volumes:
        return Finding(
            f"the service is set to {count} and has a volume at {', '.join(seen.volumes)}, which only one can have",
            (f"replicas: {seen.replicas}", f"volumes: {', '.join(seen.volumes)}"),
        )
    if seen.shared_log is False:
        return Finding(
            f"{count} run, each with a call log of its own in SQLite",
            (f"replicas: {seen.replicas}", "DATABASE_URL names a file, or is not set"),
        )
    if seen.shared_log is None:
        return Finding(f"{count} run: they have to share one call log in Postgres", kind="note")
    return None


RULE = Rule(
    code="PLATFORM009",
    slug="wrong-instance",
    title="Several replicas share no call log",
    layer="deploy",
    owner="you",
    why="The edge chooses a replica for each request by chance: a call's webhooks come to one, its audio to another, "
    "which knows nothing of the call.",
    fix="Set the service to one replica, or give all of them one Postgres as DATABASE_URL.",
    check=check,
    examples=(
        Example("three, with SQLite", platform(replicas=3, shared_log=False), fires=True),
        Example("three, with a volume", platform(replicas=3, volumes=("/data",), shared_log=True), fires=True),
        Example("three, and nobody knows their store", platform(replicas=3, shared_log=None), fires=True),
        Example("three, with Postgres", platform(replicas=3, shared_log=True), fires=False),
        Example("one", platform(volumes=("/data",)), fires=False),
        Example("replicas may not be asked", platform(replicas=None), fires=None),
        Example("the platform was not asked", nothing(), fires=None),
    ),
)
