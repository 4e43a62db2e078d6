"""CALL016: the stream was asked for before the call was answered, and refused for it."""

from callpath.doctor.calls import asked, needed_refusal, no_socket, refused_by, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_call import ACCEPTED, GOOD, RANG, a_call, answered, asking, hook, hung_up


def call_before_answer(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code == "90034")
    if found is None:
        return None
    entry, what = found
    return Finding(
        f"Telnyx refused {what.command} because the call was not answered yet: {refused_by(what)}",
        show_entries(known, webhook(known, "call.initiated"), entry, webhook(known, "call.answered")),
    )


def call_before_answer_accepted(facts: Facts) -> Finding | None:
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


CAUSE = Cause(
    code="CALL016",
    slug="streaming-before-answer",
    title="The stream was asked for before the call was answered",
    owner="you",
    why="streaming_start needs an answered call. The answer command's 200 does not mean answered: that is what the "
    "webhook call.answered says, in the one real capture 0.7 s later.",
    fix="Send streaming_start on call.answered, or put stream_url into answer.",
    signs=(
        Sign(
            "call",
            call_before_answer,
            named={"90034": a_call(RANG, asking(), answered("streaming_start", 422, "90034"))},
            quiet={"accepted": a_call(ACCEPTED)},
        ),
        Sign(
            "call",
            call_before_answer_accepted,
            code="CALL030",
            why="Asked too early, Telnyx may answer 200 and even announce streaming.started, and open no socket. The "
            "answer command's own 200 does not mean that the call is answered: the webhook call.answered does.",
            fix="Send streaming_start when call.answered has come, or put stream_url into answer.",
            named={
                "asked right after call.initiated": a_call(
                    RANG, asking(), answered("streaming_start"), (1_000, hook("call.answered")), (20_000, hung_up())
                )
            },
            quiet={"asked after call.answered": a_call(ACCEPTED, (20_000, hung_up())), "the socket came": a_call(GOOD)},
        ),
    ),
)
