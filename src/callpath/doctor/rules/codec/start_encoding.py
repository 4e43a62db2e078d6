"""CALL049: the start frame names an encoding that this server cannot decode."""

from callpath.doctor.calls import asked, closings, every, first, never, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, CAME, STARTED, TAKEN, a_call, asking, hung_up
from callpath.timeline import FrameRejected, SocketReceived, StreamStarted

NAMED_BY_THE_LEG = (None, "default")
"""What `stream_codec` is where the phone leg's codec is taken, whichever that is."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    rejected = [
        e for e in every(known, FrameRejected) if isinstance(e.what, FrameRejected) and e.what.reason == "encoding"
    ]
    if not rejected:
        never(known, FrameRejected)
        return None
    if every(known, StreamStarted):
        return None  # another socket brought one that could be used
    detail = rejected[-1].what.detail  # type: ignore[attr-defined]
    request = asked(known)
    body = request.body if request is not None else None
    codec = body.get("stream_codec") if body else None
    came = first(known, SocketReceived)
    return Finding(
        f"the start frame came, and its encoding cannot be decoded: {detail}",
        show_entries(
            known, *([came] if came is not None else []), rejected[-1], *(entry for entry, _ in closings(known)[-1:])
        ),
        owner=None if body is not None and codec in NAMED_BY_THE_LEG else "unclear",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL049",
    slug="start-encoding-unreadable",
    title="The stream is in an encoding that this server cannot decode",
    owner="you",
    why="The start frame says how the audio is encoded. Where that cannot be decoded nothing is heard and the handler "
    "is not entered; the socket is closed, since the frames mean nothing to us.",
    fix="Ask for one that can be decoded: CALLPATH_STREAM_CODEC=PCMU, to which Telnyx transcodes. If it names one "
    "that needs an extra: pip install 'callpath[codecs]'. If that is not what was asked for, look at who connected.",
    named={
        "no such encoding": a_call(
            CAME, FrameRejected(reason="encoding", detail="there is no encoding 'G729'"), (20_000, hung_up())
        ),
        "the leg's own, and the extra is missing": a_call(
            ANSWERED,
            asking(stream_codec="default"),
            TAKEN,
            SocketReceived(path="/"),
            FrameRejected(reason="encoding", detail="G722 needs FFmpeg's codecs: pip install 'callpath[codecs]'"),
            (20_000, hung_up()),
        ),
    },
    quiet={
        "started": a_call(STARTED),
        "another kind of frame": a_call(CAME, FrameRejected(reason="binary", detail="told")),
    },
    unchecked={"logs that do not show it": a_call(CAME, shown=frozenset({"socket.received"}))},
)
