"""EDGE002: telnyx never reached the platform's edge."""

from callpath.doctor.calls import accepted, url_asked, webhook
from callpath.doctor.calls import show_entries as show_entries
from callpath.doctor.edges import asked_for, came, covers, posts, show_row, upgrades
from callpath.doctor.facts import CallFacts, EdgeFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    edge = facts[EdgeFacts]
    if not asked_for(facts) or came(facts) or upgrades(facts) or not covers(facts):
        return None
    failed = webhook(call, "streaming.failed")
    came_in = posts(facts)
    if not came_in:
        return None  # the log may be another service's
    webhooks = "a webhook" if len(came_in) == 1 else f"{len(came_in)} webhooks"
    return Finding(
        f"the edge log covers the time and has {webhooks}, but no request for the stream's path"
        + (" although Telnyx reports streaming.failed" if failed is not None else ""),
        (
            f"stream URL: {url_asked(call) or 'not in the logs'}",
            *show_entries(call, accepted(call), failed),
            f"rows of this edge about this call: {len(edge.rows)}",
            *(show_row(row) for row in came_in[:2]),
        ),
        kind="open",
        confidence="high" if failed is not None else "medium",
        candidates=(
            "dns-stale-record",
            "tls-hostname-mismatch",
            "url-stale-host",
            "firewall-ip-allowlist",
            "tcp-timeout-firewall-drop",
        ),
        question="Which layer below the edge fails? Run callpath doctor url "
        f"{url_asked(call) or 'URL'} from outside. If that is "
        "healthy, a firewall admits you and not the carrier, or this log is not that of the host in the URL.",
    )


CAUSE = Cause.of(
    "edge",
    check,
    code="EDGE002",
    slug="edge-never-reached",
    title="Telnyx never reached the platform's edge",
    owner="unclear",
    why="The edge logs every request that gets through DNS, TCP and TLS. Without a row for the stream's path the "
    "upgrade ended before it: another address in DNS, a certificate that is not trusted, a firewall, or a URL "
    "that leads elsewhere.",
    fix="callpath doctor url URL climbs the layers below the edge one by one.",
    named={"webhooks, and no upgrade": seen_at_edge(row("POST"))},
    quiet={
        "the log ends before the call does": seen_at_edge(row("POST"), until_ms=900),
        "the upgrade is there": seen_at_edge(row("POST"), row("GET", 404)),
    },
)
