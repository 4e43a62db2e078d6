"""CALL071: the handler does not keep up with the caller's audio."""

from callpath.doctor.calls import every, first, measure, show_entries, symptom, symptom_seen
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Kind
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted, noticed
from callpath.timeline import FirstInbound, MediaCounted

READS_SHARE = 0.8
"""Of all that came up to then so much waited: the handler reads nothing at all, as one that only announces."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    dropped = sum(count.dropped_for_handler for count in known.state.counts.values())
    found = symptom(known, "SYM012")
    if found is None and not dropped:
        if not every(known, MediaCounted):
            symptom_seen(known, "SYM012")
        return None
    words = []
    kind: Kind = "note"
    if found is not None:
        behind_ms = measure(found, "waiting_ms")
        heard = first(known, FirstInbound)
        so_far_ms = found.at_unix_ms - heard.at_unix_ms if heard is not None else 0
        words.append(f"{behind_ms / 1000:.1f} s of the caller's audio waited for the handler")
        if behind_ms < READS_SHARE * so_far_ms:
            kind = "fault"
        else:
            words.append("it had read none up to then, which is right for one that does not listen")
    if dropped:
        words.append(f"{dropped} of {known.state.frames_in} frames were dropped for it")
    return Finding("; ".join(words), show_entries(known, found, *every(known, MediaCounted)[-1:]), kind=kind)


CAUSE = Cause.of(
    "call",
    check,
    code="CALL071",
    slug="handler-behind",
    title="The handler does not keep up with the caller's audio",
    owner="you",
    why="A frame comes every 20 ms. A handler that takes longer for each, or does not read call.audio for a while, "
    "answers late by what waits, and what does not fit its queue is lost.",
    fix="Read call.audio in a task of its own (asyncio.create_task(...)), and hand slow work on; or drop what is old "
    "on purpose.",
    named={
        "1.2 s waits after 9 s": a_call(BOTH_WAYS, (10_500, noticed("SYM012", waiting_ms="1200"))),
        "frames dropped": a_call(BOTH_WAYS, counted(dropped_for_handler=50)),
    },
    quiet={"a call that worked": a_call(GOOD)},
    unchecked={"logs without counters": a_call(CAME, shown=frozenset({"socket.received"}))},
)
