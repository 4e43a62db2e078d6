"""CALLPATH001: a callpath server was reached, and this call is not one that it is waiting for."""

from __future__ import annotations

from callpath.doctor.answers import show
from callpath.doctor.facts import Facts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade


def check(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, "unknown_session", "call_ended", "token_expired", "second_socket")
    if word is None:
        return None
    return Finding(
        f"the callpath server itself answered {word.exchange.status} {word.reason}: {word.detail}",
        (show(word.exchange),),
        kind="limited",
        question="Nothing is wrong on the way to the server. Probe it with …/api/calls/test-connection/audio, which it "
        "always knows; and for a real call that failed read its timeline: callpath calls show ID.",
    )


def said(reason: str, status: int) -> Facts:
    return upgrade(answer(status, f'{{"error":"{reason}","detail":"told"}}', X_Callpath="0.1.0"))


RULE = Rule(
    code="CALLPATH001",
    slug="session-lookup-fails",
    title="The callpath server was reached; it does not wait for this call",
    layer="routing",
    owner="you",
    why="A callpath server lets a socket in only for a call that it knows from its webhooks, that is not over, and that "
    "has no living socket yet. A made-up id is rightly refused.",
    fix="Use the id test-connection to probe. If it is the id of a real call, its webhooks went to another server or "
    "another call log: compare DATABASE_URL and PUBLIC_URL of both.",
    masked_by=("URL003",),
    check=check,
    examples=(
        Example("an id that nobody knows", said("unknown_session", 404), fires=True),
        Example("a call that is over", said("call_ended", 410), fires=True),
        Example("a token of an hour ago", said("token_expired", 410), fires=True),
        Example("another server's 404", upgrade(answer(404, '{"error":"unknown_session"}')), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
