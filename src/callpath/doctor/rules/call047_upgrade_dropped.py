"""CALL047: the request for this call's socket came, without its Upgrade header."""

from __future__ import annotations

from callpath.doctor.calls import no_socket, refused_upgrade
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, SESSION, call, refusals


def check(facts: Facts) -> Finding | None:
    known, refusals = facts[CallFacts], facts[RefusalFacts]
    row = refused_upgrade(known, refusals, "no_upgrade")
    if row is None or no_socket(known) is None:
        return None
    return Finding(
        f"the request for this call's socket came from {row.client or 'somebody'} as an ordinary GET",
        (row.detail,),
        confidence="medium",  # a curious user's browser asks like that, too
    )


RULE = Rule(
    code="CALL047",
    slug="proxy-upgrade-headers-stripped",
    title="A proxy on the way takes the upgrade out of the request",
    layer="http",
    owner="you",
    why="A carrier sends Upgrade: websocket. What arrived had the right path and no such header: nginx and others drop it "
    "unless told otherwise, and some speak HTTP/1.0 or HTTP/2 to what is behind them.",
    fix='nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade".\n'
    "`callpath doctor url` says more about the proxy.",
    check=check,
    examples=(
        Example(
            "an ordinary GET",
            Facts(call(ACCEPTED), refusals("no_upgrade", what="upgrade", path=f"/api/calls/{SESSION}/audio")),
            fires=True,
        ),
        Example(
            "somebody opened another call's URL in a browser",
            Facts(call(ACCEPTED), refusals("no_upgrade", what="upgrade", path="/api/calls/other/audio")),
            fires=False,
        ),
        Example("no call is known", nothing(), fires=None),
    ),
)
