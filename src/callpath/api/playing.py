"""Player: what a call plays. Sources are heard one after the other, in the order of their calls; a clear cuts them off.

Long audio is queued in pieces, so that the first of it goes out at once and no more than PLAY_QUEUE_MS_MAX waits on top of
the stream's own lead: what is queued is lost by a clear.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np

from callpath.api.playback import Playback
from callpath.api.queue import AudioQueue
from callpath.api.sounds import Sounds
from callpath.audio.pcm import PCM16_BYTES, Pcm, as_pcm
from callpath.audio.resample import RATE_HZ_MAX, RATE_HZ_MIN, Resampler
from callpath.call.stream import PTIME_MS, MediaStream
from callpath.clock import Clock
from callpath.errors import AudioError

PLAY_QUEUE_MS_MAX = 200
"""How much audio `play` queues on top of playout's lead before it waits."""

PLAY_PIECE_MS = 100
"""Length of the pieces in which long audio is resampled and encoded."""

PLAY_QUEUED_MS_MAX = PLAY_QUEUE_MS_MAX - PLAY_PIECE_MS
"""With more queued there is no room for another piece."""

RAW_PLAYS_PAYLOADS = "a raw call plays payloads, not PCM: give bytes in the encoding of the stream"

Source: TypeAlias = bytes | Pcm | str | Path | AsyncIterator[bytes]


class AudioSink(Protocol):
    """Where the audio of a call goes: queued on its stream, and sent as soon as it is due."""

    def play(self, audio: bytes) -> None:
        """Queue PCM16 at the stream's rate, of any length. Raises AudioError for half a sample."""
        ...

    def play_payload(self, payload: bytes) -> None:
        """Queue a payload as it is."""
        ...

    def flush(self) -> None:
        """Send what may be due: the stream was told to mark or to clear."""
        ...


class Player:
    """Plays the sources of one call on whichever stream it has at the moment."""

    def __init__(self, audio: AudioQueue, sounds: Sounds, clock: Clock, *, sample_rate_hz: int, raw: bool) -> None:
        self._audio = audio
        self._clock = clock
        self._sounds = sounds
        self.stream: MediaStream | None = None
        """The stream that it plays on; None while there is no socket."""
        self._raw = raw
        self._sink: AudioSink = NOWHERE
        self._write: Callable[[bytes], None] = NOWHERE.play
        """How the sink takes audio, or payloads on a raw call."""
        self._room: asyncio.Event | None = None
        """Set when there is room for more. Made again for each wait: it takes more memory than all the rest here."""
        self._turn: _Turn | None = None
        """Held by the source that is playing; the others wait for it, in order. Made for the first source that is no short
        chunk. Dropped with the last source or on a clear, so later sources do not queue behind cancelled ones."""
        self._ended = False
        self._playbacks: list[Playback] = []
        """Playbacks of sources that are not queued to their end."""
        self._cuts = 0
        """How often playing was cut off. A source that began before the last cut plays no further."""
        self._resampler: Resampler | None = None
        self._rate_hz = sample_rate_hz
        self._payload_bytes_max = sys.maxsize
        """A raw payload that is longer is cut into frames."""

    def attach(self, stream: MediaStream, sink: AudioSink) -> None:
        """Go on over `stream`."""
        self.stream = stream
        self._sink = sink
        self._write = sink.play_payload if self._raw else sink.play
        if self._raw:
            frame_bytes = stream.frame_payload_bytes
            self._payload_bytes_max = frame_bytes * PLAY_PIECE_MS // PTIME_MS if frame_bytes else sys.maxsize
        else:
            self._resampler = resampler(self._rate_hz, stream.play_rate_hz)
        self.make_room()

    def detach(self) -> None:
        """The socket is gone, and with it what it held."""
        if self.stream is not None:
            self.stream.playout.end_run(self._clock.now_ms())
        self.stream, self._sink, self._write = None, NOWHERE, NOWHERE.play

    def flush(self) -> None:
        """Send what may be due."""
        self._sink.flush()

    def cut(self) -> None:
        """Forget every source that is playing or waiting."""
        self._cuts += 1
        turn, self._turn = self._turn, None
        playbacks, self._playbacks = self._playbacks, []
        for playback in playbacks:
            playback.stop()
        if turn is not None:
            turn.cut()
        if self._resampler is not None:
            self._resampler.reset()
        self.make_room()

    def end(self) -> None:
        """The call is over: nothing is played any more."""
        self._ended = True
        if self.stream is not None:
            self.stream.playout.end_run(self._clock.now_ms())
        self.cut()

    async def play(self, source: Source, rate_hz: int, playback: Playback | None = None) -> Playback:
        """Queue all of `source`, or what is left of it before a cut or the end of the call. Raises AudioError."""
        if playback is None:
            playback = Playback(self._clock)
        elif playback.cut:
            return playback
        if (
            type(source) is bytes
            and self._turn is None
            and not self._ended
            and self._play_piece(source, rate_hz, playback)
        ):
            playback.queued = True  # the usual case, kept short: a chunk, as it came or as an engine makes it
        elif await self._play_in_turn(source, rate_hz, playback):
            playback.queued = True
        else:
            playback.stop()
        return playback

    def begin(self) -> Playback:
        """The Playback of a source that is about to be played: a cut before that stops it, too."""
        playback = Playback(self._clock)
        if self._ended:
            playback.stop()
        else:
            self._playbacks.append(playback)
        return playback

    async def connected(self) -> MediaStream | None:
        """The stream, as soon as there is one; None: the call is over."""
        while self.stream is None and not self._ended:
            await self._wait_for_room()
        return None if self._ended else self.stream

    def make_room(self) -> None:
        """Wake whoever waits for room, or for a stream."""
        if self._room is not None:
            self._room.set()
            self._room = None

    # -----------------------------------------------------------------------------------------------------------------

    async def _play_in_turn(self, source: Source, rate_hz: int, playback: Playback) -> bool:
        if self._ended:
            return False
        cuts = self._cuts
        turn = self._turn
        if turn is None:
            turn = self._turn = _Turn()
        turn.sources += 1
        paused = self._audio.pause()
        if playback not in self._playbacks:
            self._playbacks.append(playback)
        try:
            async with turn.lock:
                return self._cuts == cuts and await self._play_source(source, rate_hz, cuts, turn, playback)
        finally:
            if paused:
                self._audio.resume()
            turn.sources -= 1
            if playback in self._playbacks:
                self._playbacks.remove(playback)
            if not turn.sources and self._turn is turn:
                self._turn = None

    async def _play_source(self, source: Source, rate_hz: int, cuts: int, turn: _Turn, playback: Playback) -> bool:
        match source:
            case str() | Path():
                return await self._play_file(source, cuts, turn, playback)
            case bytes() | bytearray() | memoryview():
                return await self._play_bytes(bytes(source), rate_hz, cuts, playback)
            case np.ndarray():
                if source.dtype != np.int16 or source.ndim != 1:
                    shape = f"{source.ndim} dimensions of {source.dtype}"
                    raise AudioError(f"an array to play is mono PCM: one dimension of int16, not {shape}")
                return await self._play_pcm(source, rate_hz, cuts, playback)
            case _:
                return await self._play_iterator(source, rate_hz, cuts, turn, playback)

    async def _play_iterator(
        self, source: AsyncIterator[bytes], rate_hz: int, cuts: int, turn: _Turn, playback: Playback
    ) -> bool:
        """Read in one task for all pieces, so that a clear can end the wait for a piece that never comes."""
        return await self._play_in_task(self._play_pieces_of(source, rate_hz, cuts, playback), cuts, turn)

    async def _play_file(self, source: str | Path, cuts: int, turn: _Turn, playback: Playback) -> bool:
        """A clear ends the wait for a file, too."""
        if self._raw:
            raise AudioError(RAW_PLAYS_PAYLOADS)
        rate_hz = self._rate_hz if self.stream is None else self.stream.play_rate_hz

        async def play() -> bool:
            sound = await self._sounds.load(source, rate_hz)
            return await self._play_pcm(sound.pcm, sound.rate_hz, cuts, playback)

        return await self._play_in_task(play(), cuts, turn)

    async def _play_in_task(self, playing: Coroutine[None, None, bool], cuts: int, turn: _Turn) -> bool:
        player = asyncio.current_task()
        assert player is not None
        cancelled = player.cancelling()
        turn.reader = asyncio.create_task(playing, name="read source")  # noqa: TID251 (a group would wrap what it raises)
        try:
            return await turn.reader
        except asyncio.CancelledError:
            if self._cuts == cuts or player.cancelling() > cancelled:
                raise
            return False  # the clear cancelled the reader, and nobody this task
        finally:
            turn.reader = None

    async def _play_pieces_of(self, source: AsyncIterator[bytes], rate_hz: int, cuts: int, playback: Playback) -> bool:
        rest = b""
        try:
            async for piece in source:
                audio = rest + bytes(piece)
                whole = len(audio) if self._raw else len(audio) - len(audio) % PCM16_BYTES
                rest = audio[whole:]
                if not await self._play_bytes(audio[:whole], rate_hz, cuts, playback):
                    return False
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
        if rest:
            raise AudioError("an async iterator of PCM16 bytes ended with half a sample: is it another encoding?")
        return self._cuts == cuts

    async def _play_bytes(self, audio: bytes, rate_hz: int, cuts: int, playback: Playback) -> bool:
        if not self._raw:
            return await self._play_pcm(as_pcm(audio), rate_hz, cuts, playback)
        return await self._play_pieces(self._payloads(audio), rate_hz, cuts, playback)

    async def _play_pcm(self, pcm: Pcm, rate_hz: int, cuts: int, playback: Playback) -> bool:
        if self._raw:
            raise AudioError(RAW_PLAYS_PAYLOADS)
        if not RATE_HZ_MIN <= rate_hz <= RATE_HZ_MAX:
            raise AudioError(f"audio to play can be at {RATE_HZ_MIN} to {RATE_HZ_MAX} Hz, not at {rate_hz} Hz")
        piece_samples = rate_hz * PLAY_PIECE_MS // 1000
        pieces = (pcm[start : start + piece_samples].tobytes() for start in range(0, len(pcm), piece_samples))
        return await self._play_pieces(pieces, rate_hz, cuts, playback)

    def _payloads(self, audio: bytes) -> list[bytes]:
        """A payload as it is; one that is too long as frames, the last of them with what is left over."""
        if not audio:
            return []
        if len(audio) <= self._payload_bytes_max:
            return [audio]
        size = self._payload_bytes_max * PTIME_MS // PLAY_PIECE_MS
        last = (len(audio) // size - 1) * size
        return [*(audio[start : start + size] for start in range(0, last, size)), audio[last:]]

    async def _play_pieces(self, pieces: Iterable[bytes], rate_hz: int, cuts: int, playback: Playback) -> bool:
        for piece in pieces:
            while True:
                if self._cuts != cuts:
                    return False
                if self._play_piece(piece, rate_hz, playback):
                    break
                await self._wait_for_room()
        return True

    def _play_piece(self, audio: bytes, rate_hz: int, playback: Playback) -> bool:
        """Queue at most PLAY_PIECE_MS, as a payload or PCM16; False if it is longer, or there is no room, or no stream, at
        the moment."""
        stream = self.stream
        if stream is None or stream.playout.queued_ms > PLAY_QUEUED_MS_MAX:
            return False
        if self._raw:
            if not 0 < len(audio) <= self._payload_bytes_max:
                return False
            self._write(audio)
            playback.extend(stream, stream.payload_ms(audio))
            return True
        if not audio:
            return True  # a resampler takes no empty piece
        duration_ms = 500 * len(audio) / rate_hz
        if not 0 <= duration_ms <= PLAY_PIECE_MS:
            return False
        if rate_hz != self._rate_hz:
            self._resampler = resampler(rate_hz, stream.play_rate_hz)
            self._rate_hz = rate_hz
        if self._resampler is not None:
            audio = self._resampler.push(as_pcm(audio)).tobytes()
            duration_ms = 500 * len(audio) / stream.play_rate_hz
        self._write(audio)
        playback.extend(stream, duration_ms)
        return True

    async def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = asyncio.Event()
        await self._room.wait()


class _Turn:
    """A lock that knows how many have it or wait for it. `locked()` does not tell: while it goes from one to the next it is
    open, and a chunk would slip in between."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.sources = 0
        self.reader: asyncio.Task[bool] | None = None
        """Reads the iterator or file whose turn it is."""

    def cut(self) -> None:
        """End the wait for what the iterator would give; unless the iterator itself cuts."""
        if self.reader is not None and self.reader is not asyncio.current_task():
            self.reader.cancel()


class _Nowhere:
    """The sink of a call without a stream. Nothing is played then."""

    def play(self, audio: bytes) -> None:
        """Never called."""

    def play_payload(self, payload: bytes) -> None:
        """Never called."""

    def flush(self) -> None:
        """Do nothing: there is no socket."""


NOWHERE = _Nowhere()


def resampler(from_hz: int, to_hz: int) -> Resampler | None:
    """What brings audio from one rate to the other; None where they are equal."""
    return None if from_hz == to_hz else Resampler(from_hz, to_hz)
