"""WAV files in and out. Read here and not with the stdlib's `wave`, which refuses float and cut-off files."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from callpath.audio.g711 import G711Decoder
from callpath.audio.pcm import FULL_SCALE, Pcm, saturate
from callpath.errors import AudioError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]


class _Format(IntEnum):
    """Tags of Microsoft's mmreg.h. An extensible header carries the real one at the head of its sub-format GUID."""

    PCM = 0x0001
    FLOAT = 0x0003
    ALAW = 0x0006
    ULAW = 0x0007
    EXTENSIBLE = 0xFFFE


HEADER_BYTES = 44
SIZE_MAX = 0xFFFF_FFFF
"""A WAV counts its bytes in 32 bits: 37 hours at 16 kHz. Past that the header stays at its largest."""


def read_wav(path: Path | str) -> tuple[Pcm, int]:
    """The audio of a file, its channels mixed to one, and its sample rate.

    Takes integers of 8 to 32 bits, floats, and G.711; and what a killed `WavWriter` left behind. Raises AudioError
    for any other file.
    """
    name = Path(path).name
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}") from error
    return parse_wav(content, name)


def parse_wav(content: bytes, name: str) -> tuple[Pcm, int]:
    """The same for a file's bytes, as they came over a network; `name` stands in errors. Raises AudioError."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise _unusable(name, "is not a WAV file")
    form: bytes | None = None
    at = 12
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<4sI", content, at)
        body = content[at + 8 : at + 8 + size]  # a size beyond the end: take what is there
        if kind == b"fmt ":
            form = body
        elif kind == b"data":
            if form is None or len(form) < 16:
                raise _unusable(name, "has no usable format header")
            return _decode(name, form, body)
        at += 8 + size + size % 2
    raise _unusable(name, "holds no audio")


def read_wav_sides(path: Path | str) -> tuple[list[Pcm], int]:
    """The channels of a 16-bit file apart, and its rate: what `WavWriter` writes, finished or not.

    Raises AudioError for any other file.
    """
    name = Path(path).name
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}") from error
    if content[:4] != b"RIFF" or len(content) < HEADER_BYTES or content[36:40] != b"data":
        raise _unusable(name, "is not a WAV file of ours")
    channels, rate_hz = struct.unpack_from("<HI", content, 22)
    if not channels or not rate_hz or struct.unpack_from("<H", content, 34)[0] != 16:
        raise _unusable(name, "is not a WAV file of ours")
    (size,) = struct.unpack_from("<I", content, 40)
    body = content[HEADER_BYTES : HEADER_BYTES + size]
    samples = np.frombuffer(body[: len(body) // (2 * channels) * 2 * channels], "<i2").reshape(-1, channels)
    return [np.ascontiguousarray(side) for side in samples.T], int(rate_hz)


def wav_duration_ms(path: Path | str) -> float:
    """How long a file of `WavWriter`'s is, by its header alone. Raises AudioError, OSError."""
    with Path(path).open("rb") as file:
        head = file.read(HEADER_BYTES)
    if head[:4] != b"RIFF" or len(head) < HEADER_BYTES or head[36:40] != b"data":
        raise _unusable(Path(path).name, "is not a WAV file of ours")
    (bytes_per_s,) = struct.unpack_from("<I", head, 28)
    (size,) = struct.unpack_from("<I", head, 40)
    return float(1000 * size / max(1, bytes_per_s))


@contextlib.contextmanager
def unless_being_written(path: Path) -> Iterator[bool | None]:
    """Hold a recording so that nobody else does: False while a process writes it, or holds it like this. A killed process
    holds nothing. None where this system has no such locks. Raises OSError."""
    with path.open("rb") as file:
        if flock is None:
            yield None
            return
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:  # a file system without locks
            yield None
        else:
            yield True


def write_wav(path: Path | str, audio: Pcm | tuple[Pcm, Pcm], sample_rate_hz: int) -> None:
    """A 16-bit file: mono, or stereo from (left, right), the shorter side filled up with silence."""
    sides = audio if isinstance(audio, tuple) else (audio,)
    longest = max(side.size for side in sides)
    padded = [np.pad(side, (0, longest - side.size)) for side in sides]
    with WavWriter(path, sample_rate_hz, channels=len(sides)) as writer:
        writer.append(*padded)


class WavWriter:
    """A 16-bit recording that grows while the call lasts, and is readable at every moment.

    After each second of audio the samples are handed to the operating system, and then the header is made to count
    them. A killed process therefore loses at most the last second, and the file never promises samples it has not got.
    """

    def __init__(self, path: Path | str, sample_rate_hz: int, *, channels: int = 1) -> None:
        self._rate_hz = sample_rate_hz
        self._channels = channels
        self._bytes = 0
        self._bytes_in_header = 0
        self._file = Path(path).open("wb")  # noqa: SIM115  closed by close()
        if flock is not None:
            with contextlib.suppress(OSError):  # see unless_being_written
                flock(self._file, LOCK_EX | LOCK_NB)
        self._refresh_header()

    def append(self, *sides: Pcm) -> None:
        """One array for each channel, all of one length."""
        assert len(sides) == self._channels, "one array for each channel"
        assert len({side.size for side in sides}) == 1, "channels of one length"
        frame = sides[0] if len(sides) == 1 else np.stack(sides, axis=1)
        audio = frame.astype("<i2", copy=False).tobytes()
        self._file.write(audio)
        self._bytes += len(audio)
        if self._bytes - self._bytes_in_header >= 2 * self._channels * self._rate_hz:
            self._refresh_header()

    def flush(self) -> None:
        """Make the header count all there is, without waiting for a whole second of audio."""
        if self._bytes > self._bytes_in_header:
            self._refresh_header()

    def close(self) -> None:
        """Finish the header. May be called twice."""
        if not self._file.closed:
            self._refresh_header()
            self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refresh_header(self) -> None:
        self._file.flush()  # the samples first: a header must not count what is not there
        block = 2 * self._channels
        data = min(self._bytes, SIZE_MAX - HEADER_BYTES)
        self._file.seek(0)
        self._file.write(struct.pack("<4sI4s", b"RIFF", data + HEADER_BYTES - 8, b"WAVE"))
        rates = (self._rate_hz, self._rate_hz * block)
        self._file.write(struct.pack("<4sIHHIIHH", b"fmt ", 16, _Format.PCM, self._channels, *rates, block, 16))
        self._file.write(struct.pack("<4sI", b"data", data))
        self._file.flush()
        self._file.seek(0, 2)
        self._bytes_in_header = self._bytes


def _decode(name: str, form: bytes, body: bytes) -> tuple[Pcm, int]:
    tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if tag == _Format.EXTENSIBLE and len(form) >= 26:
        (tag,) = struct.unpack_from("<H", form, 24)
    width = bits // 8
    if channels == 0 or rate_hz == 0 or width == 0 or block != channels * width:
        raise _unusable(name, "has a header that contradicts itself")
    body = body[: len(body) - len(body) % block]
    samples: npt.NDArray[np.floating]
    match tag, bits:
        case (_Format.PCM, 16):
            samples = np.frombuffer(body, "<i2").astype(np.float64)
        case (_Format.PCM, 8):  # the one unsigned width
            samples = (np.frombuffer(body, np.uint8).astype(np.float64) - 128) * 256
        case (_Format.PCM, 24):
            top = np.zeros((len(body) // 3, 4), np.uint8)
            top[:, 1:] = np.frombuffer(body, np.uint8).reshape(-1, 3)
            samples = top.reshape(-1).view("<i4") / 65536.0
        case (_Format.PCM, 32):
            samples = np.frombuffer(body, "<i4") / 65536.0
        case (_Format.FLOAT, 32 | 64):
            with np.errstate(invalid="ignore"):  # a NaN that signals, from a file that is damaged
                floats = np.nan_to_num(np.frombuffer(body, f"<f{width}").astype(np.float64))
            samples = floats.clip(-1.0, 1.0) * FULL_SCALE
        case (_Format.ALAW, 8):
            samples = G711Decoder("PCMA").decode(body).astype(np.float64)
        case (_Format.ULAW, 8):
            samples = G711Decoder("PCMU").decode(body).astype(np.float64)
        case _:
            raise _unusable(name, f"holds format {tag} with {bits} bits")
    return saturate(samples.reshape(-1, channels).mean(axis=1)), rate_hz


def _unusable(name: str, problem: str) -> AudioError:
    return AudioError(f"{name} {problem}. Convert it first, for example: ffmpeg -i {name} -c:a pcm_s16le converted.wav")
