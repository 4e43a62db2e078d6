"""CLOSE008: the server is full."""

from __future__ import annotations

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.code != 1013:
        return None
    return Finding(f"the server closed with {show_ending(ending)}: try again later", (show_ending(ending),))


RULE = Rule(
    code="CLOSE008",
    slug="app-closes-stream",
    title="The server accepts no more streams",
    layer="deploy",
    owner="you",
    why="1013 says overload or a limit of connections.",
    fix="Raise the limit or add instances.",
    masked_by=("URL003", "DEPLOY001"),
    check=check,
    examples=(
        Example("1013", media(ending=ended(code=1013)), fires=True),
        Example("1000", media(ending=ended(code=1000)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
