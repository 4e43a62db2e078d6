"""DEPLOY008: the platform puts the server to sleep."""

from callpath.doctor.facts import DeployFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans


def check(facts: Facts) -> Finding | None:
    asleep = [plan for plan in facts[DeployFacts].plans if plan.sleeps]
    if not asleep:
        return None
    return Finding(
        f"{asleep[0].platform} stops the server when nothing comes for a while ({asleep[0].sleeps})",
        tuple(f"{plan.file}: {plan.sleeps}" for plan in asleep),
    )


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY008",
    slug="server-sleeps",
    title="A sleeping server misses the call that should wake it",
    owner="you",
    why="Telnyx waits about two seconds for an answer to a webhook. A server that first has to start misses it, and "
    "the caller hears it ring; one that is stopped in the middle of a call cuts it.",
    fix='Keep one running: sleepApplication off on Railway, auto_stop_machines = "off" on Fly, a paid plan on Render.',
    named={"Fly stops machines": plans(plan("Fly", sleeps='auto_stop_machines = "stop"'))},
    quiet={"it stays up": plans(plan("Fly"))},
)
