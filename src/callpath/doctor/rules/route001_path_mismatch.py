"""ROUTE001: the server takes WebSockets, on another path."""

from __future__ import annotations

from callpath.doctor.answers import other_path_that_works, pattern_that_works, refused, show, works
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or pattern_that_works(facts) is not None:
        return None
    variant = works(facts, "path:lower-case", "path:no-prefix", "path:api-prefix")
    other = variant or other_path_that_works(facts)
    if other is None:
        return None
    given = facts[UrlFacts]
    return Finding(
        f"{given.path} is refused, {other.target} is upgraded",
        (show(carrier), show(other)),
        fix=f"If that is the stream's path: wss://{given.authority}{other.target}. Else correct the route of the server.",
    )


RULE = Rule(
    code="ROUTE001",
    slug="url-path-mismatch",
    title="The URL's path is not the one the server serves",
    layer="routing",
    owner="you",
    why="The server upgrades another path of the same host: the URL and the route were written apart, with another "
    "prefix, spelling or case.",
    fix="Use one constant for both the route and the URL in the command.",
    masked_by=("URL003", "URL006", "URL007", "ROUTE002"),
    check=check,
    examples=(
        Example(
            "another name",
            upgrade(answer(404), answer(101, shape="other:/media-stream", target="/media-stream")),
            fires=True,
        ),
        Example("no path upgrades", upgrade(answer(404), answer(404, shape="other:/media-stream")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
