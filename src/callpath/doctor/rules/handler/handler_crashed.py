"""CALL053: the handler raised."""

from callpath.doctor.calls import ended_unix_ms, first, never, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import CAME, GOOD, HEARD, a_call
from callpath.timeline import HandlerFailed, HandlerStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    crash = first(known, HandlerFailed)
    if crash is None:
        never(known, HandlerFailed)
        return None
    what = crash.what
    assert isinstance(what, HandlerFailed)
    begun = first(known, HandlerStarted)
    after = f" {(crash.at_unix_ms - begun.at_unix_ms) / 1000:.1f} s after it was entered" if begun is not None else ""
    frames = [line.strip() for line in what.traceback.splitlines() if line.strip().startswith("File ")]
    ended = ended_unix_ms(known)
    if ended is not None and crash.at_unix_ms >= ended:
        return Finding(
            f"the handler raised {what.error} when the call was over already", show_entries(known, crash), kind="note"
        )
    ours = known.source == "timeline"
    return Finding(
        f"the handler raised {what.error}{after}" + (", and the call was hung up" if ours else ""),
        (*show_entries(known, begun, crash), *frames[-3:]),
        fix="" if ours else "Fix what the last line of the traceback names.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL053",
    slug="handler-crashed",
    title="The application's handler raised an error",
    owner="you",
    why="The stream was there and worked; the code that was to use it failed, and nobody is "
    "left to talk to the caller. (A callpath server hangs up then.)",
    fix="Fix what the last line of the traceback names (callpath calls show ID --json has all of it).",
    named={"an error": a_call(HEARD, HandlerFailed(error="KeyError: 'x'", traceback=""))},
    quiet={"a call that worked": a_call(GOOD)},
    unchecked={"logs without handlers": a_call(CAME, shown=frozenset({"socket.received"}))},
)
