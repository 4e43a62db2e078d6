"""CALL046: an upgrade with this call's id came under a path that the server does not serve."""

from __future__ import annotations

from callpath.doctor.calls import no_socket, refused_upgrade
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, ServedFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, SESSION, call, refusals


def check(facts: Facts) -> Finding | None:
    known, refusals = facts[CallFacts], facts[RefusalFacts]
    row = refused_upgrade(known, refusals, "no_such_path")
    if row is None or no_socket(known) is None:
        return None
    served = facts.get(ServedFacts)
    wanted = (f"served is: {served.audio_url}",) if served is not None else ()
    return Finding(
        f"the upgrade for this call came as {row.path}, which this server does not serve", (row.detail, *wanted)
    )


RULE = Rule(
    code="CALL046",
    slug="url-path-mismatch",
    title="The socket came under another path than it was sent for",
    layer="routing",
    owner="you",
    why="The URL in streaming_start was right for the world, and something on the way adds a prefix to the path, or takes "
    "one away: a proxy's location, a mount in a larger application, a PUBLIC_URL with a path of its own.",
    fix="Let the proxy pass the path on as it is (nginx: no path behind proxy_pass), or take the prefix out of PUBLIC_URL.",
    check=check,
    examples=(
        Example(
            "a prefix that nobody takes away",
            Facts(call(ACCEPTED), refusals("no_such_path", what="upgrade", path=f"/calls/api/calls/{SESSION}/audio")),
            fires=True,
        ),
        Example(
            "a stranger's upgrade",
            Facts(call(ACCEPTED), refusals("no_such_path", what="upgrade", path="/socket.io/")),
            fires=False,
        ),
        Example("no call is known", nothing(), fires=None),
    ),
)
