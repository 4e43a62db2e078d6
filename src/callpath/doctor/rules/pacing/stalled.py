"""CALL069: the stream was open, and the caller's frames stopped coming."""

from callpath.doctor.calls import every, measure, show_entries, symptom, symptom_seen, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, STOPPED, STREAM, a_call, counted, noticed
from callpath.timeline import Entry, FirstInbound, MediaCounted, StreamStarted, StreamStopped

LEAST_SHARE = 0.4
"""Of the audio that was due."""

FRAME_MS = 20.0

LEAST_S = 1.0


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = symptom(known, "SYM010")
    if found is not None:
        return Finding(
            f"no frame came for {measure(found, 'ms') / 1000:.1f} s or more while the socket was open",
            show_entries(known, found, *every(known, MediaCounted)[-1:], webhook(known, "call.hangup")),
        )
    if not every(known, MediaCounted):
        symptom_seen(known, "SYM010")
        return None
    for begun in every(known, StreamStarted):
        stream = begun.what.stream_id if isinstance(begun.what, StreamStarted) else ""
        over = [
            e for e in every(known, StreamStopped) if isinstance(e.what, StreamStopped) and e.what.stream_id == stream
        ]
        counts = known.state.counts.get(stream)
        if not over or counts is None or not counts.frames_in:
            continue
        frame_ms = _frame_ms(known, begun)
        seconds = (over[-1].at_unix_ms - begun.at_unix_ms) / 1000
        if seconds >= LEAST_S and counts.frames_in * frame_ms < LEAST_SHARE * 1000 * seconds:
            return Finding(
                f"{counts.frames_in} frames came in {seconds:.1f} s, where about {1000 * seconds / frame_ms:.0f} were due",
                show_entries(known, begun, *every(known, MediaCounted)[-1:], over[-1]),
            )
    return None


def _frame_ms(known: CallFacts, begun: Entry) -> float:
    """How much audio the stream's first frame held: some phones send 40 or 60 ms at a time."""
    what = begun.what
    assert isinstance(what, StreamStarted)
    bytes_per_ms = {"PCMU": 8.0, "PCMA": 8.0, "G722": 8.0, "L16": what.sample_rate_hz / 500}.get(what.encoding, 0.0)
    for entry in every(known, FirstInbound):
        if isinstance(entry.what, FirstInbound) and entry.what.stream_id == what.stream_id and bytes_per_ms:
            return max(FRAME_MS, entry.what.payload_bytes / bytes_per_ms)
    return FRAME_MS


LONG_FRAMES = [
    FirstInbound(stream_id=STREAM, payload_bytes=480) if isinstance(item, FirstInbound) else item for item in BOTH_WAYS
]

CAUSE = Cause.of(
    "call",
    check,
    code="CALL069",
    slug="inbound-media-stalled",
    title="The caller's audio stopped in mid-call, with the socket open",
    owner="network",
    why="Telnyx sends a frame every 20 ms, also in silence. Where none comes, the network or a proxy holds them back, "
    "or Telnyx stopped sending (a fork_start does that).",
    fix="Look at the proxy's and the network's own counters at that second; give Telnyx the stream_id.",
    named={
        "2 s without a frame": a_call(BOTH_WAYS, noticed("SYM010", ms="2100")),
        "a tenth of the frames": a_call(BOTH_WAYS, (12_000, counted(frames_in=50)), *STOPPED),
    },
    quiet={
        "frames of 60 ms": a_call(LONG_FRAMES, (12_000, counted(frames_in=185)), *STOPPED),
        "a call that worked": a_call(GOOD),
    },
    unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
)
