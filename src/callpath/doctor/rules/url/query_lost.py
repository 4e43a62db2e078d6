"""URL012: the query does not reach the application."""

from callpath.doctor.calls import first, show_entries, url_asked
from callpath.doctor.facts import Arrived, CallFacts, Facts, MediaFacts, UrlFacts
from callpath.doctor.reasons import closed_by_program, show_line
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import media, url
from callpath.doctor.rules.sample_call import ANSWERED, GOOD, TAKEN, URL, asking, hung_up
from callpath.doctor.rules.sample_log import line, told_call
from callpath.timeline import SocketClosed, SocketReceived


def check(facts: Facts) -> Finding | None:
    arrived, given = facts[MediaFacts].arrived, facts[UrlFacts]
    if arrived is None:
        return None
    path, query = arrived.path, arrived.query
    if given.query and not query:
        return Finding(
            "the application got the upgrade without its query",
            (f"sent: {given.target}", Seen(f"arrived: {path}", "the server's own word")),
        )
    if path != given.path:
        return Finding(
            f"a proxy rewrites the path: {given.path} arrived as {path}", (f"sent: {given.target}",), kind="note"
        )
    return None


def log_query_lost(facts: Facts) -> Finding | None:
    closing = closed_by_program(facts)
    known = facts[CallFacts]
    url = url_asked(known)
    if closing is None or closing.line is None or not closing.line.gone or "?" not in url or not closing.at_once:
        return None
    return Finding(
        f"the stream URL has a query, and the program closed the socket because it missed what stands there: "
        f"{closing.line.text}",
        (
            show_line(closing.line),
            f"asked for: {url}",
            *show_entries(known, first(known, SocketReceived), closing.entry),
        ),
        confidence="medium",
        fix="Put ids and tokens into the path of stream_url (wss://host/media/ID/TOKEN), or send the token as "
        "stream_auth_token; let no proxy rewrite drop the query.",
    )


def _told(given: str, arrived: Arrived | None) -> Facts:
    facts = media(arrived=arrived)
    facts.add(url(path="/audio", query=given))
    return facts


CAUSE = Cause(
    code="URL012",
    slug="url-query-string-lost",
    title="The query of the URL is lost on the way",
    owner="you",
    why="A proxy's rewrite drops everything after the question mark; a handler that looks for ids there gets nothing.",
    fix="Put ids into the path, or let the proxy pass the query on (nginx: proxy_pass without a URI, or "
    "$is_args$args).",
    signs=(
        Sign(
            "url",
            check,
            named={"the server says it came without": _told("call=1", Arrived("/audio", ""))},
            quiet={
                "it came along": _told("call=1", Arrived("/audio", "call=1")),
                "another server, which does not tell": _told("call=1", None),
            },
        ),
        Sign(
            "call",
            log_query_lost,
            code="LOG005",
            title="What stands in the query of the stream URL did not reach the program",
            why="The program reads an id or a token from the query of the URL that it gave Telnyx, and the upgrade "
            "came without it: a proxy's rewrite drops it, or it was never put there as the program reads it.",
            named={
                "the program misses it": told_call(
                    ANSWERED,
                    asking(f"{URL}?tenant=t1"),
                    TAKEN,
                    (1_000, SocketReceived(path="/media")),
                    (1_200, SocketClosed(code=1005)),
                    (20_000, hung_up()),
                    complaints=(line(1_100, "Missing required parameters: tenant", because="parameters", gone=True),),
                )
            },
            quiet={"closed at the call's end": told_call(GOOD)},
        ),
    ),
)
