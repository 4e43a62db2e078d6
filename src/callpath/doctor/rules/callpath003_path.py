"""CALLPATH003: a callpath server was reached under a path that it does not serve."""

from __future__ import annotations

from callpath.doctor.answers import show
from callpath.doctor.facts import Facts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "no_such_path")
    if word is None:
        return None
    return Finding(word.detail, (show(word.exchange),))


RULE = Rule(
    code="CALLPATH003",
    slug="url-path-mismatch",
    title="The callpath server was reached; it has no such path",
    layer="routing",
    owner="you",
    why="The request came through to the callpath server, which serves audio at "
    "/api/calls/{call_session_id}/audio only. A proxy may also have added or cut a prefix.",
    fix="Use the audio URL that `callpath serve` prints at start. If a proxy adds a prefix, put it into PUBLIC_URL and "
    "let the proxy cut it again.",
    masked_by=("URL003", "URL006"),
    check=check,
    examples=(
        Example(
            "another path",
            upgrade(answer(404, '{"error":"no_such_path","detail":"audio goes elsewhere"}', X_Callpath="0.1.0")),
            fires=True,
        ),
        Example("another server's 404", upgrade(answer(404, "Not Found")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
