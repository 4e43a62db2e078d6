"""URL011: a user name and password stand in the URL."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade, url


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    if not given.userinfo:
        return None
    carrier = refused(facts)
    if carrier is None or carrier.status != 401:
        return Finding("the URL has a user name; carriers are not known to send it", kind="note")
    return Finding("the URL has a user name and password, which a carrier does not send as a header", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="URL011",
    slug="url-userinfo",
    title="The URL relies on a user name and password in it",
    owner="you",
    why="Browsers and curl turn user:password@ into an Authorization header; nothing says that a carrier does.",
    fix="Exempt the stream's path from basic auth, and authenticate with stream_auth_token.",
    named={"basic auth in the URL": upgrade(answer(401), given=url(userinfo=True))},
    quiet={"none": upgrade(answer(401))},
)
