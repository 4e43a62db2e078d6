"""NET001: HTTPS_PROXY is the only way out of this network."""

from __future__ import annotations

from callpath.doctor.facts import Facts, ProxyFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign


def check(facts: Facts) -> Finding | None:
    seen = facts[ProxyFacts]
    if seen.outcome != "used":
        return None
    return Finding(
        f"from this machine the URL is reached only through the proxy {seen.proxy.rpartition('@')[2]}",
        (f"directly: {seen.direct}",),
        kind="note",
    )


LIVE = Sign(
    "url",
    check,
    examples=(
        Example(
            "used", Facts(ProxyFacts(proxy="http://proxy.example:3128", outcome="used", direct="timeout")), fires=True
        ),
        Example("failed", Facts(ProxyFacts(proxy="http://proxy.example:3128", outcome="failed")), fires=False),
    ),
)

CAUSE = Cause(
    code="NET001",
    slug="reached-through-proxy",
    title="Reached only through the environment's proxy",
    layer="tcp",
    owner="network",
    why="HTTPS_PROXY names a proxy, and the direct way from this machine fails. Telnyx does not come through it.",
    fix="Nothing for the URL. To examine the direct way, run the doctor where no proxy is needed.",
    signs=(LIVE,),
)
