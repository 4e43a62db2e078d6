"""EDGE018: webhooks were not answered with 2xx."""

from __future__ import annotations

from callpath.doctor.edges import asked_for, came, posts, show_row, unreached
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = [row for row in posts(facts) if not unreached(row)]
    bad = [
        row
        for row in rows
        if row.status in {400, 401, 403, 405, 408, 409, 413, 415, 422, 429, 499} or 500 <= row.status < 600
    ]
    if not bad:
        return None
    statuses = ", ".join(sorted({str(row.status) for row in bad}))
    everything = not any(row.status < 300 for row in rows)
    call = facts.get(CallFacts)
    if not everything and call is not None and (came(facts) or asked_for(facts)):
        return Finding(
            f"{len(bad)} of {len(rows)} webhooks were answered with {statuses}",
            tuple(show_row(row) for row in bad[:3]),
            kind="note",
        )
    return Finding(
        f"{len(bad)} of {len(rows)} webhooks were answered with {statuses}",
        tuple(show_row(row) for row in bad[:3]),
        confidence="high" if everything else "medium",
    )


RULE = Rule(
    code="EDGE018",
    slug="webhook-not-2xx-or-slow",
    title="Webhooks were not answered with 2xx",
    layer="webhook",
    owner="you",
    why="Telnyx takes everything but 2xx for a failure. What is answered with 4xx is mostly not sent again, so "
    "the event, and the command that hangs on it, is lost.",
    fix="Answer 200 first and work afterwards. 401 or 403: check the public key, the clock, and any guard or "
    "firewall over the path.",
    masked_by=("EDGE003", "EDGE004", "EDGE008"),
    check=check,
    examples=(
        Example("all refused", seen_at_edge(row("POST", 401)), fires=True),
        Example("200", seen_at_edge(row("POST")), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
