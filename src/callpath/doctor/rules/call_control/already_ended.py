"""CALL009: the call was over before our command came."""

from callpath.doctor.calls import (
    SOCKET_MS,
    ended_unix_ms,
    every,
    needed_refusal,
    refused_by,
    refused_sockets,
    show_entries,
    webhook,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_call import ACCEPTED, RANG, a_call, answered, asking, hook, hung_up, sent, turned_away
from callpath.timeline import StreamAccepted


def call_already_ended(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    ended = ended_unix_ms(known)
    found = needed_refusal(
        known, lambda what: what.error_code == "90018" or (what.error_code in {"90015", "10005"} and ended is not None)
    )
    if found is None:
        return None
    entry, what = found
    began = webhook(known, "call.initiated")
    waited = (entry.at_unix_ms - began.at_unix_ms) / 1000 if began is not None else 0.0
    return Finding(
        f"the call was over when {what.command} reached Telnyx, {waited:.1f} s after it began: {refused_by(what)}",
        show_entries(known, began, entry, webhook(known, "call.hangup")),
        owner="you" if waited >= 10 else None,
        fix="The command came late: answer at once, and do slow work after it." if waited >= 10 else "",
    )


def call_after_the_end(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = refused_sockets(known, "call_ended")
    taken = next(iter(every(known, StreamAccepted)[-1:]), None)
    if not found or taken is None:
        return None
    entry, _ = found[0]
    took = (entry.at_unix_ms - taken.at_unix_ms) / 1000
    slow = took >= SOCKET_MS / 1000
    return Finding(
        f"the socket came {took:.1f} s after the request for it, when the call was over",
        show_entries(known, taken, webhook(known, "call.hangup"), entry),
        owner="network" if slow else None,
        fix="The way from Telnyx to this server is slow: cold start, slow DNS or TLS. callpath doctor url URL "
        "times each step."
        if slow
        else "",
    )


CAUSE = Cause(
    code="CALL009",
    slug="call-already-ended",
    title="The caller hung up before our command arrived",
    owner="far end",
    why="Between a webhook and the command that follows from it the caller may hang up. Telnyx then answers 90018. No "
    "fault of the stream, and nothing was reached or refused.",
    fix="Nothing to fix. If it happens often, look at how long the server takes from the webhook to the command.",
    signs=(
        Sign(
            "call",
            call_already_ended,
            named={
                "90018": a_call(RANG, sent("answer"), answered("answer", 422, "90018"), hung_up("originator_cancel"))
            },
            quiet={
                "only our second streaming_start came too late: the first one had failed by then": a_call(
                    ACCEPTED,
                    hook("streaming.failed", failure_reason="connection_failed"),
                    *asking(),
                    hung_up(),
                    answered("streaming_start", 422, "90018"),
                ),
                "another refusal": a_call(RANG, sent("answer"), answered("answer", 401, "10009")),
            },
        ),
        Sign(
            "call",
            call_after_the_end,
            code="CALL042",
            title="The socket came after the call was over",
            why="The caller hung up while Telnyx was opening the socket. It was rightly refused.",
            fix="Nothing to fix in this call.",
            named={"hung up meanwhile": a_call(ACCEPTED, hung_up(), turned_away("call_ended", 410)[-2:])},
            quiet={"refused for its token": a_call(turned_away("wrong_token"))},
        ),
    ),
)
