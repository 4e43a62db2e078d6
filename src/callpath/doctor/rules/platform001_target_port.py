"""PLATFORM001: the host's edge knocks at another port than we listen on."""

from __future__ import annotations

from callpath.doctor.facts import FactMissing, Facts, PlatformFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_account import domain, platform


def check(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None or seen.listening_port is None:
        raise FactMissing(PlatformFacts)
    routed = [row for row in seen.domains if row.target_port is not None]
    # What other names of the service are routed to says nothing about calls, where ours is among them.
    routed = [row for row in routed if row.domain == seen.public_host] or routed
    wrong = [row for row in routed if row.target_port != seen.listening_port]
    if not wrong:
        return None
    told = (f"the deployment's log says: {seen.listening_line}",) if seen.listening_line else ()
    return Finding(
        f"{seen.platform} sends what comes for {wrong[0].domain} to port {wrong[0].target_port}, the server listens on "
        f"{seen.listening_port}",
        (*(f"{row.domain}: target port {row.target_port}" for row in wrong), *told),
        confidence="medium" if told else "high",
        fix=f"Set the target port of {wrong[0].domain} to {seen.listening_port} (Settings, Networking), or set the "
        f"variable PORT={wrong[0].target_port} and deploy again.",
    )


RULE = Rule(
    code="PLATFORM001",
    slug="edge-app-failed-to-respond",
    title="The host's edge knocks at another port than the server listens on",
    layer="deploy",
    owner="you",
    why="Railway keeps a target port for each domain. A stale one gives 502 on every path, while the program is healthy.",
    fix="Make the domain's target port and the port that the server listens on the same.",
    check=check,
    examples=(
        Example("3000, and the server listens on 8080", platform(domain(target_port=3000)), fires=True),
        Example("the same port", platform(), fires=False),
        Example("the platform finds the port itself", platform(domain(target_port=None)), fires=False),
        Example(
            "another name of the service", platform(domain(), domain("x.up.railway.app", target_port=1)), fires=False
        ),
        Example("our port is not known", platform(listening_port=None), fires=None),
        Example("the platform was not asked", nothing(), fires=None),
    ),
)
