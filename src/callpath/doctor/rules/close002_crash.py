"""CLOSE002: the handler crashes after it accepted."""

from __future__ import annotations

from callpath.doctor.closings import AT_ONCE_MS, early, show_ending
from callpath.doctor.facts import Facts, MediaFacts, UpgradeFacts
from callpath.doctor.platform import recognise
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None:
        return None
    if ending.kind == "close-frame" and ending.code == 1011:
        return Finding(
            f"the server accepted and closed with {show_ending(ending)}, {ending.at_ms:.0f} ms in, after our "
            f"{ending.after}",
            (show_ending(ending),),
        )
    if ending.kind in {"eof", "reset"} and ending.at_ms < AT_ONCE_MS:
        upgrade = facts[UpgradeFacts]
        if any(trace.name == "Fastify" for trace in recognise(upgrade.carrier, *upgrade.shapes)):
            return None
        return Finding(
            f"the connection was dropped without a close frame {ending.at_ms:.0f} ms after the 101, after our "
            f"{ending.after}",
            (f"{ending.kind}; {len(facts[MediaFacts].arrivals)} messages had come",),
            confidence="medium",
        )
    return None


RULE = Rule(
    code="CLOSE002",
    slug="app-crash-on-connect",
    title="The application crashes when the stream opens",
    layer="routing",
    owner="you",
    why="The handler throws after the upgrade: a missing setting, a failing dependency, a frame that it does not expect. "
    "1011 is what servers send then; a process that dies sends nothing.",
    fix="Read the stack trace in the application's log for this second.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003"),
    check=check,
    examples=(
        Example("1011", media(ending=ended(code=1011)), fires=True),
        Example("gone without a word", media(ending=ended("eof")), fires=True),
        Example("a lookup", media(ending=ended(code=1008)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
