"""Detect sound in encodings whose payloads do not show it, by the audio on the other side of the codec. Pure.

The silence of G722, OPUS and AMR-WB is many values. Their decoders and encoders are wrapped until the first sound, and cost
nothing more after that.
"""

from __future__ import annotations

from callpath.audio.codec import Decoder, Encoder
from callpath.audio.g711 import peak
from callpath.audio.pcm import Pcm
from callpath.errors import AudioError

QUIET_PEAK = 8
"""What a codec makes of zeros is no louder: measured, up to 4 in G722 and 2 in OPUS. The idle noise of a quiet line (-65
dBFS) has peaks above 40, and A-law's own zero is 8."""


class ListeningDecoder:
    """A decoder, and how many frames of sound came out of it. What it cannot decode counts: it is no silence."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self.sample_rate_hz = decoder.sample_rate_hz
        self.frames_loud = 0

    def decode(self, payload: bytes) -> Pcm:
        try:
            pcm = self.decoder.decode(payload)
        except AudioError:
            self.frames_loud += 1
            raise
        self.frames_loud += peak(pcm.tobytes()) > QUIET_PEAK
        return pcm

    def decode_bytes(self, payload: bytes) -> bytes:
        return self.decode(payload).tobytes()

    def conceal(self, duration_ms: float) -> Pcm:
        return self.decoder.conceal(duration_ms)


class ListeningEncoder:
    """An encoder, and whether any sound went into it."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.encoding = encoder.encoding
        self.sample_rate_hz = encoder.sample_rate_hz
        self.sounded = False

    def encode(self, pcm: Pcm) -> bytes:
        self.sounded = self.sounded or peak(pcm.tobytes()) > QUIET_PEAK
        return self.encoder.encode(pcm)

    def encode_bytes(self, audio: bytes) -> bytes:
        self.sounded = self.sounded or peak(audio) > QUIET_PEAK
        return self.encoder.encode_bytes(audio)

    def silence(self, duration_ms: float) -> bytes:
        return self.encoder.silence(duration_ms)
