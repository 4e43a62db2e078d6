"""KEEP001: a quiet stream is dropped, a busy one is not."""

from __future__ import annotations

from callpath.doctor.facts import Facts, IdleFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import held, nothing


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
        f"{hold.traffic}: {'cut' if hold.ending.by == 'peer' else 'still open'} after {hold.held_ms / 1000:.1f} s"
        for hold in idle.holds
    )
    return Finding(
        f"a silent stream is cut without a close frame after {silent.held_ms / 1000:.1f} s, a busy one lives on",
        evidence,
    )


CAUSE = Cause(
    code="KEEP001",
    slug="proxy-idle-timeout",
    title="A quiet stream is cut by an idle timeout",
    layer="keepalive",
    owner="you",
    why="A proxy or balancer drops connections on which nothing moves: nginx proxy_read_timeout (60 s), ALB (60 s), "
    "HAProxy "
    "timeout tunnel, Heroku (55 s), Cloudflare (about 100 s). Audio hides it; hold and one-way streams show it.",
    fix="Send a WebSocket ping every 20 s from the server, or raise the limit: nginx proxy_read_timeout 3600s; "
    "HAProxy timeout "
    "tunnel 1h; ALB idle_timeout 4000; Apache ProxyTimeout/Timeout.",
    signs=(
        Sign(
            "url",
            check,
            examples=(
                Example("only the silent one", held(10, silent=4.0, media=None), fires=True),
                Example("none", held(10, silent=None, media=None), fires=False),
                Example("both at the same age", held(10, silent=4.0, media=4.0), fires=False),
                Example("not held", nothing(), fires=None),
            ),
        ),
    ),
)
