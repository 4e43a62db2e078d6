"""HTTP008: the platform's edge cannot reach the application."""

from __future__ import annotations

import re

from callpath.doctor.answers import any_variant_works, refused, show, words_of
from callpath.doctor.facts import Facts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade

_FIXES = {
    "Railway": "Bind 0.0.0.0 and the port in $PORT, and compare the domain's target port (Settings, Networking) with it.",
    "Heroku": "Bind 0.0.0.0:$PORT within 60 s of the start; heroku logs shows H10 (crashed) or H20.",
    "Render": "Bind 0.0.0.0 and $PORT (10000 by default).",
    "Fly": "Bind 0.0.0.0 and the internal_port of fly.toml; fly logs names PC01/PC02.",
    "Cloud Run": "Bind 0.0.0.0:$PORT (8080).",
    "ngrok": "Start the application on the port that the agent forwards to.",
}


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 502, 503)
    if carrier is None or any_variant_works(facts):
        return None
    who = author(carrier)
    edge = who.name if who.kind == "edge" else next((t.name for t in recognise(carrier) if t.kind == "edge"), "")
    if not edge or edge in {"Cloudflare", "ALB"}:
        return None
    if carrier.status == 503 and not re.search(
        r"fail|respond|application|unavailable|upstream|error", words_of(carrier), re.IGNORECASE
    ):
        return None
    return Finding(f"{edge} could not reach the application", (show(carrier),), fix=_FIXES.get(edge, ""))


RULE = Rule(
    code="HTTP008",
    slug="edge-app-failed-to-respond",
    title="The platform cannot reach the application",
    layer="http",
    owner="you",
    why="The edge is up, the application behind it does not answer: it listens on another port or only on 127.0.0.1, the "
    "domain's target port is stale, or it crashed.",
    fix="Bind 0.0.0.0 and $PORT, check the target port, read the deployment's log.",
    fixes=_FIXES,
    masked_by=("URL003",),
    check=check,
    examples=(
        Example(
            "Railway's 502",
            upgrade(
                answer(
                    502,
                    '{"status":"error","code":502,"message":"Application failed to respond"}',
                    x_railway_fallback="true",
                )
            ),
            fires=True,
        ),
        Example("nginx's 502", upgrade(answer(502, "<center>nginx</center>")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
