"""MEDIA002: the payload is not base64 of audio."""

import re

from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import media

_ALPHABET = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")


def check(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    hexadecimal = [arrival for arrival in stream.arrivals if _is_hex(arrival)]
    if stream.arrivals and len(hexadecimal) * 2 > len(stream.arrivals):
        return Finding(
            f"media.payload of {len(hexadecimal)} frames is hexadecimal text",
            (Seen(f"{hexadecimal[0].head[:120]!r}", "messages of the stream", len(hexadecimal)),),
        )
    broken = [arrival for arrival in stream.arrivals if arrival.fault == "invalid_media"]
    if len(broken) > 2 or (broken and not stream.media):
        return Finding(
            f"media.payload of {len(broken)} frames is not base64",
            tuple(
                Seen(f"at {a.at_ms:.0f} ms: {a.head[:100]!r}", f"the message at {a.at_ms:.0f} ms") for a in broken[:2]
            ),
        )
    nested = [
        arrival
        for arrival in stream.media
        if len(arrival.payload or b"") >= 40 and _ALPHABET.fullmatch(arrival.payload or b"")
    ]
    if stream.media and len(nested) * 2 > len(stream.media):
        text = nested[0].payload or b""
        kind = "hexadecimal text" if re.fullmatch(rb"[0-9a-fA-F]+", text) else "base64 again"
        return Finding(
            f"media.payload decodes to {kind}, not to audio",
            (Seen(f"decoded: {text[:60]!r}", "messages of the stream", len(nested)),),
        )
    return None


def _is_hex(arrival: Arrival) -> bool:
    """Every digit of hex is a letter of base64 too; that so many letters are digits by chance is not possible."""
    found = re.search(r'"payload"\s*:\s*"([0-9a-fA-F]{40,})', arrival.head)
    return found is not None and len(set(found.group(1).lower())) > 3


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA002",
    slug="outbound-not-base64",
    title="The payload sent to the carrier is not base64 of the audio",
    owner="you",
    why="Hex, a printed bytes object, a data: URI, URL-safe base64 or base64 of base64: Telnyx answers invalid_media "
    "(100004) or plays noise.",
    fix="Encode the raw bytes once, in the standard alphabet: base64.b64encode(audio).decode(), "
    "audio.toString('base64').",
    named={
        "a data URI": media(
            *(Arrival(20.0 * n, "text", 300, "data:audio", "media", fault="invalid_media") for n in range(9))
        ),
        "twice": media(
            *(
                Arrival(20.0 * n, "text", 300, "", "media", b"gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp+g")
                for n in range(9)
            )
        ),
    },
    quiet={"audio": media(Arrival(20.0, "text", 300, "", "media", b"\xff\x7e" * 80))},
)
