"""CALL073: frames of the caller's were lost, late, or in bursts."""

from callpath.doctor.calls import every, never, show_entries, symptom
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, counted, noticed
from callpath.timeline import MediaCounted

FAULT_SHARE, NOTE_SHARE = 0.05, 0.005


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    bursts = symptom(known, "SYM011")
    if not every(known, MediaCounted) and bursts is None:
        never(known, MediaCounted)
        return None
    counts = known.state.counts.values()
    # A frame that was rejected leaves a gap in the chunk counter, too; it came, and no network lost it.
    lost = max(0, sum(count.lost + count.late - count.frames_rejected for count in counts))
    if symptom(known, "SYM016") is not None:
        lost = 0  # by their numbers only: the audio was complete
    share = lost / max(1, known.state.frames_in + lost)
    if share < NOTE_SHARE and bursts is None:
        return None
    words = [f"{lost} frames of the caller's ({share:.0%}) were lost or came too late"] if share >= NOTE_SHARE else []
    words += ["frames came in bursts instead of every 20 ms"] if bursts is not None else []
    return Finding(
        "; ".join(words),
        show_entries(known, bursts, *every(known, MediaCounted)[-1:]),
        kind="fault" if share >= FAULT_SHARE else "limited" if bursts is not None else "note",
        question="Was the talk slow or broken? Bursts come from the way (a proxy that collects what it forwards, a "
        "lossy network), or from a machine too busy to read in time: look at its load at that second."
        if bursts is not None
        else "",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL073",
    slug="media-lost-or-late",
    title="Frames of the caller's are lost, late, or come in bursts",
    owner="network",
    why="Over TCP nothing is lost on the way, but a congested way delivers late and in bursts. Gaps in the chunk "
    "counter mean that Telnyx itself never sent them: the phone's own network lost them.",
    fix="Run the server nearer to Telnyx's site (anchorsite), on a machine that is not busy; the phone's network "
    "is beyond you.",
    named={
        "a tenth is lost": a_call(BOTH_WAYS, counted(lost=60)),
        "bursts": a_call(BOTH_WAYS, noticed("SYM011", pauses="6")),
    },
    quiet={
        "half came malformed": a_call(BOTH_WAYS, counted(lost=46, frames_rejected=50)),
        "by their numbers only, which count something else too": a_call(
            BOTH_WAYS, noticed("SYM016", missing="50"), counted(lost=60)
        ),
        "a call that worked": a_call(GOOD),
    },
    unchecked={"logs without counters": a_call(CAME, shown=frozenset({"socket.received"}))},
)
