"""URL010: with its query the URL is refused, without it it is upgraded."""

from callpath.doctor.answers import refused, show, works
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade, url


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or not facts[UrlFacts].query:
        return None
    better = works(facts, "no-query")
    if better is None:
        return None
    return Finding("the URL is refused with its query and upgraded without it", (show(carrier), show(better)))


CAUSE = Cause.of(
    "url",
    check,
    code="URL010",
    slug="url-query-refused",
    title="The server refuses the query part of the URL",
    owner="you",
    why="A router that compares path and query as one text, or a filter that dislikes the query, turns the upgrade "
    "away.",
    fix="Compare only the path (url.pathname), or move ids from the query into the path.",
    named={"a query in the way": upgrade(answer(404), answer(101, shape="no-query"), given=url(query="call=1"))},
    quiet={"no query": upgrade(answer(404))},
)
