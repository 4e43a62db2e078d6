"""Speech of the party of one leg, and the sound that reaches it without a media stream of its leg. Pure."""

from __future__ import annotations

import numpy as np

from callpath.audio.codec import Pcm, open_decoder
from callpath.audio.l16 import ByteOrder
from callpath.audio.pcm import samples_in
from callpath.audio.resample import resample_file_audio
from callpath.errors import AudioError
from callpath.simulator.carrier import HEARD_PACKETS_MAX, PACKET_MS, CarrierStream
from callpath.simulator.sound import SAMPLE_RATE_HZ


class Voice:
    """Speech of one party, on the clock. `utterances` are the times at which each begins, and 8 kHz audio."""

    def __init__(self) -> None:
        self.utterances: list[tuple[float, Pcm]] = []

    def say(self, at_ms: float, audio: Pcm) -> None:
        """The party speaks from then on."""
        self.utterances.append((at_ms, audio))

    def cut(self, at_ms: float) -> None:
        """The party stops: nothing is said from then on."""
        kept = [(began_ms, pcm) for began_ms, pcm in self.utterances if began_ms < at_ms]
        self.utterances = [(began_ms, pcm[: samples_in(at_ms - began_ms, SAMPLE_RATE_HZ)]) for began_ms, pcm in kept]

    def between(self, from_ms: float, until_ms: float) -> list[tuple[float, Pcm]]:
        """Pieces of speech in that time."""
        pieces = []
        for began_ms, pcm in self.utterances:
            skipped = samples_in(max(0.0, from_ms - began_ms), SAMPLE_RATE_HZ)
            taken = samples_in(max(0.0, until_ms - began_ms), SAMPLE_RATE_HZ)
            if (part := pcm[skipped:taken]).size:
                pieces.append((max(from_ms, began_ms), part))
        return pieces

    def part(self, at_ms: float, duration_ms: float) -> Pcm:
        """Speech from `at_ms` on, that long; silence where nothing is said; empty where nothing is said at all."""
        whole = np.zeros(samples_in(duration_ms, SAMPLE_RATE_HZ), np.int32)
        spoken = False
        for began_ms, pcm in self.between(at_ms, at_ms + duration_ms):
            first = samples_in(began_ms - at_ms, SAMPLE_RATE_HZ)
            piece = pcm[: whole.size - first]
            whole[first : first + piece.size] += piece
            spoken = True
        return whole.clip(-32768, 32767).astype(np.int16) if spoken else np.zeros(0, np.int16)


class PhoneLine:
    """The line of one phone. Times are the clock's milliseconds, audio is 8 kHz."""

    def __init__(self, byte_order: ByteOrder) -> None:
        self._byte_order: ByteOrder = byte_order
        self._sounds: list[tuple[float, Pcm]] = []
        self._packets: dict[CarrierStream, list[tuple[float, bytes]]] = {}

    @property
    def played_ms(self) -> float:
        """How much of Telnyx's own sounds was played, counted twice where two were mixed."""
        return sum(audio.size for _, audio in self._sounds) * 1000 / SAMPLE_RATE_HZ

    def add(self, at_ms: float, audio: Pcm) -> None:
        """A sound of Telnyx's own was played from then on."""
        self._sounds.append((at_ms, audio))

    def receive_packet(self, stream: CarrierStream, at_ms: float, payload: bytes) -> None:
        """20 ms of what the server sends on the `stream` of a leg that this phone hears."""
        packets = self._packets.setdefault(stream, [])
        if len(packets) < HEARD_PACKETS_MAX:
            packets.append((at_ms, payload))

    def pieces(self) -> list[tuple[float, Pcm]]:
        """All of it, each piece with the time at which it began."""
        return self._sounds + [piece for stream in self._packets for piece in self._decoded(stream)]

    def _decoded(self, stream: CarrierStream) -> list[tuple[float, Pcm]]:
        request = stream.request
        decoder = open_decoder(request.codec, request.sample_rate_hz, byte_order=self._byte_order)
        runs: list[tuple[float, list[Pcm]]] = []
        next_ms = -1.0
        for at_ms, payload in self._packets[stream]:
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
