"""URL012: the query does not reach the application."""

from __future__ import annotations

from callpath.doctor.facts import Arrived, Facts, MediaFacts, UrlFacts
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import media, nothing, url


def check(facts: Facts) -> Finding | None:
    arrived, given = facts[MediaFacts].arrived, facts[UrlFacts]
    if arrived is None:
        return None
    path, query = arrived.path, arrived.query
    if given.query and not query:
        return Finding(
            "the application got the upgrade without its query",
            (f"sent: {given.target}", f"arrived: {path}"),
        )
    if path != given.path:
        return Finding(
            f"a proxy rewrites the path: {given.path} arrived as {path}", (f"sent: {given.target}",), kind="note"
        )
    return None


def _told(given: str, arrived: Arrived | None) -> Facts:
    facts = media(arrived=arrived)
    facts.add(url(path="/audio", query=given))
    return facts


CAUSE = Cause(
    code="URL012",
    slug="url-query-string-lost",
    title="The query of the URL is lost on the way",
    layer="url",
    owner="you",
    why="A proxy's rewrite drops everything after the question mark; a handler that looks for ids there gets nothing.",
    fix="Put ids into the path, or let the proxy pass the query on (nginx: proxy_pass without a URI, or $is_args$args).",
    signs=(
        Sign(
            "url",
            check,
            examples=(
                Example("the server says it came without", _told("call=1", Arrived("/audio", "")), fires=True),
                Example("it came along", _told("call=1", Arrived("/audio", "call=1")), fires=False),
                Example("another server, which does not tell", _told("call=1", None), fires=False),
                Example("no stream was opened", nothing(), fires=None),
            ),
        ),
    ),
)
