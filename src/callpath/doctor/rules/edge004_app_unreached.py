"""EDGE004: the platform's edge could not reach the application."""

from __future__ import annotations

import re

from callpath.doctor.edges import PROXIES, nobody_there, process_lines, said, show_row
from callpath.doctor.facts import EdgeFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    if facts[EdgeFacts].platform in PROXIES:
        return None
    told = nobody_there(facts)
    if not told:
        return None
    listening = process_lines(facts, "listening")
    alone = [line for line in listening if re.search(r"127\.0\.0\.1|localhost|\[?::1\]?", line.text)]
    everywhere = [line for line in listening if re.search(r"0\.0\.0\.0|\[::\]", line.text)]
    tried = told[0].upstream_address.rpartition(":")[2]
    ports = {
        port for line in listening for port in re.findall(r"(?:\bport\D{0,3}|:)(\d{2,5})\b", line.text, re.IGNORECASE)
    }
    fix = ""
    if alone and not everywhere:
        fix = "The application listens on 127.0.0.1 only: bind 0.0.0.0 (or ::)."
    elif tried.isdigit() and ports and tried not in ports:
        fix = (
            f"The edge tried port {tried}, the application listens on {', '.join(sorted(ports))}: set the domain's target "
            "port, or use $PORT."
        )
    return Finding(
        f"the edge answered {told[0].status} itself: {', '.join(told[0].upstream_errors) or told[0].response_details}",
        (*(show_row(row) for row in told[:3]), *(said(line) for line in listening[-2:])),
        fix=fix,
    )


RULE = Rule(
    code="EDGE004",
    slug="edge-app-failed-to-respond",
    title="The platform's edge could not reach the application",
    layer="http",
    owner="you",
    why="The edge is up and has taken the request; connecting to the application was refused: it listens on "
    "another port than the domain's target port, or on 127.0.0.1 only, or it is down.",
    fix="Listen on 0.0.0.0 and the port in $PORT, compare the domain's target port with it, and look whether the "
    "process is up.",
    masked_by=("EDGE003",),
    check=check,
    examples=(
        Example("connection refused", seen_at_edge(row("GET", 502, errors=("connection refused",))), fires=True),
        Example(
            "webhooks are refused, too", seen_at_edge(row("POST", 502, errors=("connection refused",))), fires=True
        ),
        Example("the application said 404", seen_at_edge(row("GET", 404)), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
