"""HTTP005: a proxy waited for the application in vain."""

from __future__ import annotations

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.platform import author
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 504, 408)
    if carrier is None or any_variant_works(facts):
        return None
    if carrier.status == 408 and author(carrier).kind not in {"proxy", "edge"}:
        return None
    return Finding(f"a proxy gave up on the application after {carrier.ms / 1000:.1f} s", (show(carrier),))


RULE = Rule(
    code="HTTP005",
    slug="proxy-upstream-timeout-504",
    title="The application does not answer the proxy in time",
    layer="http",
    owner="you",
    why="The application (or a firewall before it) takes the connection and says nothing: a blocked loop, a deadlock, a "
    "handler that never accepts, another protocol on the port.",
    fix="Look at what the application does with this request; answer the upgrade first and work later.",
    masked_by=("URL003", "HTTP011"),
    check=check,
    examples=(
        Example("nginx waited", upgrade(answer(504, "<center>nginx</center>", Server="nginx")), fires=True),
        Example("a 502 is no time-out", upgrade(answer(502)), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
