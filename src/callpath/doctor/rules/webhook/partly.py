"""CALL006: some webhooks of the call came, and one that must have been sent did not."""

from callpath.call.session import Stage
from callpath.doctor.calls import (
    ANSWERED_MS,
    ended_unix_ms,
    every,
    overdue,
    payload,
    show_entries,
    telnyx_evidence,
    webhook,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERING, GOOD, call
from callpath.timeline import CommandAnswered, Entry


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    missed = telnyx_evidence(facts)
    gap = _gap(known)
    unanswered = Stage.CALL_ANSWERED not in known.state.stages
    if gap is None and unanswered and known.entries and any(": call.answered" in line for line in missed):
        gap = (known.entries[-1], "call.answered")
    if gap is None and not (ended_unix_ms(known) is None and any("call.hangup" in line for line in missed)):
        return None
    since, event = gap or (known.entries[-1], "call.hangup")
    if any(f": {event}" in line.replace("_", ".") for line in missed):
        return Finding(
            f"{event} was sent by Telnyx and is not in our timeline: the webhook was lost between Telnyx and this server",
            (*show_entries(known, since), *missed),
        )
    return Finding(
        f"{event} never came, although Telnyx had accepted the command that leads to it",
        (*show_entries(known, since, webhook(known, "call.hangup")), *missed),
        kind="open",
        candidates=("webhook-not-2xx-or-slow", "webhook-blocked", "call-already-ended"),
        question="Did Telnyx send it, and what did our end answer? With TELNYX_API_KEY set this is asked by itself "
        "(call events and webhook deliveries); else look in the Telnyx portal's debugging page for this call.",
    )


def _gap(known: CallFacts) -> tuple[Entry, str] | None:
    """The accepted command after which a webhook is overdue, and that webhook."""
    if Stage.CALL_ANSWERED in known.state.stages or Stage.STREAM_STARTED in known.state.stages:
        return None
    taken = [
        entry
        for entry in every(known, CommandAnswered)
        if isinstance(entry.what, CommandAnswered) and entry.what.command == "answer" and entry.what.accepted
    ]
    if not taken or not known.shows("webhook.received") or webhook(known, "call.answered"):
        return None
    hangup = webhook(known, "call.hangup")
    lived_on = payload(hangup).get("hangup_cause") in {"normal_clearing", "time_limit"} if hangup else True
    return (taken[-1], "call.answered") if lived_on and overdue(known, taken[-1], ANSWERED_MS) else None


CAUSE = Cause.of(
    "call",
    check,
    code="CALL006",
    slug="webhooks-partly-missing",
    title="A webhook of the call is missing",
    owner="network",
    why="Each webhook is delivered by itself, by one of several machines. Where one is lost (no answer within 2 s, "
    "4xx, a deployment in between) the step that waits for it never comes.",
    fix="Answer webhooks with 200 at once and never with 4xx for what may pass; keep the server up during "
    "deployments. Set a failover URL in the Call Control application. callpath doctor call ID --backfill adds what "
    "Telnyx still knows.",
    named={"no call.answered for a minute": Facts(call(ANSWERING))},
    quiet={"still within its time": Facts(call(ANSWERING, looked_ms=2_000)), "all of them came": Facts(call(GOOD))},
)
