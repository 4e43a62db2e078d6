"""DEPLOY009: the call log lies on a disk that every deploy throws away, or that replicas do not share."""

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans, started

FORGETFUL = {"Railway", "Fly", "Render", "Kubernetes"}
"""A container's own disk ends with the container."""


def check(facts: Facts) -> Finding | None:
    if not facts[DeployFacts].ours():
        return None  # somebody else's program keeps no call log of ours
    plans_seen = facts[DeployFacts].plans
    wrong = [(plan, words) for plan in plans_seen if (words := _split(plan))]
    if wrong:
        return Finding(wrong[0][1], tuple(f"{plan.file}: {words}" for plan, words in wrong))
    told = {plan.platform for plan in plans_seen if plan.variable("DATABASE_URL") is not None}
    lone = [plan for plan in plans_seen if plan.platform in FORGETFUL - told]  # railway.json has no place for variables
    several = [plan for plan in lone if plan.replicas is not None and plan.replicas > 1]
    bare = [plan for plan in lone if not plan.volume and plan not in several]
    # A database is often named on the platform's own pages alone: that its file is silent proves nothing.
    if several:
        words = (
            "name several replicas and no DATABASE_URL: unless the platform sets it, each keeps a call log of its own"
        )
    elif bare:
        words = "neither DATABASE_URL nor a volume: unless the platform does, the call log ends with the container"
    else:
        return None
    return Finding(f"{', '.join(plan.file for plan in several or bare)}: {words}", kind="note")


def _split(plan: DeployPlan) -> str:
    """Replicas with a file each, in so many words."""
    url = plan.variable("DATABASE_URL") or ""
    if plan.replicas is None or plan.replicas < 2 or not url.startswith("sqlite"):
        return ""
    return (
        f"{plan.replicas} replicas with {url}: webhook and audio of a call land on different ones, which share nothing"
    )


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY009",
    slug="call-log-not-kept",
    title="The call log is not kept, or not shared",
    owner="you",
    why="The timeline is what the server goes by. Where each replica has its own, the audio socket of a call arrives "
    "at a server that has never heard of it and is refused; where it is thrown away, a restart forgets the calls that "
    "are up.",
    fix="Set DATABASE_URL=postgresql://… (needed for more than one replica), or give the one replica a volume and "
    "point CALLPATH_DATA_DIR at it.",
    named={
        "two replicas, two files": plans(
            plan("Railway", replicas=2, environment=(("DATABASE_URL", "sqlite:///x.db"),))
        ),
        "gone with each deploy, unless set elsewhere": plans(plan("Render")),
    },
    quiet={
        "railway.json beside railway.ts": plans(
            plan("Railway"), plan("Railway", replicas=2, environment=(("DATABASE_URL", "x"),))
        ),
        "somebody else's program": plans(plan("Render"), started("node server.js", "Render")),
        "a volume": plans(plan("Fly", volume=True)),
        "Postgres": plans(plan("Railway", replicas=2, environment=(("DATABASE_URL", "x"),))),
    },
)
