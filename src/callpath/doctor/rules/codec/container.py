"""MEDIA003: the payload carries a file's header."""

from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import media

_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"RIFF", "a WAV file"),
    (b"ID3", "an MP3 file"),
    (b"\xff\xfb", "MP3 frames"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
)


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    for arrival in stream.media[:50]:
        for head, kind in _HEADS:
            payload = arrival.payload or b""
            if payload.startswith(head) and (len(head) > 2 or len(payload) > 320):
                return Finding(
                    f"the payload is {kind}, not bare {stream.codec}",
                    (Seen(f"first bytes: {payload[:16]!r}", "the first message"),),
                )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA003",
    slug="codec-container-sent",
    title="A sound file is sent where bare audio belongs",
    owner="you",
    why="In rtp mode the payload is the codec's bytes alone. A header is played as a crack, and what follows is "
    "mostly in another encoding.",
    fix='Ask the speech service for raw mulaw at 8000 Hz ("container": "none"), or strip the header and transcode.',
    named={"WAV": media(Arrival(20.0, "text", 300, "", "media", b"RIFF....WAVE"))},
    quiet={"audio": media(Arrival(20.0, "text", 300, "", "media", b"\xff\x7e" * 80))},
)
