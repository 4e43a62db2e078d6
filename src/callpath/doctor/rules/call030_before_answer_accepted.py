"""CALL030: the stream was asked for before the call was answered; Telnyx took the request, and no socket came."""

from __future__ import annotations

from callpath.doctor.calls import asked, no_socket, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, GOOD, RANG, a_call, answered, asking, hook, hung_up


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = asked(known)
    if request is None or no_socket(known) is None or request.within in {"answer", "dial"}:
        return None
    answered_at = webhook(known, "call.answered")
    if answered_at is not None and answered_at.at_unix_ms <= request.entry.at_unix_ms:
        return None
    if answered_at is None and not webhook(known, "call.initiated"):
        return None
    when = (
        f"{answered_at.at_unix_ms - request.entry.at_unix_ms} ms before call.answered came"
        if answered_at is not None
        else "and call.answered never came"
    )
    return Finding(
        f"the stream was asked for {when}; Telnyx accepted the request, and no socket was opened",
        (
            *show_entries(
                known, webhook(known, "call.initiated"), request.entry, answered_at, webhook(known, "streaming.failed")
            ),
        ),
        confidence="medium",
    )


RULE = Rule(
    code="CALL030",
    slug="streaming-before-answer",
    title="The stream was asked for before the call was answered",
    layer="call-control",
    owner="you",
    why="Asked too early, Telnyx may answer 200 and even announce streaming.started, and open no socket. The answer "
    "command's own 200 does not mean that the call is answered: the webhook call.answered does.",
    fix="Send streaming_start when call.answered has come, or put stream_url into answer.",
    masked_by=("CALL016", "CALL023", "CALL024", "CALL025", "CALL026"),
    check=check,
    examples=(
        Example(
            "asked right after call.initiated",
            a_call(RANG, asking(), answered("streaming_start"), (1_000, hook("call.answered")), (20_000, hung_up())),
            fires=True,
        ),
        Example("asked after call.answered", a_call(ACCEPTED, (20_000, hung_up())), fires=False),
        Example("the socket came", a_call(GOOD), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
