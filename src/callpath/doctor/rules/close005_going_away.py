"""CLOSE005: the server goes away while the stream runs."""

from __future__ import annotations

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.code not in {1001, 1012}:
        return None
    return Finding(
        f"the server closed with {show_ending(ending)} {ending.at_ms / 1000:.1f} s in: it says that it is going away",
        (show_ending(ending),),
        confidence="medium",
    )


RULE = Rule(
    code="CLOSE005",
    slug="deploy-kills-streams",
    title="A restart or reload ends running streams",
    layer="deploy",
    owner="you",
    why="1001 and 1012 are what servers and proxies send when they stop or reload (a redeploy, Caddy's reload).",
    fix="Drain before stopping: Railway RAILWAY_DEPLOYMENT_DRAINING_SECONDS; Caddy stream_close_delay; catch SIGTERM "
    "and let calls end.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003"),
    check=check,
    examples=(
        Example("1001", media(ending=ended(code=1001)), fires=True),
        Example("1000", media(ending=ended(code=1000)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
