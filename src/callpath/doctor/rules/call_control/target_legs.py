"""CALL055: our audio was sent to a leg that is not there."""

from callpath.doctor.calls import asked, every, first, packets, show_entries, webhook
from callpath.doctor.facts import CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, BOTH_WAYS, GOOD, a_call, asking, hung_up
from callpath.timeline import FirstOutbound


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = asked(known)
    if request is None or request.body is None:
        raise FactMissing(CallFacts)
    legs = request.body.get("stream_bidirectional_target_legs")
    if legs in {"self", "both"} or not every(known, FirstOutbound) or len(known.state.legs) > 1:
        return None
    played = packets(known, "outbound")
    was = (
        f"stream_bidirectional_target_legs was {legs or 'left out (its default is opposite)'}, and the call has one leg"
    )
    evidence = show_entries(known, request.entry, first(known, FirstOutbound), webhook(known, "call.hangup"))
    if played == 0:
        return Finding(f"{was}; 0 packets were played to the phone", evidence)
    return Finding(
        f"{was}: where nobody is on the opposite one, our audio may have been heard by no one",
        evidence,
        kind="open",
        candidates=("target-legs-opposite",),
        question="Did the caller hear anything? Reports differ: some programs never set it and are heard, a test with "
        "a tone was not. Packet counts cannot tell where send_silence_when_idle is on. Set it to self, and the "
        "question is gone.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL055",
    slug="target-legs-opposite",
    title="Our audio was sent to the opposite leg, where nobody is",
    owner="you",
    why="stream_bidirectional_target_legs is opposite unless it is set: the leg that is bridged to this one. A call "
    "of one leg has none.",
    fix='stream_bidirectional_target_legs: "self"',
    named={
        "left out, nothing played": a_call(
            ANSWERED, asking(stream_bidirectional_target_legs=None), BOTH_WAYS[9:], (9_000, hung_up(out=0))
        )
    },
    quiet={"self": a_call(GOOD)},
)
