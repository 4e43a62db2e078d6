"""G.711 tables for the lab's apps, written from the Recommendation and not shared with the code under test."""

from __future__ import annotations

import numpy as np


def ulaw_to_linear(byte: int) -> int:
    byte = ~byte & 0xFF
    value = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - value if byte & 0x80 else value - 0x84


def alaw_to_linear(byte: int) -> int:
    byte ^= 0x55
    value = (byte & 0x0F) << 4
    segment = (byte & 0x70) >> 4
    value = value + 8 if segment == 0 else (value + 0x108) << (segment - 1)
    return value if byte & 0x80 else -value


ULAW = [ulaw_to_linear(byte) for byte in range(256)]
ALAW = [alaw_to_linear(byte) for byte in range(256)]


def _nearest(table: list[int]) -> list[int]:
    """For each 16-bit sample divided by 16, the code whose value is nearest."""
    order = sorted(range(256), key=lambda byte: table[byte])
    codes = []
    at = 0
    for sample in range(-32768, 32768, 16):
        while at + 1 < 256 and abs(table[order[at + 1]] - sample) <= abs(table[order[at]] - sample):
            at += 1
        codes.append(order[at])
    return codes


ULAW_CODES = _nearest(ULAW)
ALAW_CODES = _nearest(ALAW)


def to_ulaw(samples: list[int]) -> bytes:
    return bytes(ULAW_CODES[(sample + 32768) >> 4] for sample in samples)


def to_alaw(samples: list[int]) -> bytes:
    return bytes(ALAW_CODES[(sample + 32768) >> 4] for sample in samples)


def from_ulaw(payload: bytes) -> list[int]:
    return [ULAW[byte] for byte in payload]


def from_alaw(payload: bytes) -> list[int]:
    return [ALAW[byte] for byte in payload]


def to_pcm16(samples: list[int]) -> bytes:
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def speech(seconds: float, rate_hz: int = 8000) -> list[int]:
    """Something like a voice: a few harmonics of a gliding pitch that is never quite even, and breath, in syllables with
    pauses between. (Without unevenness it is a buzzer, in which nobody can tell the encodings apart.)

    Vectors, since a handler that computes for half a second would block its loop: a fault that the case does not mean.
    """
    at = np.arange(int(seconds * rate_hz)) / rate_hz
    chance = np.random.default_rng(1)
    uneven = np.interp(
        at, np.arange(0, seconds + 1, 0.004), chance.normal(0, 16, len(np.arange(0, seconds + 1, 0.004)))
    )
    pitch_hz = 140 + 30 * np.sin(2 * np.pi * 0.7 * at) + uneven
    phase = np.cumsum(2 * np.pi * pitch_hz / rate_hz)
    syllable = np.sqrt(np.maximum(0.0, np.sin(2 * np.pi * 2.1 * at)))
    wave = sum(np.sin(phase * harmonic) / harmonic for harmonic in range(1, 12))
    breath = chance.normal(0, 0.12, at.size)
    return [int(sample) for sample in 5500 * syllable * (wave + breath)]
