"""DEPLOY002: the first try wakes the service."""

import itertools
from dataclasses import replace

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts, RepeatFacts, ToldFacts, UpgradeFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.deploy.wrong_instance import outcomes, recovered
from callpath.doctor.rules.sample import answer, failed, tries, upgrade
from callpath.doctor.rules.sample_account import platform
from callpath.doctor.rules.sample_call import ACCEPTED, hung_up
from callpath.doctor.rules.sample_log import another_call, told_call

SLOW_FIRST_MS = 2500.0


def deploy_cold_start(facts: Facts) -> Finding | None:
    rows = outcomes(facts)
    carrier, repeats = facts[UpgradeFacts].carrier, facts[RepeatFacts]
    later = [attempt.exchange.ms for attempt in repeats.tries if attempt.exchange.upgraded]
    if recovered(rows):
        return Finding(
            f"the first try failed ({rows[0][1]}), the later ones worked",
            tuple(Seen(f"try {number}: {text}", f"try {number}") for number, (_, text) in enumerate(rows, 1)),
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


STARTS_MIN = 2
"""One dead call after one start is chance."""


def log_first_call_dead(facts: Facts) -> Finding | None:
    told = facts[ToldFacts]
    calls = sorted((told.this, *told.others), key=lambda one: one.from_unix_ms)
    bounds = [*told.starts_unix_ms, calls[-1].until_unix_ms + 1]
    rounds = [[one for one in calls if begin <= one.from_unix_ms < end] for begin, end in itertools.pairwise(bounds)]
    rounds = [group for group in rounds if len(group) > 1]
    firsts = [group[0] for group in rounds]
    if len(rounds) < STARTS_MIN or told.this not in firsts or any(one.complete for one in firsts):
        return None
    if not all(one.complete for group in rounds for one in group[1:]):
        return None
    return Finding(
        f"the first call after each of {len(rounds)} starts of the process failed, and all "
        f"{sum(map(len, rounds)) - len(firsts)} later ones worked",
        tuple(f"call {one.name[:16]}: the first after a start, without audio both ways" for one in firsts[:4]),
        kind="limited",
        question="What is made at the first call and not at the start: a model that is loaded, a pool that is filled, "
        "an AI session that is opened? Make it before the process says that it listens.",
    )


CAUSE = Cause(
    code="DEPLOY002",
    slug="edge-cold-start",
    title="The service was asleep",
    owner="you",
    why="The platform stopped the idle service; the first request wakes it and fails or waits for the boot. The first "
    "call of the day is silent, the second is fine.",
    fix='Keep one instance running: Railway: serverless off; Render: a paid plan; Fly: auto_stop_machines = "off", '
    "min_machines_running = 1; Cloud Run: min instances 1.",
    signs=(
        Sign(
            "url",
            deploy_cold_start,
            named={
                "502, then fine": Facts(*upgrade(answer(502)), tries(*[answer(101)] * 4)),
                "slow, then fast": Facts(*upgrade(replace(answer(101), ms=6000.0)), tries(*[answer(101)] * 4)),
            },
            quiet={
                "one connection that timed out": Facts(*upgrade(failed("no-connection")), tries(*[answer(101)] * 4)),
                "always fine": Facts(*upgrade(answer(101)), tries(answer(101))),
            },
        ),
        Sign(
            "account",
            platform_asleep,
            code="PLATFORM007",
            title="The service sleeps",
            why="A service that sleeps is woken by the first request, which may get 502 and waits for seconds. Telnyx "
            "waits two seconds for a webhook's answer.",
            fix="Switch serverless (app sleeping) off for this service: Settings, Deploy, Serverless.",
            named={"asleep": states("SLEEPING")},
            quiet={"awake": states("SUCCESS")},
            unchecked={"deployments may not be asked": platform(deployments=None)},
        ),
        Sign(
            "call",
            log_first_call_dead,
            code="LOG009",
            title="The first call after each start fails",
            why="Something is only ready once the first call has asked for it, and that call does not wait so long.",
            fix="Warm up before the process says that it listens: load the model, fill the pools, open one session. "
            "Let the platform's health check wait for it.",
            named={
                "two starts, two dead first calls": told_call(
                    ACCEPTED,
                    (20_000, hung_up()),
                    starts=(-1_000, 100_000),
                    others=(
                        another_call("b", 30_000, complete=True),
                        another_call("c", 101_000, complete=False),
                        another_call("d", 130_000, complete=True),
                    ),
                )
            },
            quiet={
                "a later call failed, too": told_call(
                    ACCEPTED,
                    (20_000, hung_up()),
                    starts=(-1_000, 100_000),
                    others=(
                        another_call("b", 30_000, complete=False),
                        another_call("c", 101_000, complete=False),
                        another_call("d", 130_000, complete=True),
                    ),
                )
            },
        ),
    ),
)
