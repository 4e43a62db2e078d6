"""CALL099: the call did not work as it should, and no rule knows why."""

from callpath.call.session import Stage, missing_stage_sentence
from callpath.doctor.calls import audio_by_other_means, show_entries, until_unix_ms
from callpath.doctor.facts import CallFacts, Facts, ToldFacts
from callpath.doctor.reasons import show_error, show_line
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import CAME, GOOD, a_call, after, hung_up

_KINDS = {
    Stage.STREAM_STARTING: "stream.starting",
    Stage.STREAM_ACCEPTED: "stream.accepted",
    Stage.SOCKET_RECEIVED: "socket.received",
    Stage.STREAM_STARTED: "stream.started",
    Stage.FIRST_INBOUND: "media.first_inbound",
    Stage.FIRST_OUTBOUND: "media.first_outbound",
}


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    missing = call.state.missing_stage()
    words = _complaints(facts)
    if call.source == "logs" and not call.state.stages:
        return None  # nothing about a call was understood: of that nothing can be wrong
    unclear = call.source == "logs" and missing in _KINDS and not call.shows(_KINDS[missing])
    if missing is None or unclear or audio_by_other_means(call):
        # It may have happened: nothing is known to be wrong, unless the program itself says so.
        return _as_the_program_says(call, words) if words else None
    shown = missing is Stage.WEBHOOK_RECEIVED or call.source == "timeline"
    return Finding(
        missing_stage_sentence(call.state) or f"stage {missing.label} was not reached",
        (*words, *show_entries(call, *call.entries[-4:])),
        kind="open",
        confidence="low",
        question="What does the application log at this second?"
        if shown
        else "The logs do not show every stage. The call log of a callpath server, or the platform's edge log, would.",
    )


def _complaints(facts: Facts) -> tuple[str, ...]:
    """What the program said was wrong while the call was on: exceptions, and lines that it marks as errors."""
    call, told = facts[CallFacts], facts.get(ToldFacts)
    if told is None or not call.entries:
        return ()
    begin, end = call.entries[0].at_unix_ms, until_unix_ms(call)
    lines = [show_line(line) for line in told.complaints if line.level in _BAD and begin <= line.at_unix_ms <= end]
    lines += [show_error(error) for error in told.errors if begin <= error.at_unix_ms <= end]
    return tuple(lines[:4])


def _as_the_program_says(call: CallFacts, words: tuple[str, ...]) -> Finding:
    return Finding(
        f"{words[0]}",
        (*words[1:], *show_entries(call, *call.entries[-4:])),
        kind="open",
        confidence="low",
        title="The program reports an error; whether it broke the call is not known",
        question="Did the caller notice anything? If so, begin with that line: it is the program's own word.",
    )


_BAD = {"error", "critical", "fatal", "crit", "emergency", "alert"}

CAUSE = Cause.of(
    "call",
    check,
    code="CALL099",
    slug="unknown-call-fault",
    title="The call did not get as far as audio; cause not known",
    owner="unclear",
    why="The evidence fits none of the causes the doctor knows, or several; a guess would send you the wrong way.",
    fix="Answer the question above, or send the report (--report) to whoever runs that stage.",
    fallback=True,
    named={"a stage is missing": a_call(CAME, after(9_000, hung_up()))},
    quiet={"audio flowed both ways": a_call(GOOD)},
    winners={"a stage is missing": "stream-never-started"},
)
