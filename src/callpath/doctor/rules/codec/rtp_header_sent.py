"""MEDIA011: each payload is a whole RTP packet."""

import itertools

from callpath.doctor.facts import Arrival, Facts, MediaFacts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.sample import media

HEADER_BYTES = 12
"""Version, payload type, sequence number, timestamp, source (RFC 3550, 5.1)."""

PACKETS_MIN = 5


def check(facts: Facts) -> Finding | None:
    payloads = [arrival.payload or b"" for arrival in facts[MediaFacts].media]
    if len(payloads) < PACKETS_MIN or not all(_may_be_rtp(payload) for payload in payloads):
        return None
    numbers = [int.from_bytes(payload[2:4], "big") for payload in payloads]
    counts_up = sum((after - before) % 65536 == 1 for before, after in itertools.pairwise(numbers))
    one_source = len({payload[8:HEADER_BYTES] for payload in payloads}) == 1
    # Audio can begin with any byte, but it does not count, nor keep four bytes while the rest changes.
    if counts_up < len(payloads) * 0.8 or not one_source:
        return None
    return Finding(
        f"{len(payloads)} payloads begin with a {HEADER_BYTES}-byte RTP header that counts up",
        (
            Seen(f"first bytes: {payloads[0][:HEADER_BYTES].hex(' ')}", "the first message"),
            Seen(f"then: {payloads[1][:HEADER_BYTES].hex(' ')}", "the second message"),
        ),
    )


def _may_be_rtp(payload: bytes) -> bool:
    return len(payload) > HEADER_BYTES and payload[0] >> 6 == 2


def _packets(count: int, step: int) -> tuple[Arrival, ...]:
    return tuple(
        Arrival(20.0 * n, "text", 300, "", "media", bytes((0x80, 0)) + (n * step).to_bytes(2, "big") + bytes(8 + 160))
        for n in range(count)
    )


CAUSE = Cause.of(
    "url",
    check,
    code="MEDIA011",
    slug="rtp-header-sent",
    title="Whole RTP packets are sent where bare audio belongs",
    owner="you",
    why='"rtp" mode names the pace and the codecs, not the packets: Telnyx makes those itself. A payload with a '
    "header is "
    "taken without an error, and the caller hears nothing (observed).",
    fix="Send the codec's bytes alone: payload = packet[12:]",
    named={"packets that count": media(*_packets(10, 1))},
    quiet={"audio that begins with 0x80 and does not count": media(*_packets(10, 0))},
)
