"""EDGE020: the application was stopped while the call was on."""

from __future__ import annotations

from callpath.doctor.calls import ended_unix_ms, every
from callpath.doctor.edges import said
from callpath.doctor.facts import CallFacts, Facts, LogFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_edge import stopped_in_call
from callpath.timeline import SocketReceived, StreamStarted


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    log = facts[LogFacts]
    came_at = next((entry.at_unix_ms for entry in every(call, SocketReceived, StreamStarted)), None)
    if came_at is None:
        return None
    end = ended_unix_ms(call)
    until = end if end is not None else call.looked_at_unix_ms
    stops = [
        line
        for line in log.process
        if line.topic in {"stopping", "out of memory", "crash", "restart"}
        and line.at_unix_ms is not None
        and came_at < line.at_unix_ms < until - 500
    ]
    if not stops or (end is not None and end < (stops[0].at_unix_ms or 0)):
        return None
    died = stops[0].topic in {"crash", "out of memory"}
    return Finding(
        f"{((stops[0].at_unix_ms or 0) - came_at) / 1000:.1f} s after the socket came the process was "
        + ("lost" if died else "told to stop")
        + ", and the call was still on",
        tuple(said(line) for line in stops[:3]),
        confidence="medium",
        title="The application died while the call was on" if died else "",
    )


RULE = Rule(
    code="EDGE020",
    slug="deploy-kills-streams",
    title="The application was stopped while the call was on",
    layer="deploy",
    owner="you",
    why="A deployment, a restart or a stop ended the process that held the socket. Railway gives it 0 seconds "
    "unless told otherwise.",
    fix="Let calls end before the process does: RAILWAY_DEPLOYMENT_DRAINING_SECONDS (or kill_timeout, "
    "terminationGracePeriodSeconds), and a server that drains.",
    masked_by=(),
    check=check,
    examples=(
        Example("SIGTERM in the middle", stopped_in_call(), fires=True),
        Example("SIGTERM afterwards", stopped_in_call(at_ms=30_000), fires=False),
        Example("no edge log", nothing(), fires=None),
    ),
)
