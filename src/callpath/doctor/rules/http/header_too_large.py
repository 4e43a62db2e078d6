"""HTTP014: the request's head is too large for the server."""

import re

from callpath.doctor.answers import refused, show, words_of
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_TOO_LARGE = re.compile(
    r"header(s)? or cookie too large|header fields? too large|request header.{0,20}too (large|long)"
    r"|size of a request header field exceeds",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400, 413, 414, 431, 494)
    if carrier is None:
        return None
    if carrier.status not in {414, 431, 494} and not _TOO_LARGE.search(words_of(carrier)):
        return None
    what = "the URL" if carrier.status == 414 else "the headers"
    long_url = f"; the path and query have {len(facts[UrlFacts].target)} characters"
    return Finding(f"the server finds {what} too large{long_url}", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP014",
    slug="header-too-large-431",
    title="The request is too large for the server",
    owner="you",
    why="The token, the URL or what proxies add exceeds the server's limit for a request's head (8 KB is common, "
    "Railway 32 KB).",
    fix="Use a short opaque token, or raise the limit: nginx large_client_header_buffers, Node "
    "--max-http-header-size, HAProxy tune.bufsize.",
    named={"a long token": upgrade(answer(431))},
    quiet={"another 400": upgrade(answer(400, "Bad Request"))},
)
