"""DEPLOY002: the first try wakes the service."""

from __future__ import annotations

from dataclasses import replace

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts, RepeatFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.deploy.wrong_instance import outcomes, recovered
from callpath.doctor.rules.sample import answer, failed, tries, upgrade
from callpath.doctor.rules.sample_account import platform

SLOW_FIRST_MS = 2500.0


def deploy_cold_start(facts: Facts) -> Finding | None:
    rows = outcomes(facts)
    carrier, repeats = facts[UpgradeFacts].carrier, facts[RepeatFacts]
    later = [attempt.exchange.ms for attempt in repeats.tries if attempt.exchange.upgraded]
    if recovered(rows):
        return Finding(
            f"the first try failed ({rows[0][1]}), the later ones worked",
            tuple(f"try {number}: {text}" for number, (_, text) in enumerate(rows, 1)),
        )
    if carrier.upgraded and carrier.ms > SLOW_FIRST_MS and len(later) >= 3 and max(later) < carrier.ms / 4:
        return Finding(
            f"the first upgrade took {carrier.ms / 1000:.1f} s, the later ones {max(later) / 1000:.1f} s at most",
            (f"first: {carrier.ms:.0f} ms", f"later: {', '.join(f'{ms:.0f}' for ms in later)} ms"),
        )
    return None


def platform_asleep(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.deployments is None:
        raise FactMissing(PlatformFacts)
    if not seen.deployments or seen.deployments[0][0] != "SLEEPING":
        return None
    return Finding(f"{seen.platform} has put the service to sleep: the first call finds nobody", ("status: SLEEPING",))


def states(*statuses: str) -> Facts:
    return platform(deployments=tuple((status, "2026-01-02T03:04:05.000Z") for status in statuses))


LIVE = Sign(
    "url",
    deploy_cold_start,
    examples=(
        Example("502, then fine", Facts(*upgrade(answer(502)), tries(*[answer(101)] * 4)), fires=True),
        Example(
            "slow, then fast", Facts(*upgrade(replace(answer(101), ms=6000.0)), tries(*[answer(101)] * 4)), fires=True
        ),
        Example(
            "one connection that timed out",
            Facts(*upgrade(failed("no-connection")), tries(*[answer(101)] * 4)),
            fires=False,
        ),
        Example("always fine", Facts(*upgrade(answer(101)), tries(answer(101))), fires=False),
    ),
)

ACCOUNT = Sign(
    "account",
    platform_asleep,
    code="PLATFORM007",
    title="The service sleeps",
    why="A service that sleeps is woken by the first request, which may get 502 and waits for seconds. "
    "Telnyx waits two "
    "seconds for a webhook's answer.",
    fix="Switch serverless (app sleeping) off for this service: Settings, Deploy, Serverless.",
    examples=(
        Example("asleep", states("SLEEPING"), fires=True),
        Example("awake", states("SUCCESS"), fires=False),
        Example("deployments may not be asked", platform(deployments=None), fires=None),
    ),
)

CAUSE = Cause(
    code="DEPLOY002",
    slug="edge-cold-start",
    title="The service was asleep",
    layer="deploy",
    owner="you",
    why="The platform stopped the idle service; the first request wakes it and fails or waits for the boot. The first call "
    "of the day is silent, the second is fine.",
    fix='Keep one instance running: Railway: serverless off; Render: a paid plan; Fly: auto_stop_machines = "off", '
    "min_machines_running = 1; Cloud Run: min instances 1.",
    signs=(LIVE, ACCOUNT),
)
