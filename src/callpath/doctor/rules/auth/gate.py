"""AUTH002: a log-in for people stands in front."""

import re

from callpath.doctor.answers import LOGIN_WORDS, refused, show, words_of
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_PAGE = re.compile(
    r"<(title|h1)[^>]*>[^<]*(sign in|log ?in|authentication required|access denied)[^<]*<|oauth2[-_]proxy"
    r"|vercel authentication",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 301, 302, 303, 307, 308, 401, 403)
    if carrier is None:
        return None
    location = carrier.header("location") or ""
    if location and LOGIN_WORDS.search(location):
        return Finding(f"the upgrade is sent to a log-in: {location}", (show(carrier),))
    if (
        carrier.status in {200, 401, 403}
        and _PAGE.search(words_of(carrier))
        and re.search(r"<form|oauth2|vercel", words_of(carrier), re.IGNORECASE)
    ):
        return Finding("a log-in page answers the upgrade", (show(carrier),))
    if carrier.has("x-goog-iap-generated-response") or carrier.has("cf-access-domain") or carrier.has("cf-access-aud"):
        return Finding("an identity gate answers the upgrade", (show(carrier),))
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="AUTH002",
    slug="access-gate",
    title="Login page (SSO, Cloudflare Access) in front of the stream",
    owner="you",
    why="Cloudflare Access, Vercel's deployment protection, IAP, oauth2-proxy or the application's own session guard "
    "sends whoever is not logged in to a log-in page. A carrier cannot log in.",
    fix="Add a bypass for the stream's path (a service policy at the gate, skip_auth_routes in oauth2-proxy), and "
    "check the call's token there.",
    named={"to another host's log-in": upgrade(answer(302, Location="https://login.example.com/authorize"))},
    quiet={"to www": upgrade(answer(301, Location="https://www.example.com/"))},
)
