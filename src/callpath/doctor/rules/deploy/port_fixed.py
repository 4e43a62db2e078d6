"""DEPLOY006: the server listens on another port than the one that the platform sends requests to."""

import re

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans, started

TELLING = {"Railway", "Render", "Heroku"}
"""They choose the port, and tell it in PORT."""

FINDING = {"Railway", "Render"}
"""They look which port is open, too, which may well be right: docs.railway.com, render.com/docs (2026-11)."""


def check(facts: Facts) -> Finding | None:
    all_plans = facts[DeployFacts].plans
    found = [(plan, reason) for plan in all_plans for reason in _reasons(plan, all_plans)]
    if not found:
        return None
    sure = [reason for plan, reason in found if plan.platform not in FINDING]
    return Finding((sure or [found[0][1]])[0], tuple(reason for _, reason in found), kind="fault" if sure else "note")


def _reasons(plan: DeployPlan, all_plans: tuple[DeployPlan, ...]) -> list[str]:
    told = {port for command in plan.commands if (port := _port(command.text)) is not None}
    if plan.platform in TELLING:
        return [f"{plan.file} starts the server on port {port}, whatever PORT says" for port in sorted(told)]
    if plan.port is None or plan.platform == "Docker":
        return []
    listens = told or {int(text) for text in [plan.variable("PORT") or ""] if text.isdigit()}
    image = [other for other in all_plans if other.platform == "Docker"]
    if not listens and image:
        listens = {port for other in image for command in other.commands if (port := _port(command.text)) is not None}
    return [
        f"{plan.file} sends requests to port {plan.port}, and the server listens on {port}"
        for port in sorted(listens)
        if port != plan.port
    ]


def _port(text: str) -> int | None:
    found = re.search(r"(?:--port[ =]|\s-p\s+|--bind[ =]\S*:|\s-b\s+\S*:)(\d{2,5})\b", text)
    return int(found[1]) if found else None


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY006",
    slug="port-fixed",
    title="The server listens on another port than the platform uses",
    owner="you",
    why="The platform sends every request to its own port. Nobody listens there, so the edge answers 502 while the "
    "server's log looks healthy.",
    fix="Take --port out of the start command: callpath reads PORT. Where the platform's file names a port "
    "(internal_port, containerPort), set PORT to the same.",
    named={
        "PORT is ignored": plans(started("callpath serve --port 8000", "Heroku")),
        "two different numbers": plans(plan("Fly", port=8080, environment=(("PORT", "8000"),))),
    },
    quiet={
        "as the platform says": plans(started("callpath serve", "Railway")),
        "the same twice": plans(plan("Fly", port=8000, environment=(("PORT", "8000"),))),
    },
)
