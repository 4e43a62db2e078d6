"""AUTH001: the upgrade needs credentials."""

from __future__ import annotations

import re

from callpath.doctor.answers import LOGIN_WORDS, refused, show, words_of, works
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade

_WORDS = re.compile(
    r"\b(un)?authori[sz](ed|ation)|authenticat|credential|(invalid|missing|bad|wrong|expired|no) (api.?key"
    r"|(auth |access )?token|jwt|signature|password)|api.?key",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 401, 407, 403)
    if carrier is None:
        return None
    given = facts[UrlFacts]
    if works(facts, "no-token"):
        return Finding("with the token the upgrade is refused, without it it works", (show(carrier),))
    if carrier.status == 403 and not (_WORDS.search(words_of(carrier)) and len(carrier.text) < 2000):
        return None
    if carrier.status == 401 and carrier.has("location") and LOGIN_WORDS.search(carrier.header("location") or ""):
        return None
    asked = carrier.header("www-authenticate")
    token = "the token given is not accepted" if given.token_given else "no token was given (--token)"
    return Finding(
        f"{carrier.status}: credentials are required; {token}",
        (show(carrier), *((f"www-authenticate: {asked}",) if asked else ())),
    )


RULE = Rule(
    code="AUTH001",
    slug="ws-auth-required-401",
    title="The upgrade is refused without credentials",
    layer="auth",
    owner="you",
    why="A global guard, basic auth on staging, a JWT middleware or verifyClient stands before the stream. A carrier can "
    "send one token, in the header x-telnyx-streaming-auth-token, and nothing else.",
    fix="Exempt the stream's path from the guard and check the call's own token: stream_auth_token in the command, or a "
    "secret in the path. Try it with --token.",
    masked_by=("URL003", "URL011", "AUTH002", "AUTH003", "WS001", "WS002", "AUTH005"),
    check=check,
    examples=(
        Example("basic auth", upgrade(answer(401, WWW_Authenticate="Basic")), fires=True),
        Example("a bare 403", upgrade(answer(403)), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
