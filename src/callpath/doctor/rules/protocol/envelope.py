"""MEDIA001: what the application sends is not a media frame."""

import re

from callpath.doctor.calls import every, never, show_entries
from callpath.doctor.facts import Arrival, CallFacts, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call
from callpath.timeline import StreamErrored

CHATTER_MAX = 2
SMALL_BYTES = 200
"""Keepalives and status messages are shorter than any media frame (20 ms of PCMU are 216 characters of base64)."""

"""A greeting or a log line is odd but drowns nothing: Telnyx answers it with error 100003 and goes on."""

_OURS = {"callpath", "connected", "start", "media", "mark", "dtmf", "stop", "clear", "error"}


def media_envelope(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    wrong = [a for a in stream.arrivals if is_wrong(a)]
    if not wrong:
        return None
    kinds = {describe(arrival) for arrival in wrong}
    summary = (
        f"{len(wrong)} of {len(stream.arrivals)} messages are not what Telnyx reads: {', '.join(sorted(kinds)[:3])}"
    )
    evidence = tuple(
        Seen(f"at {a.at_ms:.0f} ms, {a.kind}, {a.size} bytes: {a.head[:100]!r}", f"message {number}")
        for number, a in enumerate(wrong[:3], 1)
    )
    if len(wrong) <= CHATTER_MAX:
        return Finding(summary, evidence, kind="note")
    binary = all(arrival.kind == "binary" for arrival in wrong)
    if stream.media and all(arrival.kind == "text" and arrival.size <= SMALL_BYTES for arrival in wrong):
        return Finding(
            f"{summary}, beside {len(stream.media)} good media frames",
            evidence,
            kind="open",
            confidence="low",
            candidates=("outbound-envelope-wrong",),
            title="Texts of the application's own are mixed into the stream",
            question="Are these keepalives or status messages? Telnyx answers each with error 100003 and goes on. Use "
            "WebSocket pings, which need no message, and send status elsewhere.",
        )
    return Finding(summary, evidence, title="Audio is sent as binary messages" if binary else "")


def is_wrong(arrival: Arrival) -> bool:
    """No event of the protocol, or one without its parts."""
    if arrival.kind == "binary":
        return True
    if arrival.fault in {"not_json", "wrong_shape"}:
        return True
    return arrival.event not in _OURS


def describe(arrival: Arrival) -> str:
    """What is wrong, short."""
    if arrival.kind == "binary":
        return "binary messages (every frame is a JSON text)"
    if arrival.fault == "not_json":
        return "texts that are not JSON"
    if arrival.event is None:
        return "JSON without an event"
    if arrival.event == "media" or re.search(r'"event"\s*:\s*"media"', arrival.head):
        return "media without media.payload"
    return f"event {arrival.event!r}"


_MEANING = {
    100003: ("it could not read the frames", 'Send {"event":"media","media":{"payload":"<base64>"}} as text, and only '
             "media, mark and clear."),
    100004: ("the payload was not base64", "Encode with the standard alphabet, no data: prefix, no line ends."),
    100005: ("too many messages came", "In mp3 mode one media message a second is allowed: use rtp mode."),
}  # fmt: skip


def call_error_frames(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    errors = [e.what for e in every(known, StreamErrored) if isinstance(e.what, StreamErrored)]
    if not errors:
        never(known, StreamErrored)
        return None
    worst = errors[0]
    words, fix = _MEANING.get(worst.code, ("it could not use them", ""))
    return Finding(
        f"Telnyx reported {worst.code} {worst.title} on the socket: {words}",
        show_entries(known, *every(known, StreamErrored)[:4]),
        fix=fix,
    )


CAUSE = Cause(
    code="MEDIA001",
    slug="outbound-envelope-wrong",
    title="The frames sent to the carrier have the wrong envelope",
    owner="you",
    why='Telnyx plays {"event":"media","media":{"payload":BASE64}} and nothing else: other texts are malformed_frame '
    "(100003), binary messages are dropped without a word. The caller hears nothing.",
    fix="ws.send(JSON.stringify({ event: 'media', media: { payload: audio.toString('base64') } }))",
    signs=(
        Sign(
            "url",
            media_envelope,
            named={
                "binary": media(*(Arrival(20.0 * n, "binary", 160, "\xff") for n in range(9))),
                "another key": media(
                    *(
                        Arrival(20.0 * n, "text", 300, '{"event":"media","data":', "media", fault="wrong_shape")
                        for n in range(9)
                    )
                ),
            },
            quiet={"a media frame": media(Arrival(20.0, "text", 300, "", "media", b"\xff" * 160))},
        ),
        Sign(
            "call",
            call_error_frames,
            code="CALL057",
            title="Telnyx could not use frames that we sent",
            why="Telnyx answers frames that it cannot use with an error frame on the socket, and plays nothing of "
            "them.",
            fix="Send frames as Telnyx's media streaming page shows them. callpath's own play() does.",
            named={"malformed": a_call(BOTH_WAYS, StreamErrored(code=100003, title="malformed_frame"))},
            quiet={"a call that worked": a_call(GOOD)},
        ),
    ),
)
