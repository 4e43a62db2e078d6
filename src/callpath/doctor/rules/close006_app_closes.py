"""CLOSE006: the application ends the stream by itself."""

from __future__ import annotations

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame":
        return None
    if ending.code in {None, 1000, 1005} or (ending.code == 1010):
        return Finding(
            f"the server closed in good order ({show_ending(ending)}) {ending.at_ms:.0f} ms in, after our {ending.after}",
            (show_ending(ending),),
        )
    return None


RULE = Rule(
    code="CLOSE006",
    slug="app-closes-stream",
    title="The application closes the stream while the call goes on",
    layer="protocol",
    owner="you",
    why="The handler returns or calls close(): after the first reply, at a mark, when the AI's socket ends, or because a "
    "frame was not what it waited for. The call stays up, silent.",
    fix="Keep the socket open until the carrier's stop frame; log every place that closes it.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003"),
    check=check,
    examples=(
        Example("1000 after start", media(ending=ended(code=1000)), fires=True),
        Example("1000 after our stop", media(ending=ended(code=1000, after="stop")), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
