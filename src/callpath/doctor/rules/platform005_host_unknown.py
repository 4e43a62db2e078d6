"""PLATFORM005: the host does not know the name in our public URL."""

from __future__ import annotations

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import domain, platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None or not seen.public_host:
        raise FactMissing(PlatformFacts)
    names = [row.domain for row in seen.domains]
    if seen.public_host in names:
        return None
    known = (f"this service's names at {seen.platform}: {', '.join(names) or 'none'}",)
    if seen.public_host.endswith(".railway.app"):
        return Finding(f"the host {seen.public_host} is no name of this service any more", known)
    return Finding(
        f"the host {seen.public_host} is no name of this service at {seen.platform}: right only if a proxy of yours stands "
        "in front",
        known,
        kind="note",
    )


RULE = Rule(
    code="PLATFORM005",
    slug="url-stale-host",
    title="The host in PUBLIC_URL is not a name of this service",
    layer="url",
    owner="you",
    why="After a rename, a new domain or a new service the old name stays in settings. Webhooks and audio then go to "
    "nobody, or to the service of before.",
    fix="Set PUBLIC_URL to a name of this service (on Railway it may stay unset: RAILWAY_PUBLIC_DOMAIN is used), and the "
    "application's webhook URL with it.",
    check=check,
    examples=(
        Example("a name of before", platform(domain("b.up.railway.app"), public_host="a.up.railway.app"), fires=True),
        Example("something in front", platform(domain("b.up.railway.app")), fires=True),
        Example("one of its names", platform(), fires=False),
        Example("our public URL is not known", platform(public_host=""), fires=None),
        Example("the platform was not asked", nothing(), fires=None),
    ),
)
