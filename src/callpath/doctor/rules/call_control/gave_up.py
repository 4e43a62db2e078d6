"""CALL012: the caller hung up before the call could get as far as audio."""

from callpath.call.session import Stage
from callpath.doctor.calls import (
    ANSWERED_MS,
    COMMAND_MS,
    MEDIA_MS,
    NEEDED,
    PLAY_MS,
    SOCKET_MS,
    START_MS,
    accepted,
    asked,
    ended_unix_ms,
    every,
    first,
    overdue,
    payload,
    refusals,
    show_entries,
    webhook,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERING, GOOD, RANG, a_call, hook, hung_up
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    HandlerFailed,
    SocketReceived,
    SocketRejected,
    StreamStarted,
    WebhookReceived,
)

ENDED_BY_A_PARTY = ("normal_clearing", "originator_cancel")
"""Anything else is a carrier's or a limit's doing."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    ended, begun = ended_unix_ms(known), first(known, WebhookReceived)
    if ended is None or begun is None or known.state.missing_stage() is None:
        return None
    leg = known.state.leg
    if leg is not None and leg.direction == "outgoing" and Stage.CALL_ANSWERED not in known.state.stages:
        return None  # nobody took the call: see callee-did-not-answer
    if refusals(known, *NEEDED) or webhook(known, "streaming.failed") or every(known, SocketRejected, HandlerFailed):
        return None
    step = _last_step(known)
    if step is None or overdue(known, step[0], step[1]):
        return None
    hangup = payload(webhook(known, "call.hangup"))
    who = hangup.get("hangup_source") or "unknown"
    if _we_hung_up(known):
        return None
    return Finding(
        f"the call was over {(ended - begun.at_unix_ms) / 1000:.1f} s after it began, before {step[2]} could come; "
        f"hung up by: {who}, cause: {hangup.get('hangup_cause') or 'not told'}",
        show_entries(known, step[0], webhook(known, "call.hangup")),
        kind="outcome" if hangup.get("hangup_cause") in ENDED_BY_A_PARTY else "fault",
    )


def _last_step(known: CallFacts) -> tuple[Entry, int, str] | None:
    """The last thing before audio, how long the next may take, and what that would be."""
    stages = known.state.stages
    if Stage.FIRST_INBOUND in stages and Stage.FIRST_OUTBOUND not in stages:
        heard = first(known, FirstInbound)
        return (heard, PLAY_MS, "our audio") if heard else None
    for kind, wait, what in (
        (StreamStarted, MEDIA_MS, "the caller's audio"),
        (SocketReceived, START_MS, "the start of the stream"),
    ):
        entry = first(known, kind)
        if entry is not None:
            return (entry, wait, what)
    taken = accepted(known)
    if taken is not None:
        return (taken, SOCKET_MS, "the audio socket")
    request = asked(known)
    if request is not None:
        return (request.entry, COMMAND_MS, "Telnyx's answer to the request for the stream")
    answers = [
        entry
        for entry in every(known, CommandAnswered)
        if isinstance(entry.what, CommandAnswered) and entry.what.command == "answer"
    ]
    if answers and webhook(known, "call.answered") is None:
        return (answers[-1], ANSWERED_MS, "call.answered")
    for event, wait, what in (
        ("call.answered", COMMAND_MS, "the stream"),
        ("call.initiated", COMMAND_MS, "the answer"),
    ):
        entry = webhook(known, event)
        if entry is not None:
            return (entry, wait, what)
    return None


def _we_hung_up(known: CallFacts) -> bool:
    return any(isinstance(e.what, CommandSent) and e.what.command in {"hangup", "reject"} for e in known.entries)


CAUSE = Cause.of(
    "call",
    check,
    code="CALL012",
    slug="caller-gave-up",
    title="The call was over before there could be audio",
    owner="far end",
    why="Nothing failed up to then, and the next step had no time to come. No fault of this server, of the platform "
    "or of the URL shows in this call.",
    fix="Nothing to fix in this call. Judge one that lasted longer.",
    named={
        "hung up while it rang": a_call(RANG, (400, hung_up("originator_cancel"))),
        "hung up 0.3 s after streaming_start": a_call(ACCEPTED, (1_200, hung_up())),
        "hung up while it was being answered": a_call(ANSWERING, (900, hung_up("originator_cancel"))),
    },
    quiet={
        "a number that we dialled was busy": a_call(
            hook("call.initiated", direction="outgoing"), (200, hung_up("user_busy", "unknown"))
        ),
        "there was time enough": a_call(ACCEPTED, (20_000, hung_up())),
        "a call that worked": a_call(GOOD),
    },
)
