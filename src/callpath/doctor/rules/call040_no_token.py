"""CALL040: the socket came without the call's token."""

from __future__ import annotations

from callpath.doctor.calls import first, in_time, refused_sockets, show_entries
from callpath.doctor.facts import CallFacts, Facts, ServedFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import GOOD, a_call, turned_away
from callpath.timeline import SocketReceived


def check(facts: Facts) -> Finding | None:
    found = refused_sockets(facts[CallFacts], "no_token")
    if not found:
        return None
    entry, what = found[0]
    if not in_time(facts[CallFacts], entry):
        return Finding(
            f"an upgrade with a token that does not fit was answered {what.status}, long after the stream was asked for",
            (*show_entries(facts[CallFacts], entry), f"from {what.client}, path {what.path}"),
            kind="open",
            candidates=("ws-auth-required-401", "ws-token-wrong", "somebody-tried-the-url"),
            question="Was that Telnyx, or somebody who tried the URL by hand? Telnyx connects at once after "
            "streaming_start.",
        )
    asked_in = facts.get(ServedFacts)
    in_header = asked_in is None or asked_in.token_in == "header"
    return Finding(
        f"the upgrade came and carried no token; it was answered {what.status}",
        (
            *show_entries(facts[CallFacts], first(facts[CallFacts], SocketReceived), entry),
            f"from {what.client}, path {what.path}",
        ),
        fix="A proxy drops the header x-telnyx-streaming-auth-token, or another program asked for the stream without "
        "stream_auth_token. Set CALLPATH_TOKEN_IN=path: the token then stands in the URL."
        if in_header
        else "The path lost its last part on the way, or another program asked for the stream.",
    )


RULE = Rule(
    code="CALL040",
    slug="ws-auth-required-401",
    title="The socket came without the call's token, and we refused it",
    layer="auth",
    owner="you",
    why="Each call's socket is guarded by a token that Telnyx shows in the header x-telnyx-streaming-auth-token. "
    "A proxy that "
    "passes only known headers drops it.",
    fix="Let the proxy pass the header, or set CALLPATH_TOKEN_IN=path.",
    check=check,
    examples=(
        Example("no token", a_call(turned_away("no_token", 401)), fires=True),
        Example("let in later", a_call(turned_away("no_token", 401), GOOD), fires=False),
        Example("a wrong one", a_call(turned_away("wrong_token")), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
