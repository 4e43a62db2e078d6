"""KEEP001: a quiet stream is dropped, a busy one is not."""

import re

from callpath.doctor.closings import AT_ONCE_MS
from callpath.doctor.edges import show_row, upgrades
from callpath.doctor.facts import DeployFacts, Facts, IdleFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import held
from callpath.doctor.rules.sample_deploy import ingress, plan, plans
from callpath.doctor.rules.sample_edge import row, seen_at_edge

NGINX_READ = ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600")


def check(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    silent, media, pinged = idle.hold("silent"), idle.hold("media"), idle.hold("media+ping")
    if silent is None or silent.ending.by != "peer" or silent.ending.kind == "close-frame":
        return None
    busy = [hold for hold in (media, pinged) if hold is not None]
    alive = [hold for hold in busy if hold.ending.by != "peer" or hold.held_ms > 1.5 * silent.held_ms + 1000]
    if busy and not alive:
        return None
    evidence = tuple(
        Seen(
            f"{hold.traffic}: {'cut' if hold.ending.by == 'peer' else 'still open'} after {hold.held_ms / 1000:.1f} s",
            f"the {hold.traffic} stream",
        )
        for hold in idle.holds
    )
    return Finding(
        f"a silent stream is cut without a close frame after {silent.held_ms / 1000:.1f} s, a busy one lives on",
        evidence,
    )


GCE_S = 30.0
"""The backend service timeout of Google's balancers; of a WebSocket it is the whole life (cloud.google.com, 2026-11)."""


def check_ingress(facts: Facts) -> Finding | None:
    seen = facts[DeployFacts]
    google = [plan for plan in seen.on("Ingress") if plan.ingress_class.startswith("gce")]
    told = [plan.timeout_s for plan in seen.on("BackendConfig") if plan.timeout_s is not None]
    limit_s = max(told, default=GCE_S)
    if not google or limit_s >= 3600:
        return None
    ignored = [name for name, _ in google[0].annotations if name.startswith("nginx.")]
    return Finding(
        f"{google[0].file}: Google's load balancer ends every stream after {limit_s:.0f} s",
        (
            f"class {google[0].ingress_class}, "
            + (f"BackendConfig timeoutSec {limit_s:.0f}" if told else "no BackendConfig: the default of 30 s holds"),
            *((f"without effect for this class: {', '.join(ignored)}",) if ignored else ()),
        ),
    )


_IDLE = re.compile(r"\bH15\b|\bH28\b|idle (?:connection|timeout)", re.IGNORECASE)


def edge_idle(facts: Facts) -> Finding | None:
    cut = [row for row in upgrades(facts) if any(_IDLE.search(word) for word in row.upstream_errors)]
    if not cut or cut[0].duration_ms is None or cut[0].duration_ms < AT_ONCE_MS:
        return None
    return Finding(
        "the edge itself says that it cut the stream because nothing moved on it, "
        f"{cut[0].duration_ms / 1000:.0f} s after it opened",
        tuple(show_row(row) for row in cut[:3]),
    )


CAUSE = Cause(
    code="KEEP001",
    slug="proxy-idle-timeout",
    title="A quiet stream is cut by an idle timeout",
    owner="you",
    why="A proxy or balancer drops connections on which nothing moves: nginx proxy_read_timeout (60 s), ALB (60 s), "
    "HAProxy "
    "timeout tunnel, Heroku (55 s), Cloudflare (about 100 s). Audio hides it; hold and one-way streams show it.",
    fix="Send a WebSocket ping every 20 s from the server, or raise the limit: nginx proxy_read_timeout 3600s; "
    "HAProxy timeout tunnel 1h; ALB idle_timeout 4000; Apache ProxyTimeout/Timeout.",
    signs=(
        Sign(
            "url",
            check,
            named={"only the silent one": held(10, silent=4.0, media=None)},
            quiet={"none": held(10, silent=None, media=None), "both at the same age": held(10, silent=4.0, media=4.0)},
        ),
        Sign(
            "files",
            check_ingress,
            title="The ingress ends streams after a fixed time",
            why="GKE's own ingress is no nginx: annotations of nginx do nothing there. The timeout of its backend "
            "service, 30 s by default, is the longest life of a WebSocket.",
            fix="Make a BackendConfig with spec.timeoutSec: 86400 and name it in the Service's annotation "
            'cloud.google.com/backend-config: \'{"default": "NAME"}\'.',
            named={"nginx's annotations on gce": plans(ingress("gce", NGINX_READ, services=("bot",)))},
            quiet={
                "a BackendConfig of a day": plans(ingress("gce"), plan("BackendConfig", timeout_s=86_400.0)),
                "an nginx": plans(ingress("nginx", NGINX_READ)),
            },
        ),
        Sign(
            "edge",
            edge_idle,
            code="LOG008",
            title="The edge cut the stream because nothing moved on it",
            named={
                "Heroku's H15": seen_at_edge(
                    row("GET", 503, duration=55_001, errors=("H15 Idle connection",)), platform="Heroku"
                )
            },
            quiet={"it was served": seen_at_edge(row("GET", 101, duration=55_001))},
        ),
    ),
)
