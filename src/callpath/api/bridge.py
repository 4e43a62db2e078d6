"""Two calls that talk to each other.

    waiting: list[Call] = []

    @app.call(raw=True)
    async def handle(call: Call) -> None:
        if waiting:
            await bridge(call, waiting.pop())
        else:
            waiting.append(call)
            await asyncio.Event().wait()    # until this call ends

Between raw calls in one encoding, a payload goes from socket to socket as it is: no codec, no copy.
"""

from __future__ import annotations

import asyncio

from callpath.api.call import Call
from callpath.audio.codec import Decoder, Encoder, open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.resample import Resampler
from callpath.call.stream import PTIME_MS, MediaStream
from callpath.errors import AudioError
from callpath.wire.media import Start

LATE_MS_MAX = 200.0
"""Maximum of audio that waits. A bridge that was held up once must not be late for the rest of the call: older speech is
dropped, and counted with the rest that its handler was too slow for."""


async def bridge(one: Call, other: Call) -> None:
    """Carry the audio of each call to the other until one of them ends; then hang up yours, or go on with it.

    Nobody else may read `audio` of either call meanwhile. Keys and marks stay where they are. Raw calls in different
    encodings are transcoded; so are a raw call and one that is not. Raises AudioError where a codec's extra is missing.
    """
    there, back = _Crossing(one, other), _Crossing(other, one)
    async with asyncio.TaskGroup() as tasks:
        carrying = {tasks.create_task(crossing.carry(), name="bridge") for crossing in (there, back)}
        try:
            await asyncio.wait(carrying, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in carrying:
                task.cancel()


class _Crossing:
    """One direction."""

    def __init__(self, source: Call, target: Call) -> None:
        self._source = source
        self._target = target
        self._between: tuple[MediaStream | None, Start | None, MediaStream | None] = (None, None, None)
        """The streams, and the source's start frame, that all this is set up for."""
        self._decoder: Decoder | None = None
        self._encoder: Encoder | None = None
        self._resampler: Resampler | None = None
        self._framer: Framer | None = None
        self._rate_hz = source.sample_rate_hz
        self._set_up()

    async def carry(self) -> None:
        """Until the source ends."""
        audio = self._source.audio
        async for chunk in audio:
            if len(audio) * self._chunk_ms() >= LATE_MS_MAX:
                audio.dropped += 1
                continue
            if self._between != self._ends():
                self._set_up()  # a socket was lost and came back, or a start frame came, perhaps in another encoding
            for piece in self._across(chunk):
                await self._target.play(piece, sample_rate_hz=self._rate_hz)

    def _ends(self) -> tuple[MediaStream | None, Start | None, MediaStream | None]:
        source = self._source.stream
        return source, None if source is None else source.start, self._target.stream

    def _chunk_ms(self) -> float:
        """Duration of a chunk; on a raw call it is as long as the phone's packets."""
        stream = self._source.stream
        return stream.received_ptime_ms() if stream is not None and self._source.raw else float(PTIME_MS)

    def _set_up(self) -> None:
        source, target = self._source.stream, self._target.stream
        self._between = self._ends()
        self._decoder = self._encoder = self._resampler = self._framer = None
        self._rate_hz = self._source.sample_rate_hz
        if source is None or target is None or source.start is None:
            return  # nothing is heard, or nobody hears: `play` waits
        heard = source.start.media_format
        spoken = (target.play_encoding, target.play_wire_rate_hz)
        both_raw = self._source.raw and self._target.raw
        alike = (heard.encoding, heard.sample_rate) == spoken and source.byte_order == target.byte_order
        if both_raw and alike:
            return
        if self._source.raw:
            self._decoder = open_decoder(heard.encoding, heard.sample_rate, byte_order=source.byte_order)
            self._rate_hz = self._decoder.sample_rate_hz
        if self._target.raw:
            self._encoder = open_encoder(*spoken, byte_order=target.byte_order)
            self._framer = Framer(self._encoder.sample_rate_hz * PTIME_MS // 1000)
            if self._rate_hz != self._encoder.sample_rate_hz:
                self._resampler = Resampler(self._rate_hz, self._encoder.sample_rate_hz)

    def _across(self, chunk: bytes) -> list[bytes]:
        """What to play on the other side."""
        if self._decoder is None and self._encoder is None:
            return [chunk]
        pcm: Pcm
        if self._decoder is None:
            pcm = as_pcm(chunk)
        else:
            try:
                pcm = self._decoder.decode(chunk)
            except AudioError:
                pcm = self._decoder.conceal(self._chunk_ms())
        if self._encoder is None or self._framer is None:
            return [pcm.tobytes()]
        if self._resampler is not None:
            pcm = self._resampler.push(pcm)
        return [self._encoder.encode(frame) for frame in self._framer.push(pcm)]
