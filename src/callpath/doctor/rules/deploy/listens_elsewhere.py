"""DEPLOY005 and DEPLOY006: the server listens where the platform does not ask, by its address or by its port.

Two causes, since each has cases and a fix of its own: uvicorn's default and a HOST left over from development, and a port
that is written down twice (field case C07).
"""

import re

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import plan, plans, started

LOOPBACK = re.compile(r"--(?:host|bind)[ =](?:127\.|localhost|\[?::1)|\s-b\s+(?:127\.|localhost)")


def address(facts: Facts) -> Finding | None:
    found = [reason for plan in facts[DeployFacts].plans for reason in _wrong_addresses(plan)]
    return Finding(found[0], tuple(found)) if found else None


def _wrong_addresses(plan: DeployPlan) -> list[str]:
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


TELLING = {"Railway", "Render", "Heroku"}
"""Platforms that choose the port, and tell it in PORT."""

FINDING = {"Railway", "Render"}
"""Platforms that also look which port is open, which may well be right: docs.railway.com, render.com/docs (2026-11)."""


def port(facts: Facts) -> Finding | None:
    all_plans = facts[DeployFacts].plans
    found = [(plan, reason) for plan in all_plans for reason in _wrong_ports(plan, all_plans)]
    if not found:
        return None
    sure = [reason for plan, reason in found if plan.platform not in FINDING]
    return Finding((sure or [found[0][1]])[0], tuple(reason for _, reason in found), kind="fault" if sure else "note")


def _wrong_ports(plan: DeployPlan, all_plans: tuple[DeployPlan, ...]) -> list[str]:
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


CAUSES = (
    Cause.of(
        "files",
        address,
        code="DEPLOY005",
        slug="bound-to-loopback",
        title="The server listens on 127.0.0.1, where no platform can reach it",
        owner="you",
        why="A platform's edge reaches the container over its network. What listens on loopback answers itself, and "
        "the edge says 502, connection refused.",
        fix="Listen on 0.0.0.0: callpath does so unless HOST says otherwise; for uvicorn add --host 0.0.0.0.",
        named={
            "uvicorn by its default": plans(started("uvicorn app:app --port 8000")),
            "a HOST left over from development": plans(plan("Fly", environment=(("HOST", "127.0.0.1"),))),
        },
        quiet={"everywhere": plans(started("uvicorn app:app --host 0.0.0.0"))},
    ),
    Cause.of(
        "files",
        port,
        code="DEPLOY006",
        slug="port-fixed",
        title="The server listens on another port than the platform uses",
        owner="you",
        why="The platform sends every request to its own port. Nobody listens there, so the edge answers 502 while "
        "the server's log looks healthy.",
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
    ),
)
