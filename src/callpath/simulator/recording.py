"""Recordings of a leg: when they run, and the file that comes of what was said and heard. Pure."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass, field

import numpy as np

from callpath.audio.level import is_silence
from callpath.audio.pcm import Pcm, samples_in
from callpath.errors import AudioError
from callpath.simulator.sound import SAMPLE_RATE_HZ
from callpath.wire.command import RecordPause, RecordResume, RecordStart, RecordStop
from callpath.wire.conference import ConferenceRecordPause, ConferenceRecordResume, ConferenceRecordStop

TRIM_MS = 20
"""Silence at the ends is taken away in steps of this."""


@dataclass(slots=True, eq=False)
class Recording:
    """One recording. Times are the clock's milliseconds."""

    recording_id: str
    command: RecordStart
    started_at_ms: float
    ended_at_ms: float | None = None
    pauses: list[tuple[float, float | None]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """What was said while it ran, for its transcription."""

    @property
    def is_paused(self) -> bool:
        return bool(self.pauses) and self.pauses[-1][1] is None

    def pause(self, now_ms: float) -> None:
        if not self.pauses or self.pauses[-1][1] is not None:
            self.pauses.append((now_ms, None))

    def resume(self, now_ms: float) -> None:
        if self.pauses and self.pauses[-1][1] is None:
            self.pauses[-1] = (self.pauses[-1][0], now_ms)

    def end(self, now_ms: float) -> None:
        self.resume(now_ms)
        self.ended_at_ms = now_ms

    def spans(self) -> list[tuple[float, float]]:
        """What is kept: from the start to the end, without the pauses."""
        assert self.ended_at_ms is not None, "a recording is cut when it has ended"
        edges = [self.started_at_ms, *(at for pause in self.pauses for at in pause if at is not None), self.ended_at_ms]
        return list(zip(edges[::2], edges[1::2], strict=True))

    def file(self, said: Pcm, heard: Pcm) -> bytes:
        """The file of what the party `said` and `heard`, both 8 kHz from `started_at_ms` on.

        Raises AudioError for an MP3 where PyAV is not installed.
        """
        sides = [self._cut(said), self._cut(heard)]
        match self.command.recording_track, self.command.channels:
            case "inbound", _:
                sides = sides[:1]
            case "outbound", _:
                sides = sides[1:]
            case _, "single":
                # Two voices seldom speak at once: their sum is held at the rail, not halved.
                mixed = sides[0].astype(np.int32) + sides[1]
                sides = [np.clip(mixed, -32768, 32767).astype(np.int16)]
        if self.command.trim is not None:
            sides = _trimmed(sides)
        return _wav(sides) if self.command.format == "wav" else _mp3(sides)

    def _cut(self, audio: Pcm) -> Pcm:
        zero = self.started_at_ms
        return np.concatenate([_span(audio, begin - zero, end - zero) for begin, end in self.spans()])


def steer(recordings: list[Recording], command: RecordStop | ConferenceRecordStop, now_ms: float) -> list[Recording]:
    """Pause or resume the recording that the command names, or all. Returns those that it stops. What Telnyx says where
    there is none is unknown; here nothing happens."""
    meant = [one for one in recordings if command.recording_id in (None, one.recording_id)]
    match command:
        case RecordPause() | ConferenceRecordPause():
            for recording in meant:
                recording.pause(now_ms)
        case RecordResume() | ConferenceRecordResume():
            for recording in meant:
                recording.resume(now_ms)
        case _:
            return meant
    return []


class Shelf:
    """Finished recordings by name, at most `bytes_max` of them, each for `kept_ms`; the oldest go first."""

    def __init__(self, bytes_max: int, kept_ms: float) -> None:
        self._bytes_max = bytes_max
        self._kept_ms = kept_ms
        self._files: dict[str, tuple[float, bytes]] = {}

    def add(self, name: str, content: bytes, now_ms: float) -> None:
        self._files[name] = (now_ms, content)
        while sum(len(kept) for _, kept in self._files.values()) > self._bytes_max:
            self._files.pop(next(iter(self._files)))

    def get(self, name: str, now_ms: float) -> bytes | None:
        self._files = {one: file for one, file in self._files.items() if now_ms - file[0] < self._kept_ms}
        return self._files[name][1] if name in self._files else None


def _span(audio: Pcm, begin_ms: float, end_ms: float) -> Pcm:
    """That part of `audio`, silence where it has ended."""
    begin, end = samples_in(begin_ms, SAMPLE_RATE_HZ), samples_in(end_ms, SAMPLE_RATE_HZ)
    inside = audio[begin:end]
    return np.pad(inside, (0, end - begin - inside.size))


def _trimmed(sides: list[Pcm]) -> list[Pcm]:
    step = samples_in(TRIM_MS, SAMPLE_RATE_HZ)
    loud = [at for at in range(0, sides[0].size, step) if not all(is_silence(side[at : at + step]) for side in sides)]
    return [side[loud[0] : loud[-1] + step] for side in sides] if loud else [side[:0] for side in sides]


def _wav(sides: list[Pcm]) -> bytes:
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(len(sides))
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(np.stack(sides, axis=1).astype("<i2").tobytes())
    return content.getvalue()


def _mp3(sides: list[Pcm]) -> bytes:
    try:
        import av
    except ImportError:
        raise AudioError("an MP3 recording needs PyAV: pip install 'callpath[codecs]', or record as wav") from None
    content = io.BytesIO()
    if not sides[0].size:
        sides = [np.zeros(1, np.int16) for _ in sides]  # FFmpeg makes no file of nothing
    layout = "mono" if len(sides) == 1 else "stereo"
    with av.open(content, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE_HZ, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.stack(sides, axis=1).reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = SAMPLE_RATE_HZ
        resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=SAMPLE_RATE_HZ)
        fifo = av.AudioFifo()
        for piece in resampler.resample(frame):
            fifo.write(piece)
        while (block := fifo.read(stream.frame_size or 576, partial=True)) is not None:
            container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    return content.getvalue()
