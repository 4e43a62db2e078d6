"""DEPLOY005: the start command listens where the platform cannot come."""

import re

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans, started

LOOPBACK = re.compile(r"--(?:host|bind)[ =](?:127\.|localhost|\[?::1)|\s-b\s+(?:127\.|localhost)")


def check(facts: Facts) -> Finding | None:
    found = [reason for plan in facts[DeployFacts].plans for reason in _reasons(plan)]
    return Finding(found[0], tuple(found)) if found else None


def _reasons(plan: DeployPlan) -> list[str]:
    reasons = []
    host = plan.variable("HOST") or ""
    if host.startswith("127.") or host in {"localhost", "::1"}:
        reasons.append(f"{plan.file} sets HOST={host}")
    told = host or plan.variable("UVICORN_HOST")
    for command in plan.commands:
        if LOOPBACK.search(command.text):
            reasons.append(f"{plan.file} starts `{command.text}`, which listens on this machine's own address alone")
        elif re.search(r"\buvicorn\s", command.text) and "--host" not in command.text and not told:
            reasons.append(f"{plan.file} starts `{command.text}`: without --host uvicorn listens on 127.0.0.1 alone")
    return reasons


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY005",
    slug="bound-to-loopback",
    title="The server listens on 127.0.0.1, where no platform can reach it",
    owner="you",
    why="A platform's edge reaches the container over its network. What listens on loopback answers itself, and the "
    "edge says 502, connection refused.",
    fix="Listen on 0.0.0.0: callpath does so unless HOST says otherwise; for uvicorn add --host 0.0.0.0.",
    named={
        "uvicorn by its default": plans(started("uvicorn app:app --port 8000")),
        "a HOST left over from development": plans(plan("Fly", environment=(("HOST", "127.0.0.1"),))),
    },
    quiet={"everywhere": plans(started("uvicorn app:app --host 0.0.0.0"))},
)
