"""KEEP003: the application itself ends quiet streams."""

from __future__ import annotations

from callpath.doctor.closings import show_ending
from callpath.doctor.facts import Ending, Facts, Hold, IdleFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import held, nothing, url


def check(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    closed = [hold for hold in idle.holds if hold.ending.by == "peer" and hold.ending.kind == "close-frame"]
    if not closed or len(closed) == len(idle.holds):
        return None
    hold = closed[0]
    return Finding(
        f"the server ended the {hold.traffic} stream after {hold.held_ms / 1000:.1f} s with {show_ending(hold.ending)}",
        tuple(f"{h.traffic}: {h.ending.code or h.ending.kind} after {h.held_ms / 1000:.1f} s" for h in idle.holds),
    )


RULE = Rule(
    code="KEEP003",
    slug="app-closes-stream",
    title="The application closes quiet streams",
    layer="keepalive",
    owner="you",
    why="A close frame comes from a WebSocket endpoint, not from a proxy's timer: the application has a timer of its own.",
    fix="Let the timer count pings, or make it longer than the longest silence of a call.",
    masked_by=("URL003",),
    check=check,
    examples=(
        Example(
            "closed for silence",
            Facts(
                url(),
                IdleFacts(
                    wanted_ms=9000,
                    holds=(
                        Hold(traffic="silent", ending=Ending(by="peer", kind="close-frame", code=1000), held_ms=3000),
                        Hold(traffic="media", ending=Ending(by="us", kind="close-frame"), held_ms=9000),
                    ),
                ),
            ),
            fires=True,
        ),
        Example("cut by a proxy", held(10, silent=4.0, media=None), fires=False),
        Example("not held", nothing(), fires=None),
    ),
)
