"""NET001: HTTPS_PROXY is the only way out of this network."""

from callpath.doctor.facts import Facts, ProxyFacts
from callpath.doctor.rule import Cause, Finding


def check(facts: Facts) -> Finding | None:
    seen = facts[ProxyFacts]
    if seen.outcome != "used":
        return None
    return Finding(
        f"from this machine the URL is reached only through the proxy {seen.proxy.rpartition('@')[2]}",
        (f"directly: {seen.direct}",),
        kind="note",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="NET001",
    slug="reached-through-proxy",
    title="Reached only through the environment's proxy",
    owner="network",
    why="HTTPS_PROXY names a proxy, and the direct way from this machine fails. Telnyx does not come through it.",
    fix="Nothing for the URL. To examine the direct way, run the doctor where no proxy is needed.",
    named={"used": Facts(ProxyFacts(proxy="http://proxy.example:3128", outcome="used", direct="timeout"))},
    quiet={"failed": Facts(ProxyFacts(proxy="http://proxy.example:3128", outcome="failed"))},
)
