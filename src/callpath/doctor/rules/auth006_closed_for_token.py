"""AUTH006: accepted, then closed for want of a token."""

from __future__ import annotations

import re

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing

_WORDS = re.compile(r"auth|token|credential|forbidden|permission|secret|signature|api.?key", re.IGNORECASE)


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame" or ending.code is None:
        return None
    if ending.code not in {3000, 3003, 4001, 4003, 4401, 4403} and not (
        (ending.code == 1008 or ending.code >= 4000) and _WORDS.search(ending.reason)
    ):
        return None
    token = "the token given is not accepted" if facts[UrlFacts].token_given else "no token was given (--token)"
    return Finding(f"the server accepted and closed with {show_ending(ending)}; {token}", (show_ending(ending),))


RULE = Rule(
    code="AUTH006",
    slug="ws-auth-required-401",
    title="The stream is closed for want of a valid token",
    layer="auth",
    owner="you",
    why="The handler checks a token after it accepted. The carrier sends stream_auth_token in the header "
    "x-telnyx-streaming-auth-token and in the first frame, nowhere else.",
    fix="Send the same secret as stream_auth_token in the command, and compare it with that header. Try it with --token.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003"),
    check=check,
    examples=(
        Example("bad token", media(ending=ended(code=1008, reason="invalid token")), fires=True),
        Example("a crash", media(ending=ended(code=1011)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
