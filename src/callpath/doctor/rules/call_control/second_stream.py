"""CALL020: a stream was asked for while one was there."""

from callpath.doctor.calls import NEEDED, every, refusals, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking
from callpath.timeline import StreamStarted, StreamStarting


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = [(e, w) for e, w in refusals(known, *NEEDED) if w.error_code == "90045"]
    if not found:
        return None
    entry, what = found[-1]
    streaming = bool(every(known, StreamStarted))
    return Finding(
        f"Telnyx refused {what.command}: media streaming is used already ({refused_by(what)})",
        show_entries(known, *every(known, StreamStarting), entry),
        kind="note" if streaming else "fault",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL020",
    slug="second-stream-refused",
    title="A stream was asked for while another one, or a fork, was on",
    owner="you",
    why="One streaming or fork operation at a time is allowed on a call. Mostly the stream is asked for twice: in "
    "answer and again by streaming_start, or by two programs. The first one may lead to another URL.",
    fix="Ask once. If another program starts a stream or fork_start on this call, stop that first (streaming_stop).",
    named={"90045": a_call(ANSWERED, asking(), answered("streaming_start", 422, "90045"))},
    quiet={"accepted": a_call(ACCEPTED)},
)
