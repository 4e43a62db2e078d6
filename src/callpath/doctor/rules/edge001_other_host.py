"""EDGE001: the stream was sent to another host than the one that gets the webhooks."""

from __future__ import annotations

from callpath.doctor.calls import place, url_asked, webhook
from callpath.doctor.calls import show_entries as show_entries
from callpath.doctor.edges import asked_for, came, covers, posts, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    edge = facts[EdgeFacts]
    if not asked_for(facts) or came(facts) or upgrades(facts) or not covers(facts):
        return None
    url = place(url_asked(call))
    hosts = sorted({row.host.partition(":")[0].lower() for row in edge.rows if row.host})
    if url is None or not hosts or url.host in hosts:
        return None
    failed = webhook(call, "streaming.failed")
    return Finding(
        f"Telnyx was sent to {url.host}, the webhooks come to {', '.join(hosts[:3])}, and no upgrade came here",
        (f"stream URL: {url_asked(call)}", *show_entries(call, failed), *(show_row(row) for row in posts(facts)[:2])),
        confidence="medium",
    )


RULE = Rule(
    code="EDGE001",
    slug="url-stale-host",
    title="The stream was sent to another host than the one that gets the webhooks",
    layer="url",
    owner="you",
    why="The host in the stream's URL is not one that this edge serves: an old domain, an old tunnel, or the "
    "address of another service. Telnyx went there, and no row tells of it here.",
    fix="Build the stream's URL from the host that the webhook came to (Host or X-Forwarded-Host), or set the "
    "public address anew after each rename.",
    masked_by=(),
    check=check,
    examples=(
        Example("another host", seen_at_edge(row("POST"), host="old.example.com"), fires=True),
        Example("the same host", seen_at_edge(row("POST")), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
