"""CALL058: the handler played nothing."""

from callpath.doctor.calls import (
    PLAY_MS,
    every,
    first,
    never,
    overdue,
    passed_on,
    show_entries,
    telnyx_spoke,
    waited_ms,
    webhook,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, HEARD, a_call, answered, hung_up, sent
from callpath.timeline import FirstInbound, FirstOutbound, HandlerEnded, HandlerFailed, HandlerStarted, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    begun, heard, over = first(known, StreamStarted), first(known, FirstInbound), first(known, HandlerEnded)
    if begun is None or every(known, FirstOutbound, HandlerFailed):
        return None
    never(known, FirstOutbound)
    if passed_on(known):
        return None
    spoke = telnyx_spoke(known)
    if spoke:
        return Finding(
            "the handler sent no audio of its own: Telnyx spoke to the caller",
            show_entries(known, *spoke[:3]),
            kind="note",
        )
    if over is not None and isinstance(over.what, HandlerEnded) and not over.what.cancelled:
        return Finding(
            "the handler returned without having played anything, and the call was hung up",
            show_entries(known, begun, heard, over, webhook(known, "call.hangup")),
            title="The handler returned without sending audio",
            fix="See why the handler comes to its end: a condition that is not met, a configuration that is missing, "
            "a session with an AI service that was refused and whose error is swallowed.",
        )
    if heard is None or not overdue(known, heard, PLAY_MS):
        return None
    return Finding(
        f"the caller's audio came in, and the handler played nothing in {waited_ms(known, heard) / 1000:.1f} s",
        show_entries(known, heard, first(known, HandlerStarted), over),
        kind="limited",
        question="Is the handler meant to speak? If it only listens, nothing is wrong. If it is, the fault is behind "
        "the stream: an AI session that was refused or never became ready, a queue that nobody fills, play() that is "
        "not called.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL058",
    slug="handler-played-nothing",
    title="The handler sent no audio",
    owner="you",
    why="The socket, the stream and the caller's audio are in order. What the caller hears is the handler's to send.",
    fix="Let the handler log what it waits for; send a greeting first, which needs nobody else.",
    named={
        "20 s of nothing": a_call(HEARD, (20_000, hung_up())),
        "returned without a word": a_call(HEARD, (5_000, HandlerEnded()), hung_up()),
        "Telnyx spoke, which is a note": a_call(
            HEARD, sent("speak"), answered("speak"), (5_000, HandlerEnded()), hung_up()
        ),
    },
    quiet={
        "it spoke": a_call(BOTH_WAYS),
        "the caller was passed on": a_call(
            HEARD, sent("speak"), answered("speak"), sent("transfer"), answered("transfer"), HandlerEnded(), hung_up()
        ),
        "hung up at once": a_call(HEARD, hung_up()),
    },
)
