"""CALL017: streaming_start was refused for its stream_track."""

from callpath.doctor.calls import asked, needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.status in {0, 400, 422} and "track" in (what.error_detail or ""))
    if found is None:
        return None
    entry, what = found
    request = asked(known)
    given = (request.body or {}).get("stream_track") if request is not None else None
    return Finding(f"Telnyx refused {what.command} for stream_track" + (f" {given!r}" if given else "") + ": "
    f"{refused_by(what)}",
                   show_entries(known, entry))  # fmt: skip


CAUSE = Cause.of(
    "call",
    check,
    code="CALL017",
    slug="stream-track-invalid",
    title="stream_track has a value that does not exist",
    owner="you",
    why="The values are inbound_track, outbound_track and both_tracks. People send both, or inbound.",
    fix='stream_track: "inbound_track"',
    named={
        "both": a_call(
            ANSWERED,
            asking(stream_track="both"),
            answered("streaming_start", 422, "10032", "stream_track must be one of: inbound_track, both_tracks"),
        )
    },
    quiet={"accepted": a_call(ACCEPTED)},
)
