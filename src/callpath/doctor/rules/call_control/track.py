"""CALL052: only our own audio was asked for."""

from callpath.doctor.calls import asked, every, show_entries
from callpath.doctor.facts import CallFacts, FactMissing, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, GOOD, STARTED, a_call, asking
from callpath.timeline import MediaCounted, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = asked(known)
    if request is None or request.body is None:
        raise FactMissing(CallFacts)
    if request.body.get("stream_track") != "outbound_track" or not every(known, StreamStarted):
        return None
    return Finding(
        "the stream was asked for with stream_track outbound_track: it brings what we play, and not the caller",
        show_entries(known, request.entry, *every(known, MediaCounted)[-1:]),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL052",
    slug="stream-track-wrong",
    title="The stream carries our own audio instead of the caller's",
    owner="you",
    why="inbound_track is what the party says, outbound_track what is played to it.",
    fix="CALLPATH_STREAM_TRACK=inbound_track (or both_tracks, to have both)",
    named={"outbound_track": a_call(ANSWERED, asking(stream_track="outbound_track"), STARTED[9:])},
    quiet={"inbound_track": a_call(GOOD)},
)
