"""CALL054: our audio was sent on a stream that takes MP3 only."""

from callpath.doctor.calls import asked, every, first, packets, show_entries, webhook
from callpath.doctor.facts import CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, BOTH_WAYS, GOOD, a_call, asking
from callpath.timeline import FirstOutbound, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = asked(known)
    if request is None or request.body is None:
        raise FactMissing(CallFacts)
    if not every(known, StreamStarted) or request.body.get("stream_bidirectional_mode") == "rtp" or not request.url:
        return None
    if not every(known, FirstOutbound):
        return None
    mode = request.body.get("stream_bidirectional_mode")
    played = packets(known, "outbound")
    return Finding(
        "the stream was asked for "
        f"{'without stream_bidirectional_mode (its default is mp3)' if mode is None else f'in mode {mode}'}"
        ", and raw frames were sent on it: Telnyx drops them without an error"
        + (f"; {played} packets were played to the phone" if played is not None else ""),
        show_entries(known, request.entry, first(known, FirstOutbound), webhook(known, "call.hangup")),
        confidence="medium" if played else "high",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL054",
    slug="bidirectional-mode-missing",
    title="The stream was not asked for in rtp mode, so nothing we send is played",
    owner="you",
    why="stream_bidirectional_mode is mp3 unless it is set. We hear the caller, and the caller hears nothing.",
    fix='stream_bidirectional_mode: "rtp", with stream_bidirectional_codec',
    named={"left out": a_call(ANSWERED, asking(stream_bidirectional_mode=None), BOTH_WAYS[9:])},
    quiet={"rtp": a_call(GOOD)},
)
