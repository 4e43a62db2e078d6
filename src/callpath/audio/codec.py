"""What a codec is, and the one table of them, by the names Telnyx uses on the wire.

To carry a stream: `open_decoder(start.media_format.encoding, start.media_format.sample_rate)` for what we hear, and
`open_encoder(stream_bidirectional_codec, stream_bidirectional_sampling_rate)` for what we say. The two directions are
independent. A decoder holds the state of one track, an encoder that of one playout: never share them between streams.
(Those of G.711 have none, and are shared.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from callpath.audio.amrwb import AmrWbDecoder
from callpath.audio.g711 import PCMA_ENCODER, PCMU_ENCODER, G711Decoder
from callpath.audio.g722 import G722Decoder, G722Encoder
from callpath.audio.l16 import ByteOrder, L16Decoder, L16Encoder
from callpath.audio.opus import OpusDecoder, OpusEncoder
from callpath.audio.pcm import EncodesArray, Pcm
from callpath.errors import AudioError

__all__ = ["CODECS", "ByteOrder", "Codec", "Decoder", "Encoder", "NoEncoder", "Pcm", "open_decoder", "open_encoder"]


class Decoder(Protocol):
    """Payload to PCM for one track. `sample_rate_hz` is the PCM's, which need not be the wire's (G722, AMR-WB)."""

    sample_rate_hz: int

    def decode(self, payload: bytes) -> Pcm:
        """The audio of one payload, in order. Raises AudioError on bytes this codec cannot have made.

        Do not write into the array: the decoder may keep it to conceal a gap.
        """
        ...

    def decode_bytes(self, payload: bytes) -> bytes:
        """The same as little-endian PCM16, two bytes a sample. Quicker where nobody counts with the samples."""
        ...

    def conceal(self, duration_ms: float) -> Pcm:
        """Replacement audio for a gap, called in the place of the missing `decode`."""
        ...


class Encoder(Protocol):
    """PCM to payload for one playout. `sample_rate_hz` is that of the PCM it takes."""

    encoding: str
    sample_rate_hz: int

    def encode(self, pcm: Pcm) -> bytes:
        """One frame as a payload. G.711 and L16 take any length, G722 whole frames of 20 ms, Opus one of them."""
        ...

    def encode_bytes(self, audio: bytes) -> bytes:
        """The same of little-endian PCM16. Raises AudioError for half a sample, unless that is looked at before."""
        ...

    def silence(self, duration_ms: float) -> bytes:
        """A payload of silence in this place of the stream."""
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """One row of the table. The openers are given the wire's rate and, which only L16 heeds, the byte order."""

    encoding: str
    rates_hz: tuple[int, ...]
    open_decoder: Callable[[int, ByteOrder], Decoder]
    open_encoder: Callable[[int, ByteOrder], Encoder] | None


CODECS: dict[str, Codec] = {
    codec.encoding: codec
    for codec in (
        Codec("PCMU", (8000,), lambda _rate, _order: G711Decoder("PCMU"), lambda _rate, _order: PCMU_ENCODER),
        Codec("PCMA", (8000,), lambda _rate, _order: G711Decoder("PCMA"), lambda _rate, _order: PCMA_ENCODER),
        # 8000 is G722's RTP clock by an old mistake that RFC 3551 keeps (4.5.2); its audio is 16 kHz. What Telnyx
        # writes into media_format is not known, so both are taken.
        Codec("G722", (8000, 16000), lambda _rate, _order: G722Decoder(), lambda _rate, _order: G722Encoder()),
        # Telnyx documents 8000 and 16000; 48000 is Opus's RTP clock (RFC 7587).
        Codec(
            "OPUS", (8000, 16000, 48000), lambda rate, _order: OpusDecoder(rate), lambda rate, _order: OpusEncoder(rate)
        ),
        # Telnyx documents 8000 too, but the bitstream knows only 16 kHz.
        Codec("AMR-WB", (8000, 16000), lambda _rate, _order: AmrWbDecoder(), None),
        Codec("L16", (8000, 16000, 22050, 24000, 48000), L16Decoder, L16Encoder),
    )
}
"""Every encoding Telnyx can put on a media stream. `open_encoder` is None where we can only listen."""


def open_decoder(encoding: str, sample_rate_hz: int, *, byte_order: ByteOrder = "little") -> Decoder:
    """A decoder for one track, by the names of `start.media_format`.

    Raises AudioError for an encoding or rate that is not in the table, or when its extra is not installed.
    """
    return _row(encoding, sample_rate_hz).open_decoder(sample_rate_hz, byte_order)


def open_encoder(encoding: str, sample_rate_hz: int, *, byte_order: ByteOrder = "little") -> Encoder:
    """An encoder for one playout, by the names of `stream_bidirectional_codec` and `..._sampling_rate`.

    Raises AudioError like `open_decoder`, and for AMR-WB, which we cannot make.
    """
    row = _row(encoding, sample_rate_hz)
    if row.open_encoder is None:
        able = ", ".join(name for name, codec in CODECS.items() if codec.open_encoder is not None)
        raise AudioError(f"{encoding} can be received but not sent. Set stream_bidirectional_codec to one of {able}")
    return row.open_encoder(sample_rate_hz, byte_order)


class NoEncoder(EncodesArray):
    """In the place of an encoder where payloads come ready-made. Raises AudioError for an encoding or rate that is not in
    the table; it needs no extra, and may stand for what we cannot make."""

    def __init__(self, encoding: str, sample_rate_hz: int) -> None:
        self.encoding = _row(encoding, sample_rate_hz).encoding
        self.sample_rate_hz = sample_rate_hz

    def encode(self, pcm: Pcm) -> bytes:  # noqa: ARG002 (part of the protocol)
        raise AudioError("a raw stream plays payloads, not PCM: give bytes in its encoding")

    def silence(self, duration_ms: float) -> bytes:  # noqa: ARG002 (part of the protocol)
        raise AudioError("a raw stream has no silence of its own: give a payload of it")


def _row(encoding: str, sample_rate_hz: int) -> Codec:
    row = CODECS.get(encoding)
    if row is None:
        raise AudioError(f"there is no encoding {encoding!r}; Telnyx has {', '.join(CODECS)}, in exactly this spelling")
    if sample_rate_hz not in row.rates_hz:
        accepted = ", ".join(str(rate) for rate in row.rates_hz)
        raise AudioError(f"{encoding} at {sample_rate_hz} Hz is not possible; accepted: {accepted}")
    return row
