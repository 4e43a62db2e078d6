"""CALL056: we sent audio, and Telnyx played none of it to the phone."""

from callpath.doctor.calls import EARLY_END_MS, every, first, packets, show_entries, waited_ms, webhook
from callpath.doctor.facts import CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call, hung_up
from callpath.timeline import FirstOutbound, MediaCounted, StreamErrored


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    spoke = first(known, FirstOutbound)
    if spoke is None:
        return None
    played = packets(known, "outbound")
    if played is None:
        raise FactMissing(CallFacts)
    if played > 0 or waited_ms(known, spoke) < EARLY_END_MS:
        return None
    return Finding(
        f"{known.state.frames_out or 'some'} frames were sent, and call.hangup counts 0 packets played to the phone",
        show_entries(
            known,
            spoke,
            *every(known, StreamErrored)[:2],
            *every(known, MediaCounted)[-1:],
            webhook(known, "call.hangup"),
        ),
        kind="open",
        candidates=("bidirectional-mode-missing", "target-legs-opposite", "outbound-envelope-wrong", "rtp-header-sent"),
        question="What did streaming_start (or answer, dial) ask for: stream_bidirectional_mode rtp and target_legs "
        "self? And are the frames text, with bare base64 of the codec's bytes?",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL056",
    slug="sent-not-played",
    title="We sent audio, and the phone was played none",
    owner="unclear",
    why="Telnyx takes frames that it cannot use without a word: the wrong mode, legs, envelope or codec are silence. "
    "The packet count of call.hangup is the best witness.",
    fix="Ask for the stream as callpath does: rtp, target legs self, PCMU.",
    named={"0 packets": a_call(BOTH_WAYS, (9_000, hung_up(out=0)))},
    quiet={"500 packets": a_call(GOOD)},
    unchecked={"Telnyx did not count": a_call(BOTH_WAYS, (9_000, hung_up()))},
)
