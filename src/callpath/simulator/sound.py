"""What Telnyx itself plays to the phone: spoken texts, files and tones, one after the other. Pure.

`Sounds` is the queue of one leg: `add` a sound, say when its audio is `ready`, and it tells what began and ended. Its
owner asks `next_at_ms` and calls `advance`. Audio is mono, 8 kHz.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from callpath.audio.pcm import Pcm, samples_in
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import tone
from callpath.audio.wav import parse_wav
from callpath.errors import AudioError
from callpath.wire.command import PlaybackStart, Speak, TargetLegs

SAMPLE_RATE_HZ = 8000

KEY_PAUSE_MS = 100
"""Between two tones of send_dtmf. The length of a tone is documented, the pause is not; phones dial like this."""

FILE_BYTES_MAX = 64 << 20
"""Largest file of a playback that is taken, one hour of 8 kHz PCM. Telnyx's own limit is unknown."""

FILE_S_MAX = 3_600
"""Longest file that is decoded; what follows is cut off. Telnyx's own limit is unknown."""

_HUM_HZ, _HUM_DBFS = 220.0, -24.0

_ROWS_HZ, _COLUMNS_HZ = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0, 1633.0)
_KEYS = ("123A", "456B", "789C", "*0#D")  # ITU-T Q.23
KEY_PAUSES_MS = {"w": 500, "W": 1_000}
"""Pauses in the digits of send_dtmf, documented."""

Status = Literal["completed", "cancelled", "call_hangup", "failed", "file_not_found"]


@dataclass(slots=True, eq=False)
class Sound:
    """One thing to play. `audio` is None until it is `ready`; `repeats` may be infinite."""

    sound_id: str
    command: Speak | PlaybackStart
    audio: Pcm | None = None
    repeats: float = 1.0
    tells: bool = True
    """Whether its start and end are webhooks: not so for the voice of gather_using_speak."""
    prompts: bool = False
    """It belongs to a gather, which waits for its end."""
    on_event: Callable[[float, str | None], list[Any]] | None = None
    """Gets when it began, and with its status when it ended, in place of the leg's own webhooks."""
    problem: tuple[Status, str] | None = None
    """Why there is nothing to play, and in which words."""
    started_at_ms: float | None = None

    @property
    def target_legs(self) -> TargetLegs:
        return self.command.target_legs or "self"

    @property
    def overlays(self) -> bool:
        return isinstance(self.command, PlaybackStart) and bool(self.command.overlay)

    @property
    def is_ready(self) -> bool:
        return self.audio is not None or self.problem is not None

    @property
    def ends_at_ms(self) -> float | None:
        """None: it has not begun, or never ends by itself."""
        if self.started_at_ms is None or self.audio is None or math.isinf(self.repeats):
            return None
        return self.started_at_ms + self.repeats * self.audio.size * 1000 / SAMPLE_RATE_HZ

    def heard_until(self, now_ms: float) -> Pcm:
        """What of it was played by then."""
        if self.audio is None or self.audio.size == 0 or self.started_at_ms is None:
            return np.zeros(0, np.int16)
        end_ms = min(now_ms, self.ends_at_ms if self.ends_at_ms is not None else now_ms)
        return np.resize(self.audio, samples_in(max(0.0, end_ms - self.started_at_ms), SAMPLE_RATE_HZ))

    def part(self, at_ms: float, duration_ms: float) -> Pcm:
        """That much of it from `at_ms` on; nothing before its start and after its end."""
        if self.audio is None or self.audio.size == 0 or self.started_at_ms is None:
            return np.zeros(0, np.int16)
        if not self.started_at_ms <= at_ms < (self.ends_at_ms or math.inf):
            return np.zeros(0, np.int16)
        first = samples_in(at_ms - self.started_at_ms, SAMPLE_RATE_HZ)
        return self.audio.take(np.arange(first, first + samples_in(duration_ms, SAMPLE_RATE_HZ)), mode="wrap")


@dataclass(frozen=True, slots=True)
class Began:
    """This sound is being played from `at_ms` on."""

    sound: Sound
    at_ms: float


@dataclass(frozen=True, slots=True)
class Ended:
    """This sound is over, or never began because of its `problem`."""

    sound: Sound
    at_ms: float
    status: Status


Happening = Began | Ended


class Sounds:
    """The queue of one leg, and beside it the overlays, which play at once."""

    def __init__(self) -> None:
        self._queue: list[Sound] = []
        self._overlays: list[Sound] = []

    @property
    def playing(self) -> list[Sound]:
        """What sounds right now."""
        return [sound for sound in (*self._queue[:1], *self._overlays) if sound.started_at_ms is not None]

    @property
    def waiting(self) -> list[Sound]:
        """All that is not over, in order."""
        return [*self._queue, *self._overlays]

    def add(self, sound: Sound, now_ms: float) -> list[Happening]:
        (self._overlays if sound.overlays else self._queue).append(sound)
        return self.advance(now_ms)

    def advance(self, now_ms: float) -> list[Happening]:
        """What began and ended up to `now_ms`, in order."""
        happenings: list[Happening] = []
        free_at_ms = now_ms
        while self._queue and self._queue[0].is_ready:
            sound = self._queue[0]
            happenings += _begin(sound, free_at_ms)
            if (over := _over(sound, now_ms)) is None:
                break
            happenings.append(over)
            free_at_ms = over.at_ms
            self._queue.pop(0)
        for sound in [one for one in self._overlays if one.is_ready]:
            happenings += _begin(sound, now_ms)
            if (over := _over(sound, now_ms)) is not None:
                happenings.append(over)
                self._overlays.remove(sound)
        return happenings

    def stop(self, now_ms: float, which: str | Sound, status: Status, *, overlay: bool = False) -> list[Happening]:
        """End the "current" sound, "all" of them, or one of the queue."""
        queue = self._overlays if overlay else self._queue
        gone = [which] if isinstance(which, Sound) else queue[:1] if which == "current" else list(queue)
        for sound in gone:
            queue.remove(sound)
        ended: list[Happening] = [Ended(one, now_ms, status) for one in gone if one.started_at_ms is not None]
        return ended + self.advance(now_ms)

    def next_at_ms(self) -> float | None:
        """When something ends by itself."""
        return min((at for sound in self.playing if (at := sound.ends_at_ms) is not None), default=None)


def _begin(sound: Sound, at_ms: float) -> list[Happening]:
    if sound.started_at_ms is not None or sound.problem is not None:
        return []
    sound.started_at_ms = at_ms
    return [Began(sound, at_ms)]


def _over(sound: Sound, now_ms: float) -> Ended | None:
    if sound.problem is not None:
        return Ended(sound, now_ms, sound.problem[0])
    ends_at_ms = sound.ends_at_ms
    return Ended(sound, ends_at_ms, "completed") if ends_at_ms is not None and ends_at_ms <= now_ms else None


def repeats(loop: int | str | None) -> float:
    """`loop` of a command: a number, as text too, or "infinity"."""
    if loop is None:
        return 1.0
    return math.inf if str(loop) == "infinity" else float(loop)


# --- audio -----------------------------------------------------------------------------------------------------------


def hum(duration_ms: float) -> Pcm:
    """Stands for a voice that this Telnyx has not got: as long as the text would take, and quiet."""
    return tone(_HUM_HZ, duration_ms=duration_ms, level_dbfs=_HUM_DBFS)


def silence(duration_ms: float) -> Pcm:
    return np.zeros(samples_in(duration_ms, SAMPLE_RATE_HZ), np.int16)


_RING_S, _RING_PAUSE_S, _RING_HZ = 2, 4, (440.0, 480.0)


def ringback(duration_ms: float) -> Pcm:
    """What a caller hears while a phone rings, as in North America: two seconds of two tones, four of quiet."""
    low, high = (tone(hz, duration_ms=1000 * _RING_S, level_dbfs=-22.0) for hz in _RING_HZ)
    once = np.concatenate([low + high, silence(1000 * _RING_PAUSE_S)])
    return np.resize(once, samples_in(duration_ms, SAMPLE_RATE_HZ))


def key_tones(digits: str, duration_ms: float) -> Pcm:
    """The two tones of each key, as send_dtmf plays them."""
    parts = []
    for digit in digits:
        if digit in KEY_PAUSES_MS:
            parts.append(silence(KEY_PAUSES_MS[digit]))
            continue
        row = next(number for number, keys in enumerate(_KEYS) if digit in keys)
        low = tone(_ROWS_HZ[row], duration_ms=duration_ms)
        high = tone(_COLUMNS_HZ[_KEYS[row].index(digit)], duration_ms=duration_ms)
        parts += [low + high, silence(KEY_PAUSE_MS)]
    return np.concatenate(parts)


def decode_file(content: bytes, name: str) -> Pcm:
    """A WAV, or with the extra `codecs` an MP3, at 8 kHz. Raises AudioError."""
    if content[:4] == b"RIFF":
        audio, rate_hz = parse_wav(content, name)
    else:
        audio, rate_hz = _decode_mp3(content, name), SAMPLE_RATE_HZ
    return resample_file_audio(audio[: FILE_S_MAX * rate_hz], rate_hz, SAMPLE_RATE_HZ)


def decode_content(text: str) -> Pcm:
    """`playback_content`: base64 of such a file. Raises AudioError."""
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise AudioError("playback_content is not base64") from None
    return decode_file(content, "playback_content")


def _decode_mp3(content: bytes, name: str) -> Pcm:
    try:
        import av
    except ImportError:
        raise AudioError(f"{name} is no WAV; to play MP3 too: pip install 'callpath[codecs]'") from None
    parts = [np.zeros(0, np.int16)]
    taken = 0
    try:
        with av.open(io.BytesIO(content), "r", format="mp3") as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    parts.append(piece.to_ndarray()[0])
                    taken += parts[-1].size
                if taken >= FILE_S_MAX * SAMPLE_RATE_HZ:
                    break
    except (av.FFmpegError, IndexError):
        raise AudioError(f"{name} is neither a WAV nor an MP3") from None
    if not taken:
        raise AudioError(f"{name} is neither a WAV nor an MP3")
    return np.concatenate(parts)
