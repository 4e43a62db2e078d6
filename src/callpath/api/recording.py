"""A call's recording on disk: stereo, the caller left, we right, readable at every moment of the call.

Written twice a second, so that a killed process loses no more than one: what is not written yet, and the last moments
that are still open to change (`call.recorder.SETTLED_MS`). It goes on over a socket that was lost and came
back: the pause is in it, as silence.
"""

from __future__ import annotations

from pathlib import Path

from callpath.audio.codec import ByteOrder, Decoder, open_decoder
from callpath.audio.pcm import Pcm
from callpath.audio.wav import WavWriter
from callpath.call.playout import LEAD_MS_MAX
from callpath.call.recorder import Recorder
from callpath.call.stream import MediaStream

WRITE_EVERY_MS = 500.0


class Recording:
    """One file. `now_ms` is the clock's, as everywhere."""

    def __init__(self, path: Path, sample_rate_hz: int, now_ms: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._recorder = Recorder(sample_rate_hz, now_ms)
        self._writer = WavWriter(path, sample_rate_hz, channels=2)
        self._stream: MediaStream
        self._playing: Decoder
        self._byte_order: ByteOrder
        self._written_ms = now_ms

    def attach(self, stream: MediaStream) -> None:
        """Take down what `stream` sends, decoded again: what the caller hears and not what the handler meant."""
        self._stream = stream
        self._open_decoder()
        stream.playout.on_sent = self._sent

    def _open_decoder(self) -> None:
        stream = self._stream
        self._byte_order = stream.byte_order
        self._playing = open_decoder(stream.play_encoding, stream.play_wire_rate_hz, byte_order=stream.byte_order)

    def hear(self, pcm: Pcm, rate_hz: int, now_ms: float) -> None:
        """What the caller said."""
        self._recorder.hear(pcm, rate_hz, now_ms)
        if now_ms >= self._written_ms + WRITE_EVERY_MS:
            self.write(now_ms)

    def cut(self, now_ms: float) -> None:
        """Playout was cleared."""
        self._recorder.cut(now_ms)

    def write(self, now_ms: float) -> None:
        """Put what is settled on disk. Called as audio is heard or sent, and by time where there is none."""
        self._written_ms = now_ms
        self._writer.append(*self._recorder.take(now_ms))
        self._writer.flush()

    def close(self, now_ms: float) -> float:
        """The end; returns the length in ms."""
        self._writer.append(*self._recorder.finish(now_ms))
        self._writer.close()
        return 1000.0 * self._recorder.written / self._recorder.sample_rate_hz

    def _sent(self, payload: bytes, at_ms: float) -> None:
        if self._byte_order != self._stream.byte_order and self._stream.play_encoding == "L16":
            self._open_decoder()  # the stream found that it was the other one
        self._recorder.say(self._playing.decode(payload), self._playing.sample_rate_hz, at_ms)
        # Where nothing is heard, ours must not wait for the look of each second. What is sent now is heard LEAD_MS_MAX
        # later at most: the time that is certainly over is as much earlier, and half of it is allowed for.
        if at_ms >= self._written_ms + WRITE_EVERY_MS + LEAD_MS_MAX / 2:
            self.write(at_ms - LEAD_MS_MAX)
