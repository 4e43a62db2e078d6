"""URL009: longer than Telnyx or servers take."""

from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import url

URL_CHARS_MAX = 2000
"""Where Telnyx answers 10003 Invalid URL, as read in its API errors."""


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if len(given.raw) <= URL_CHARS_MAX:
        return None
    return Finding(f"the URL has {len(given.raw)} characters, the limit is {URL_CHARS_MAX}")


CAUSE = Cause.of(
    "url",
    check,
    code="URL009",
    slug="url-too-long",
    title="The URL is too long",
    owner="you",
    why="Telnyx refuses URLs of more than 2000 characters with 10003; servers and proxies have limits of their own.",
    fix="Put a short id into the path, and the token into stream_auth_token (4000 characters are allowed there).",
    named={"a token in the query": Facts(url("wss://voice.example.com/?t=" + "x" * 2100))},
    quiet={"an ordinary URL": Facts(url())},
)
