"""CALLPATH002: a callpath server was reached, and asks for the token of the call or of the probe."""

from __future__ import annotations

from callpath.doctor.answers import show
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "no_token", "wrong_token", "no_probe_token", "wrong_probe_token")
    if word is None:
        return None
    if word.reason.startswith("no_") and facts[UrlFacts].token_given:
        return Finding(
            "the token given did not arrive: something on the way drops the header x-telnyx-streaming-auth-token",
            (show(word.exchange),),
            confidence="medium",
            fix="Let the proxy pass the header, or set CALLPATH_TOKEN_IN=path on the server: the token then stands in "
            "the URL.",
        )
    return Finding(
        f"the callpath server itself answered {word.exchange.status} {word.reason}: {word.detail}",
        (show(word.exchange),),
    )


def said(reason: str, status: int) -> Facts:
    return upgrade(answer(status, f'{{"error":"{reason}","detail":"told"}}', X_Callpath="0.1.0"))


RULE = Rule(
    code="CALLPATH002",
    slug="ws-auth-required-401",
    title="The callpath server was reached; it asks for a token",
    layer="auth",
    owner="you",
    why="Each call's audio socket is guarded by a token that Telnyx is given with streaming_start; the doctor's own probe "
    "needs one, too, on a public host.",
    fix="Run the doctor where the server's settings are (TELNYX_API_KEY, or CALLPATH_SECRET where it is set): the probe "
    "token for test-connection is then made by itself. Or give it with --token.",
    masked_by=("URL003",),
    check=check,
    examples=(
        Example("a probe without its token", said("no_probe_token", 401), fires=True),
        Example("a wrong one", said("wrong_token", 403), fires=True),
        Example("another guard's 401", upgrade(answer(401, WWW_Authenticate="Basic")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
