"""CALL024: the stream was asked for under a path that this server does not serve."""

from __future__ import annotations

from callpath.doctor.calls import compared
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, TAKEN, a_call, asking, call, hung_up


def check(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.only_slashes:
        return None
    session = facts[CallFacts].session
    if urls.named is None:
        return Finding(
            f"the stream was asked for under {urls.sent.path}, this server serves {urls.served.path}", urls.lines
        )
    if urls.named != session:
        return Finding(
            f"the path names {urls.named[:40]!r}, and this call's call_session_id is {session}",
            urls.lines,
            title="The stream URL names another id than this call's",
            fix="Put the call_session_id into the path, and nothing else (call_control_id and call_leg_id are others).",
        )
    return None


RULE = Rule(
    code="CALL024",
    slug="url-path-mismatch",
    title="The stream was asked for under a path that this server does not serve",
    layer="routing",
    owner="you",
    why="Telnyx takes the URL as it is given. A path that the server does not have leads to a 404.",
    fix="Build the stream URL from PUBLIC_URL alone: callpath does so by itself; another program should use one constant "
    "for the URL that it sends and the route that it serves.",
    masked_by=("URL002", "URL003", "URL004", "URL005", "CALL023"),
    check=check,
    examples=(
        Example(
            "another path",
            a_call(ANSWERED, asking("wss://calls.example.com/media-stream"), TAKEN, (20_000, hung_up())),
            fires=True,
        ),
        Example("the served path", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("no settings are known", Facts(call(ACCEPTED, (20_000, hung_up()))), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
