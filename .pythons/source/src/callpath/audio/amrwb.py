"""AMR-WB, to listen only: FFmpeg has a decoder (opencore-amr) and no encoder.

Telnyx hands over RTP payloads. RFC 4867 knows two ways to pack them, agreed in SDP, which the media stream does not
show: bandwidth-efficient (fields run on bit by bit; the RFC's default) and octet-aligned. They differ in length for
every kind of speech frame, so the payloads themselves tell.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from callpath.audio.ffmpeg import FfmpegDecoder
from callpath.audio.pcm import DecodesToArray, Pcm, samples_in
from callpath.errors import AudioError

Packing = Literal["detect", "bandwidth-efficient", "octet-aligned"]

RATE_HZ = 16000
FRAME_MS = 20
SPEECH_BITS = (132, 177, 253, 285, 317, 365, 397, 461, 477, 40)
"""By frame type: the nine rates from 6.6 to 23.85 kbit/s, and comfort noise (3GPP TS 26.201)."""
LOST, NO_DATA = 14, 15
"""Frame types without bits: a frame that was lost, and one that was not sent (RFC 4867, 4.3.2)."""


class AmrWbDecoder(DecodesToArray):
    """One payload may hold several frames of 20 ms; a pause arrives as comfort noise and is filled in.

    With "detect", payloads that could be either (only comfort noise can) count as bandwidth-efficient until one is
    clear; a clear one settles it for the stream.
    """

    sample_rate_hz = RATE_HZ

    def __init__(self, packing: Packing = "detect") -> None:
        self.packing = packing
        self._decoder = FfmpegDecoder("AMR-WB", "libopencore_amrwb", RATE_HZ)

    def decode(self, payload: bytes) -> Pcm:
        if not payload:
            return np.zeros(0, np.int16)
        return self._decode_frames(self._unpack(payload))

    def conceal(self, duration_ms: float) -> Pcm:
        """By the codec itself, which goes on from its own state and fades."""
        samples = samples_in(duration_ms, RATE_HZ)
        frames = -(-samples // samples_in(FRAME_MS, RATE_HZ))
        return self._decode_frames([_storage_frame(LOST, 0, 0, 0)] * frames)[:samples]

    def _decode_frames(self, frames: list[bytes]) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *(self._decoder.decode(frame) for frame in frames)])

    def _unpack(self, payload: bytes) -> list[bytes]:
        efficient = None if self.packing == "octet-aligned" else _unpack_bandwidth_efficient(payload)
        aligned = None if self.packing == "bandwidth-efficient" else _unpack_octet_aligned(payload)
        if efficient is None and aligned is None:
            way = "either packing of RFC 4867" if self.packing == "detect" else f"{self.packing} packing"
            raise AudioError(
                f"a payload of {len(payload)} bytes is not AMR-WB in {way}. "
                "The stream probably carries another encoding; see start.media_format"
            )
        if efficient is None or aligned is None:
            self.packing = "octet-aligned" if efficient is None else "bandwidth-efficient"
        frames = efficient if efficient is not None else aligned
        assert frames is not None
        return frames


def _unpack_bandwidth_efficient(payload: bytes) -> list[bytes] | None:
    """4 bits of mode request, 6 a frame as table of contents, then the frames; None if it does not add up."""
    bits = int.from_bytes(payload, "big")
    left = 8 * len(payload)

    def take(count: int) -> int:
        nonlocal left
        left -= count
        return (bits >> left) & ((1 << count) - 1) if left >= 0 else 0

    take(4)
    contents: list[tuple[int, int]] = []
    follows = 1
    while follows:
        follows, kind, good = take(1), take(4), take(1)
        if left < 0 or not _is_known(kind):
            return None
        contents.append((kind, good))
    frames = [_storage_frame(kind, good, take(_bits(kind)), _bits(kind)) for kind, good in contents]
    # What is left fills the last byte, with zeros.
    return frames if 0 <= left < 8 and take(left) == 0 else None


def _unpack_octet_aligned(payload: bytes) -> list[bytes] | None:
    """The same fields, each filled up to whole bytes; None if it does not add up."""
    contents: list[tuple[int, int]] = []
    at = 1
    follows = 0x80
    while follows:
        if at >= len(payload):
            return None
        entry = payload[at]
        follows, kind, good = entry & 0x80, entry >> 3 & 0x0F, entry >> 2 & 1
        if not _is_known(kind) or entry & 3:
            return None
        contents.append((kind, good))
        at += 1
    frames = []
    for kind, good in contents:
        count = _bits(kind)
        size = -(-count // 8)
        speech = int.from_bytes(payload[at : at + size], "big") >> (8 * size - count)
        frames.append(_storage_frame(kind, good, speech, count))
        at += size
    return frames if at == len(payload) and payload[0] & 0x0F == 0 else None


def _is_known(kind: int) -> bool:
    return kind < len(SPEECH_BITS) or kind in (LOST, NO_DATA)


def _bits(kind: int) -> int:
    return SPEECH_BITS[kind] if kind < len(SPEECH_BITS) else 0


def _storage_frame(kind: int, good: int, speech: int, count: int) -> bytes:
    """As AMR-WB files hold it and FFmpeg takes it: a byte of type and quality, the bits filled up to bytes (5.3)."""
    size = -(-count // 8)
    return bytes([kind << 3 | good << 2]) + (speech << (8 * size - count)).to_bytes(size, "big")
