"""CALL016: the stream was asked for before the call was answered, and refused for it."""

from __future__ import annotations

from callpath.doctor.calls import needed_refusal, refused_by, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, RANG, a_call, answered, asking


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code == "90034")
    if found is None:
        return None
    entry, what = found
    return Finding(
        f"Telnyx refused {what.command} because the call was not answered yet: {refused_by(what)}",
        show_entries(known, webhook(known, "call.initiated"), entry, webhook(known, "call.answered")),
    )


RULE = Rule(
    code="CALL016",
    slug="streaming-before-answer",
    title="The stream was asked for before the call was answered",
    layer="call-control",
    owner="you",
    why="streaming_start needs an answered call. The answer command's 200 does not mean answered: that is what the webhook "
    "call.answered says, in the one real capture 0.7 s later.",
    fix="Send streaming_start on call.answered, or put stream_url into answer.",
    check=check,
    examples=(
        Example("90034", a_call(RANG, asking(), answered("streaming_start", 422, "90034")), fires=True),
        Example("accepted", a_call(ACCEPTED), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
