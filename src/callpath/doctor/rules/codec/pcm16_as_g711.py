"""MEDIA006: the bytes are another encoding than the stream's."""

from callpath.doctor.closings import heard, settled
from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import media


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if not settled(stream) or stream.codec not in {"PCMU", "PCMA"} or not stream.heard_as.startswith("PCM16"):
        return None
    sizes = sorted(len(arrival.payload or b"") for arrival in stream.media)
    return Finding(
        f"the stream carries {stream.codec}, the bytes that come are 16-bit PCM",
        (
            heard(stream, f"{len(stream.media)} frames, typically {sizes[len(sizes) // 2]} bytes"),
            "by the statistics of the bytes",
        ),
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA006",
    slug="codec-pcm16-sent-as-ulaw",
    title="16-bit PCM is sent into a G.711 stream",
    owner="you",
    why="Every byte is played as a sample of its own: loud static, twice as long. AI sessions that silently stay "
    "pcm16 do this.",
    fix="Ask the AI for g711_ulaw (and check session.updated), or transcode before sending.",
    named={
        "PCM": media(
            *(Arrival(20.0 * n, "text", 500, "", "media", b"\x01\x00" * 160) for n in range(60)),
            heard_as="PCM16 little",
        )
    },
    quiet={
        "PCMU": media(*(Arrival(20.0 * n, "text", 300, "", "media", b"\xff" * 160) for n in range(60)), heard_as="PCMU")
    },
)
