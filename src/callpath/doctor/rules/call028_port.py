"""CALL028: the stream URL names another port than the world reaches this server at."""

from __future__ import annotations

from callpath.doctor.calls import compared
from callpath.doctor.facts import Facts, ServedFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def check(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.sent.port == urls.served.port or urls.sent.scheme != urls.served.scheme:
        return None
    served = facts[ServedFacts]
    inside = " (that is what the process listens on inside)" if urls.sent.port == served.port else ""
    return Finding(
        f"the stream was asked for at port {urls.sent.port}{inside}, the world reaches this server at {urls.served.port}",
        urls.lines,
    )


RULE = Rule(
    code="CALL028",
    slug="url-port-mismatch",
    title="The stream URL names a port that the world does not reach",
    layer="url",
    owner="you",
    why="Platforms publish 443 only, whatever the process listens on behind them.",
    fix="Leave the port out of PUBLIC_URL and of the stream URL.",
    check=check,
    examples=(
        Example(
            "the inner port",
            a_call(ANSWERED, asking(f"wss://{HOST}:8000/api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up())),
            fires=True,
        ),
        Example("no port", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
