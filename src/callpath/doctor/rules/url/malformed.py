"""URL004: no connection can even be tried."""

from callpath.doctor.calls import asked, needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts, UrlFacts
from callpath.doctor.rule import IN_THE_URL, Cause, Finding, Sign
from callpath.doctor.rules.sample import url
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking


def url_malformed(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if not given.problem:
        return None
    return Finding(f"the URL cannot be used: {given.problem}", (f"as given: {given.raw[:120]!r}",), certain=IN_THE_URL)


URL_CHARS_MAX = 2000
"""Where Telnyx answers 10003 Invalid URL, as read in its API errors."""


def url_too_long(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if len(given.raw) <= URL_CHARS_MAX:
        return None
    return Finding(f"the URL has {len(given.raw)} characters, the limit is {URL_CHARS_MAX}", certain=IN_THE_URL)


def call_url_refused(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code == "10003")
    if found is None:
        return None
    entry, what = found
    request = asked(known)
    url = request.url if request is not None else ""
    return Finding(
        f"Telnyx refused the URL in {what.command} ({refused_by(what)})"
        + (f": {url[:120]!r}, {len(url)} characters" if url else ""),
        show_entries(known, entry),
        title="The stream URL is longer than Telnyx takes (2000 characters)" if len(url) > URL_CHARS_MAX else "",
    )


CAUSE = Cause(
    code="URL004",
    slug="url-malformed",
    merged=("url-too-long",),
    title="The URL cannot be read",
    owner="you",
    why="Without a host and a valid port there is nothing to connect to; the command is refused as an invalid URL.",
    fix="Write it as wss://HOST/PATH, and build it with a URL library instead of joining text.",
    signs=(
        Sign(
            "url",
            url_malformed,
            named={"no host": Facts(url("wss:///api", problem="no host"))},
            quiet={"a sound URL": Facts(url())},
        ),
        Sign(
            "url",
            url_too_long,
            code="URL009",
            title="The URL is too long",
            why="Telnyx refuses URLs of more than 2000 characters with 10003; servers and proxies have limits of "
            "their own.",
            fix="Put a short id into the path, and the token into stream_auth_token (4000 characters are allowed "
            "there).",
            named={"a token in the query": Facts(url("wss://voice.example.com/?t=" + "x" * 2100))},
            quiet={"an ordinary URL": Facts(url())},
        ),
        Sign(
            "call",
            call_url_refused,
            code="CALL019",
            title="Telnyx rejected stream_url as invalid",
            why="It has no wss:// in front, no host, a blank or line end in it, or more than 2000 characters.",
            fix="wss://HOST/api/calls/{call_session_id}/audio, at most 2000 characters, without blanks; build it "
            "from PUBLIC_URL.",
            named={
                "https": a_call(
                    ANSWERED, asking("https://calls.example.com/x"), answered("streaming_start", 422, "10003")
                )
            },
            quiet={"accepted": a_call(ACCEPTED)},
        ),
    ),
)
