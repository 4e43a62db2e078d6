"""CALL084: the stream broke and came again."""

from callpath.doctor.calls import closings, every, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, STARTED, a_call
from callpath.timeline import HandlerStarted, SocketClosed, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    started = every(known, StreamStarted)
    if len(started) < 2:
        return None
    entered = every(known, HandlerStarted)
    if len(entered) > 1:
        return Finding(
            f"the stream began {len(started)} times and the handler was entered {len(entered)} times: the caller "
            "was greeted again",
            show_entries(known, *started[:3], *entered[:3]),
            title="The caller was greeted twice",
            fix="Keep the call's state by call_session_id, and let a new socket carry on where the old one broke.",
        )
    return Finding(
        f"the stream began {len(started)} times in this call; the handler carried on over the new socket",
        show_entries(known, *[entry for entry, _ in closings(known)][:2], *started[1:3]),
        kind="note",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL084",
    slug="stream-reconnected",
    title="The stream reconnected in mid-call",
    owner="you",
    why="Telnyx may connect again after a drop. A program that takes the new socket for a new call greets twice.",
    fix="Find out why it broke (see the other findings).",
    named={"entered twice": a_call(BOTH_WAYS, SocketClosed(code=1006), STARTED[9:])},
    quiet={"once": a_call(GOOD)},
)
