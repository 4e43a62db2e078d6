"""CALL027: only slashes tell the stream URL from the one that this server serves."""

from __future__ import annotations

from callpath.doctor.calls import compared
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def check(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or not urls.only_slashes:
        return None
    return Finding(f"the stream was asked for under {urls.sent.path}: a slash too many, and servers take paths literally",
                   urls.lines)  # fmt: skip


RULE = Rule(
    code="CALL027",
    slug="url-double-slash-or-trailing",
    title="The path of the stream URL has a slash too many",
    layer="url",
    owner="you",
    why="A base URL that ends in / was joined to a path that begins with /. Routers take that for another path: 404.",
    fix="Strip the slash where the URL is joined: base.rstrip('/') + path",
    check=check,
    examples=(
        Example(
            "two slashes",
            a_call(ANSWERED, asking(f"wss://{HOST}//api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up())),
            fires=True,
        ),
        Example("the served path", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
