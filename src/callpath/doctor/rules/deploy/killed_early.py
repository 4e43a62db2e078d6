"""DEPLOY007: the platform kills the server before its calls are over."""

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans

DEFAULT_STOP_S = {"Railway": 0.0, "Fly": 5.0, "compose": 10.0, "Render": 30.0, "Kubernetes": 30.0}
"""Where the file is silent. Sources: docs.railway.com, fly.io/docs, docs.docker.com, render.com/docs, kubernetes.io,
2026-11."""

SETTABLE_ELSEWHERE = {"Railway", "Render"}
"""On their own pages, too: a file that is silent proves nothing there."""

HOW = {
    "Railway": "RAILWAY_DEPLOYMENT_DRAINING_SECONDS={}",
    "Fly": "kill_timeout = {} (at most 300)",
    "Render": "maxShutdownDelaySeconds: {} (at most 300)",
    "compose": "stop_grace_period: {}s",
    "Kubernetes": "terminationGracePeriodSeconds: {}",
}


def check(facts: Facts) -> Finding | None:
    seen = facts[DeployFacts]
    short = [(plan, stop, drain) for plan in seen.plans for stop, drain in _times(plan, seen.drain_s) if stop < drain]
    if not short:
        return None
    sure = [row for row in short if row[0].stop_s is not None or row[0].platform not in SETTABLE_ELSEWHERE]
    plan, stop, drain = (sure or short)[0]
    if not seen.ours():
        return Finding(
            f"{plan.platform} kills the program {stop:.0f} s after the stop signal: a call that is up ends with it",
            tuple(f"{plan.file}: {stop:.0f} s" for plan, stop, _ in short),
            fix="\n".join(f"In {plan.file}: {HOW[plan.platform].format(300)}" for plan, _, _ in short)
            + "\nAnd let the program take no new calls after SIGTERM, and exit when the last one is over.",
            kind="note",
        )
    unless = "" if sure else ", unless its own pages say otherwise"
    return Finding(
        f"{plan.platform} kills the server {stop:.0f} s after the stop signal{unless}; its calls may take {drain:.0f} s",
        tuple(
            f"{plan.file}: {stop:.0f} s" + ("" if plan.stop_s is not None else f", {plan.platform}'s default")
            for plan, stop, _ in short
        ),
        fix="\n".join(f"In {plan.file}: {HOW[plan.platform].format(round(drain) + 10)}" for plan, _, drain in short),
        kind="fault" if sure else "note",
    )


def _times(plan: DeployPlan, drain_s: float) -> list[tuple[float, float]]:
    """How long the platform waits, and how long the server wants. Empty where the platform's time is unknown."""
    if plan.platform not in DEFAULT_STOP_S:
        return []
    stop = DEFAULT_STOP_S[plan.platform] if plan.stop_s is None else plan.stop_s
    told = plan.variable("CALLPATH_DRAIN_SECONDS") or ""
    return [(stop, float(told) if told.replace(".", "", 1).isdigit() else drain_s)]


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY007",
    slug="killed-before-drained",
    title="Every deploy cuts the calls that are up",
    owner="you",
    why="When a new version comes, the old server is told to stop and lets its calls end. The platform waits only so "
    "long, then kills it, and each caller hears the line go dead.",
    fix="Give the platform more time than CALLPATH_DRAIN_SECONDS.",
    named={"Railway, nothing set": plans(plan("Railway")), "Fly's five seconds": plans(plan("Fly"), drain_s=30)},
    quiet={
        "time enough": plans(plan("Railway", stop_s=300.0), drain_s=290),
        "a file that says nothing about it": plans(plan("nginx")),
    },
)
