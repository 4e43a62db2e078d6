"""How loud audio is, and what a payload really holds when its name is in doubt."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from callpath.audio.g711 import G711Decoder
from callpath.audio.pcm import FULL_SCALE, Pcm

FLOOR_DBFS = -100.0
"""What zeros measure: below the last bit of 16 (-96), yet a number that sorts, prints and fits into JSON."""
SILENCE_DBFS = -60.0
"""Below this nobody speaks. Idle noise of a telephone line lies near -65, soft speech above -45."""


def level_dbfs(pcm: Pcm) -> float:
    """RMS against full scale: a sine that just fills the range measures -3.0, no audio or zeros -100.0."""
    if pcm.size == 0:
        return FLOOR_DBFS
    audio = pcm.astype(np.float64)
    return _dbfs(float(np.sqrt(audio @ audio / pcm.size)))


def peak_dbfs(pcm: Pcm) -> float:
    """The loudest sample against full scale; 0.0 means it clipped, or nearly."""
    if pcm.size == 0:
        return FLOOR_DBFS
    return _dbfs(float(max(int(pcm.max()), -int(pcm.min()))))


def is_silence(pcm: Pcm, below_dbfs: float = SILENCE_DBFS) -> bool:
    """True if nothing is to be heard, or there is no audio."""
    return level_dbfs(pcm) < below_dbfs


def _dbfs(magnitude: float) -> float:
    return max(FLOOR_DBFS, 20.0 * float(np.log10(magnitude / FULL_SCALE))) if magnitude > 0 else FLOOR_DBFS


# --- What is it really? -------------------------------------------------------------------------------------------

Content: TypeAlias = Literal[
    "PCMU",
    "PCMA",
    "PCM16 little",
    "PCM16 big",
    "WAV header",
    "MP3",
    "hex text",
    "base64 text",
    "silence",
    "unknown",
]

BYTES_MIN = 2000
"""A quarter of a second of G.711. With less, one vowel or click would decide."""
BLOCK_BYTES = 512
"""Over so much, speech stays the same sound: 64 ms of G.711, 16 ms of L16 at 16 kHz."""
GAIN_DB_MIN, MARGIN_DB_MIN = 2.0, 1.0
"""How well the best reading must be predictable, and by how much better than any rival. Set so that none of 6,600
pieces (eight synthetic voices, tones, music, noise; -7 to -55 dBFS; in four encodings, and as seven things that are
none of them) got a wrong name. One speech piece in sixty stayed unknown, and white noise does by nature."""
FLOOR = 1e-4
"""-40 dB: how little of a sound the prediction may leave over. It keeps pure tones solvable."""

TONE_GAIN_DB = 10.0
"""Above this it is a steady tone, whose period may favour even or odd bytes by chance."""
REPEATS_MAX, REPEATS_CONFIDENCE_MIN = 0.93, 0.66
"""What repeats itself so exactly (a buzzer, a synthesiser, a long vowel) does so in every reading, and a wrong one may be
the smoother by chance: with a confidence of up to 0.6. Tones, DTMF and vowels in the right one have 0.7 and more."""
PARITY_BITS = 0.055
"""Divergence of even from odd bytes that tells 16-bit samples from 8-bit ones. Measured on the same pieces, tones left
out: 8-bit at most 0.01, floats at least 0.3, 16-bit at least 0.04 (what lies below stays unknown: faint tones in plain
8-bit reached 0.05 and would pass for 16-bit)."""
TEXT_BYTES_MIN = 64
"""So many audio bytes are never all letters and digits by chance: each has one chance in four."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What the bytes are. `confidence` is 0 for unknown; `evidence` has the numbers behind it, to print in a report."""

    content: Content
    confidence: float
    evidence: dict[str, float] = field(default_factory=dict)


def guess_encoding(payloads: Sequence[bytes]) -> Guess:
    """Tell from about a second of payloads what they hold, whatever the stream calls it.

    A wrong name would send somebody after the wrong fault, so in doubt the answer is "unknown". Sound is smooth: read
    in the right encoding, each sample follows from those before; read in a wrong one it is noise. So the payloads are
    read in every way, also in some that Telnyx has no name for (plain 8-bit, float), and the most predictable reading
    wins if it wins clearly.
    """
    audio = b"".join(payloads)
    if not audio:
        return Guess("unknown", 0.0, {"bytes": 0.0})
    container = _container(audio)
    if container is not None:
        return Guess(container, 1.0, {"bytes": float(len(audio))})
    octets = np.frombuffer(audio, np.uint8)
    quiet = _quiet_share(octets)
    if quiet >= 0.99:
        return Guess("silence", quiet, {"quiet_share": quiet})
    if len(audio) < BYTES_MIN:
        return Guess("unknown", 0.0, {"bytes": float(len(audio))})
    return _most_predictable(octets, whole_samples=all(len(payload) % 2 == 0 for payload in payloads))


RTP_HEADER_BYTES = 12
"""Version, payload type, sequence number, timestamp, source (RFC 3550, 5.1)."""


def begin_with_rtp(payloads: Sequence[bytes]) -> bool:
    """Whether each is a whole RTP packet: one version, type and source, and of nearly all both counters go on evenly.

    Audio may begin with any byte, but it keeps none of these twelve and does not count. A lost packet changes nothing.
    """
    if len(payloads) < 5 or any(len(payload) <= RTP_HEADER_BYTES or payload[0] >> 6 != 2 for payload in payloads):
        return False
    if len({(payload[1] & 0x7F, payload[8:RTP_HEADER_BYTES]) for payload in payloads}) != 1:
        return False
    counters = [(int.from_bytes(payload[2:4], "big"), int.from_bytes(payload[4:8], "big")) for payload in payloads]
    steps = Counter(
        ((number - number_before) % 2**16, (time - time_before) % 2**32)
        for (number_before, time_before), (number, time) in itertools.pairwise(counters)
    )
    (numbers, times), often = steps.most_common(1)[0]
    return numbers == 1 and times > 0 and often >= 0.8 * (len(payloads) - 1)


def _container(audio: bytes) -> Content | None:
    if audio[:4] == b"RIFF" and audio[8:12] == b"WAVE":
        return "WAV header"
    if audio[:3] == b"ID3" or _is_mp3(audio):
        return "MP3"
    text = audio.strip()
    # One repeated byte is a constant level, not a text.
    if len(text) < TEXT_BYTES_MIN or len(set(text)) < 4:
        return None
    try:
        binascii.unhexlify(text[: len(text) // 2 * 2])
    except binascii.Error:
        pass
    else:
        return "hex text"
    try:
        # Either alphabet; joined payloads may each end in padding, so the length says nothing.
        letters = text.translate(bytes.maketrans(b"-_", b"+/"), delete=b"=")
        base64.b64decode(letters[: len(letters) // 4 * 4], validate=True)
    except binascii.Error:
        return None
    return "base64 text"


_MP3_KBIT = {
    1: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATE_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the version bits of the header: MPEG 1, 2 and 2.5, layer III (ISO 11172-3, 13818-3)."""


def _is_mp3(audio: bytes) -> bool:
    """True if three layer-III frames in a row stand near the beginning.

    A tone in G.711 repeats itself, and with it whatever looks like a frame header: such "frames" are nearly equal.
    """
    octets = np.frombuffer(audio, np.uint8)
    for start in range(min(len(audio), 2048)):
        starts = [start]
        while len(starts) < 4 and (size := _mp3_frame_bytes(audio[starts[-1] : starts[-1] + 4])):
            starts.append(starts[-1] + size)
        if len(starts) == 4:
            common = min(starts[1] - starts[0], starts[2] - starts[1])
            first, second = (octets[at : at + common] for at in starts[:2])
            if np.mean(first == second) < 0.5:
                return True
    return False


def _mp3_frame_bytes(header: bytes) -> int:
    """The length of the frame that begins here; 0 if none does."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or not 0 < bit_rate < 15 or rate == 3:
        return 0
    kbit = _MP3_KBIT[1 if version == 3 else 2][bit_rate - 1]
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbit * 1000 // _MP3_RATE_HZ[version][rate] + (header[2] >> 1 & 1)


def _quiet_share(octets: npt.NDArray[np.uint8]) -> float:
    """The largest part of the bytes that one encoding reads as a level of zero, give or take its smallest step."""
    counts = np.bincount(octets, minlength=256)
    readings = ([0xFF, 0x7F, 0xFE, 0x7E], [0xD5, 0x55, 0xD4, 0x54], [0x00], [int(np.argmax(counts))])
    return float(max(counts[codes].sum() for codes in readings) / octets.size)


def _most_predictable(octets: npt.NDArray[np.uint8], whole_samples: bool) -> Guess:
    blocks = octets[: octets.size // BLOCK_BYTES * BLOCK_BYTES].reshape(-1, BLOCK_BYTES)
    # Pauses are noise in every reading. The blocks with the most different bytes are where something sounds.
    variety = np.array([np.count_nonzero(np.bincount(block, minlength=256)) for block in blocks])
    blocks = blocks[np.argsort(variety)[blocks.shape[0] // 2 :]]

    readings = _readings(blocks)
    gain_db = {name: prediction_gain_db(samples) for name, samples in readings.items()}
    best, second = sorted(gain_db, key=lambda name: gain_db[name], reverse=True)[:2]
    parity = _parity_bits(blocks)
    evidence = {f"{name} gain_db": round(gain, 1) for name, gain in gain_db.items()} | {"parity_bits": round(parity, 3)}

    unknown = Guess("unknown", 0.0, evidence)
    if gain_db[best] < GAIN_DB_MIN or gain_db[best] - gain_db[second] < MARGIN_DB_MIN:
        return unknown
    confidence = round(1.0 - gain_db[second] / gain_db[best], 2)
    if confidence < REPEATS_CONFIDENCE_MIN and _repeats(readings[best]) > REPEATS_MAX:
        return unknown
    match best:
        case "PCMU" | "PCMA" if parity < PARITY_BITS or gain_db[best] > TONE_GAIN_DB:
            return Guess(best, confidence, evidence)
        case "PCM16 little" | "PCM16 big" if parity >= PARITY_BITS and whole_samples:
            return Guess(best, confidence, evidence)
        case _:
            return unknown


def _readings(blocks: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[np.float64]]:
    """The same bytes in every way that somebody might have meant them, one row a block."""
    octets = np.ascontiguousarray(blocks)
    flat = octets.tobytes()
    with np.errstate(invalid="ignore"):  # bytes that are no floats give NaN
        floats = np.nan_to_num(octets.view("<f4").astype(np.float64)).clip(-2.0, 2.0)
    return {
        "PCMU": G711Decoder("PCMU").decode(flat).reshape(octets.shape).astype(np.float64),
        "PCMA": G711Decoder("PCMA").decode(flat).reshape(octets.shape).astype(np.float64),
        "PCM16 little": octets.view("<i2").astype(np.float64),
        "PCM16 big": octets.view(">i2").astype(np.float64),
        "unsigned 8-bit": octets.astype(np.float64),
        "signed 8-bit": octets.view(np.int8).astype(np.float64),
        "float": floats,
    }


def prediction_gain_db(samples: npt.NDArray[np.float64]) -> float:
    """How much of the sound follows from the samples before: 0 for noise, about 3 to 10 for speech, over 20 for a tone.

    Linear prediction of each row by autocorrelation, averaged over rows and over orders 2 and 4: the higher order
    knows two tones at once (DTMF), but would also fit the harmonics of one tone that a wrong reading has bent.
    """
    centred = samples - samples.mean(axis=1, keepdims=True)
    width = centred.shape[1]
    energy, *lags = (np.sum(centred[:, : width - lag] * centred[:, lag:], axis=1) for lag in range(5))
    sounding = energy > 1e-12
    if not sounding.any():
        return 0.0
    correlation = [lag[sounding] / energy[sounding] for lag in lags]
    # Levinson and Durbin's recursion, which makes every order from the one before. (numpy.linalg would do as well, but
    # the first call of LAPACK takes a megabyte of memory.)
    weights: list[npt.NDArray[np.float64]] = []
    left = np.full(int(sounding.sum()), 1.0 + FLOOR)
    gains = []
    for order in range(4):
        reflection = correlation[order] - sum(
            (weight * correlation[order - 1 - number] for number, weight in enumerate(weights)), np.float64(0.0)
        )
        reflection = reflection / left
        weights = [
            weight - reflection * mirrored for weight, mirrored in zip(weights, reversed(weights), strict=True)
        ] + [reflection]
        left = left * (1.0 - reflection**2)
        if order in (1, 3):
            gains.append(float(np.mean(-10.0 * np.log10(np.maximum(left - FLOOR, FLOOR)))))
    return sum(gains) / len(gains)


def _repeats(samples: npt.NDArray[np.float64]) -> float:
    """How much of the sound is the same again one period later, in half of the rows or more: 1 for a buzzer."""
    centred = samples - samples.mean(axis=1, keepdims=True)
    width = centred.shape[1]
    lags = np.arange(width * 5 // 8)
    overlap = np.fft.irfft(np.abs(np.fft.rfft(centred, 2 * width)) ** 2)[:, lags]
    energy = np.cumsum(np.pad(centred**2, ((0, 0), (1, 0))), axis=1)
    likeness = overlap / np.sqrt(energy[:, width - lags] * (energy[:, -1:] - energy[:, lags]) + 1e-12)
    # Every smooth sound resembles itself a moment later; only after it has changed does likeness mean a period.
    changed = np.logical_or.accumulate(likeness < 0.5, axis=1)
    return float(np.median(np.max(likeness * changed, axis=1)))


def _parity_bits(blocks: npt.NDArray[np.uint8]) -> float:
    """How differently even and odd bytes are spread, as Jensen-Shannon divergence: 0 alike, 1 nothing in common."""
    # 32 bins, so that a second of audio fills them; one half count each keeps the logarithm finite.
    even, odd = (np.bincount((blocks[:, side::2] >> 3).reshape(-1), minlength=32) + 0.5 for side in (0, 1))
    even, odd = even / even.sum(), odd / odd.sum()
    middle = (even + odd) / 2
    return float(np.sum(even * np.log2(even / middle) + odd * np.log2(odd / middle)) / 2)
