"""What the phone of one leg hears that no media stream of that leg brings: Telnyx's own sounds, and a bridged leg. Pure."""

from __future__ import annotations

import numpy as np

from callpath.audio.codec import Pcm, open_decoder
from callpath.audio.l16 import ByteOrder
from callpath.audio.resample import resample_file_audio
from callpath.errors import AudioError
from callpath.simulator.carrier import HEARD_PACKETS_MAX, PACKET_MS, CarrierStream
from callpath.simulator.sound import SAMPLE_RATE_HZ


class PhoneLine:
    """The line of one phone. Times are the clock's milliseconds, audio is 8 kHz."""

    def __init__(self, byte_order: ByteOrder) -> None:
        self._byte_order: ByteOrder = byte_order
        self._sounds: list[tuple[float, Pcm]] = []
        self._packets: dict[tuple[CarrierStream, bool], list[tuple[float, bytes]]] = {}

    @property
    def played_ms(self) -> float:
        """How much of Telnyx's own sounds was played, counted twice where two were mixed."""
        return sum(audio.size for _, audio in self._sounds) * 1000 / SAMPLE_RATE_HZ

    def add(self, at_ms: float, audio: Pcm) -> None:
        """A sound of Telnyx's own was played from then on."""
        self._sounds.append((at_ms, audio))

    def receive_packet(self, stream: CarrierStream, at_ms: float, payload: bytes, *, is_voice: bool) -> None:
        """20 ms from the bridged leg: its party's voice, or what the server sends on its `stream`."""
        packets = self._packets.setdefault((stream, is_voice), [])
        if len(packets) < HEARD_PACKETS_MAX:
            packets.append((at_ms, payload))

    def pieces(self) -> list[tuple[float, Pcm]]:
        """All of it, each piece with the time at which it began."""
        return self._sounds + [piece for key in self._packets for piece in self._decoded(*key)]

    def _decoded(self, stream: CarrierStream, is_voice: bool) -> list[tuple[float, Pcm]]:
        request = stream.request
        form = request.media_format
        encoding = form.encoding if is_voice else request.codec
        rate_hz = form.sample_rate if is_voice else request.sample_rate_hz
        decoder = open_decoder(encoding, rate_hz, byte_order=self._byte_order)
        runs: list[tuple[float, list[Pcm]]] = []
        next_ms = -1.0
        for at_ms, payload in self._packets[stream, is_voice]:
            try:
                audio = decoder.decode(payload)
            except AudioError:
                audio = decoder.conceal(PACKET_MS)
            if at_ms != next_ms:
                runs.append((at_ms, []))
            runs[-1][1].append(audio)
            next_ms = at_ms + PACKET_MS
        # Resampled as a whole: piece by piece each joint would click.
        return [
            (at_ms, resample_file_audio(np.concatenate(parts), decoder.sample_rate_hz, SAMPLE_RATE_HZ))
            for at_ms, parts in runs
        ]
