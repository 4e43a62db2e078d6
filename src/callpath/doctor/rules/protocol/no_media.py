"""CALL051: the stream started, and no audio of the caller's came."""

from callpath.doctor.calls import (
    EARLY_END_MS,
    MEDIA_MS,
    asked,
    closings,
    ended_unix_ms,
    every,
    first,
    never,
    packets,
    show_entries,
    until_unix_ms,
)
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import HEARD, STARTED, a_call, hook, hung_up
from callpath.timeline import FirstInbound, FrameRejected, MediaCounted, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    begun = first(known, StreamStarted)
    if begun is None or every(known, FirstInbound):
        return None
    never(known, FirstInbound)
    request = asked(known)
    if request is not None and request.body and request.body.get("stream_track") == "outbound_track":
        return None
    closed = closings(known)
    ended_at = closed[-1][0].at_unix_ms if closed else until_unix_ms(known)
    if ended_at - begun.at_unix_ms < (EARLY_END_MS if closed or ended_unix_ms(known) else MEDIA_MS):
        return None
    outbound = sum(c.frames_outbound_track for c in known.state.counts.values())
    heard_by_telnyx = packets(known, "inbound")
    evidence = list(show_entries(known, begun, *every(known, MediaCounted)[-1:], *every(known, FrameRejected)[:2]))
    if heard_by_telnyx is not None:
        evidence.append(f"call.hangup: Telnyx received {heard_by_telnyx} packets from the phone")
    if heard_by_telnyx == 0:
        return Finding(
            "the stream started and brought no audio: Telnyx itself received none from the phone",
            tuple(evidence),
            owner="far end",
            title="No audio came from the phone to Telnyx",
            fix="One-way audio on the phone's side (its network, NAT, or carrier): call from another phone; send "
            "Telnyx this report with the call_session_id.",
        )
    return Finding(
        f"the stream started and brought no frame of the caller's audio in {(ended_at - begun.at_unix_ms) / 1000:.1f} s"
        + (f"; {outbound} frames of our own track came" if outbound else ""),
        tuple(evidence),
        kind="open",
        candidates=("stream-track-wrong", "proxy-buffering-or-compression", "inbound-silence"),
        question="Do frames pass the way to this server? callpath doctor url …/api/calls/test-connection/audio sends "
        "some. If they do, Telnyx sent none: give its support the call_session_id and the stream_id.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL051",
    slug="no-inbound-media",
    title="The stream started, and no audio came",
    owner="unclear",
    why="Telnyx sends a frame every 20 ms as soon as the stream runs, also in silence.",
    fix="Ask for inbound_track or both_tracks, and let nothing on the way buffer.",
    named={
        "no frame": a_call(STARTED, (20_000, hung_up())),
        "none reached Telnyx": a_call(
            STARTED,
            (
                20_000,
                hook(
                    "call.hangup",
                    call_quality_stats={"inbound": {"packet_count": "0"}, "outbound": {"packet_count": "0"}},
                ),
            ),
        ),
    },
    quiet={"audio came": a_call(HEARD), "over at once": a_call(STARTED, hung_up())},
)
