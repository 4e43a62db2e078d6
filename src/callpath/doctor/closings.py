"""What the end of a stream, and the audio in it, say. Shared by the rules of the upper layers; pure."""

from __future__ import annotations

from collections.abc import Mapping

from callpath.doctor.facts import Arrival, Ending, Facts, MediaFacts
from callpath.doctor.rule import Check, Confidence, Finding, Seen

AT_ONCE_MS = 700.0
"""A handler that throws does so in its first lines or at the first audio; timers of proxies are longer."""
BYTES_PER_SECOND = {"PCMU": 8000, "PCMA": 8000, "G722": 8000, "L16": 32_000}
"""On the wire; L16 at the 16 kHz of Telnyx's guide. The others have no fixed rate."""


def early(facts: Facts) -> Ending | None:
    """The ending, where the server ended the stream before we had said stop."""
    ending = facts[MediaFacts].ending
    if ending.by != "peer" or ending.kind == "protocol-error" or ending.after in {"stop", "close"}:
        return None
    return ending


def show_ending(ending: Ending) -> Seen:
    """`close 1008 "unknown session"`, or how the connection went."""
    return Seen(_shown(ending), "the end of the stream")


def heard(stream: MediaFacts, text: str) -> Seen:
    """A line about all the audio that came: each message shows it anew."""
    return Seen(text, "messages of the stream", len(stream.media))


def _shown(ending: Ending) -> str:
    if ending.kind != "close-frame":
        return {"eof": "end of connection without a close frame", "reset": "connection reset"}.get(
            ending.kind, ending.kind
        )
    code = "without a code" if ending.code is None else str(ending.code)
    return f"close {code}" + (f" {ending.reason!r}" if ending.reason else "")


def closed_with(words: Mapping[int, str], confidence: Confidence = "high") -> Check:
    """A check for streams that the server ended with one of these codes; the words say what the code means."""

    def check(facts: Facts) -> Finding | None:
        ending = early(facts)
        meaning = words.get(ending.code) if ending is not None and ending.code is not None else None
        if ending is None or meaning is None:
            return None
        return Finding(
            f"the server closed with {show_ending(ending)} {ending.at_ms / 1000:.1f} s in, after our {ending.after}: "
            f"{meaning}",
            (show_ending(ending),),
            confidence=confidence,
        )

    return check


def audio_ms(stream: MediaFacts, arrival: Arrival) -> float:
    """How long that frame plays."""
    return len(arrival.payload or b"") * 1000 / BYTES_PER_SECOND.get(stream.codec, 8000)


def settled(stream: MediaFacts) -> bool:
    """Enough audio came to say anything about it."""
    return len(stream.media) >= 10 or sum(len(arrival.payload or b"") for arrival in stream.media) >= 8000
