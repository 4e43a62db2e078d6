"""CALL026: the server behind the stream URL is a callpath server that does not know this call."""

from __future__ import annotations

from callpath.doctor.calls import no_socket
from callpath.doctor.facts import CallFacts, Facts, WayFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, call, found_way


def check(facts: Facts) -> Finding | None:
    known, way = facts[CallFacts], facts[WayFacts]
    if way.word != "unknown_session" or no_socket(known) is None:
        return None
    return Finding(
        "the callpath server behind the stream URL answers that it does not know this call, though its webhooks are in "
        "this call log",
        (f"{way.url}: {way.word}: {way.detail}",),
    )


RULE = Rule(
    code="CALL026",
    slug="wrong-instance",
    title="Webhooks and sockets of a call reach different servers",
    layer="deploy",
    owner="you",
    why="Each process lets in only sockets of calls in its call log. Two replicas with a log each, or an old "
    "deployment that "
    "still answers under that name, refuse the other's calls.",
    fix="Give all replicas one DATABASE_URL, or run one replica; and let PUBLIC_URL lead to the server that gets "
    "the webhooks.",
    check=check,
    examples=(
        Example("it does not know the call", Facts(call(ACCEPTED), found_way("unknown_session")), fires=True),
        Example("it knows the call", Facts(call(ACCEPTED), found_way("call_ended")), fires=False),
        Example("nothing was probed", nothing(), fires=None),
    ),
)
