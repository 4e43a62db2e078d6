"""URL004: no connection can even be tried."""

from __future__ import annotations

from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing, url


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if not given.problem:
        return None
    return Finding(f"the URL cannot be used: {given.problem}", (f"as given: {given.raw[:120]!r}",))


RULE = Rule(
    code="URL004",
    slug="url-malformed",
    title="The URL cannot be read",
    layer="url",
    owner="you",
    why="Without a host and a valid port there is nothing to connect to; the command is refused as an invalid URL.",
    fix="Write it as wss://HOST/PATH, and build it with a URL library instead of joining text.",
    masked_by=("URL005",),
    check=check,
    examples=(
        Example("no host", Facts(url("wss:///api", problem="no host")), fires=True),
        Example("a sound URL", Facts(url()), fires=False),
        Example("no URL was read", nothing(), fires=None),
    ),
)
