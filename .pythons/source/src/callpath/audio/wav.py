"""WAV files in and out. Read here and not with the stdlib's `wave`, which refuses float and cut-off files."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
import numpy.typing as npt

from callpath.audio.g711 import G711Decoder
from callpath.audio.pcm import FULL_SCALE, PCM16_BYTES, Pcm, samples_in, saturate
from callpath.audio.resample import Resampler
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

PIECE_SAMPLES_MAX = 65_536
"""Samples of each channel that are decoded at once, if the header gives a rate that no file has."""

FORM_BYTES_MAX = 64
"""Bytes read of a format chunk. The longest that is documented, an extensible one, has 40."""

DECODED_BYTES_MAX = 256 * 1024 * 1024
"""Maximum size of one decoded file in memory: over two hours at 16 kHz."""

KINDS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"ID3", "an MP3 file"),
    (0, b"\xff\xfb", "an MP3 file"),
    (0, b"\xff\xf3", "an MP3 file"),
    (0, b"\xff\xf2", "an MP3 file"),
    (0, b"\xff\xfa", "an MP3 file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"fLaC", "a FLAC file"),
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"RF64", "an RF64 file (a WAV of more than 4 GB)"),
    (0, b"riff", "a Wave64 file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"caff", "a Core Audio file"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)
"""Files that are often given the name of a WAV, by the bytes at an offset."""

LFS_POINTER = b"version https://git-lfs"
"""What stands in a checkout in the place of a file, if Git LFS is not installed."""


def read_wav(path: Path | str, to_hz: int | None = None) -> tuple[Pcm, int]:
    """The audio of a file, its channels mixed to one, and its sample rate: the file's, or `to_hz`.

    Takes integers of 8 to 32 bits, floats, and G.711; and what a killed `WavWriter` left behind. Reads, decodes and
    resamples about a second of audio at a time, so a thread that calls this holds up no other for long. Raises
    AudioError for any other file, for one that cannot be read, and for one too long for memory.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            return _read(file, name, to_hz)
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror or error}") from error


def parse_wav(content: bytes, name: str) -> tuple[Pcm, int]:
    """The same for a file's bytes, as they came over a network; `name` stands in errors. Raises AudioError."""
    return _read(io.BytesIO(content), name)


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

    After each second of audio the header is made to count the samples that were handed to the operating system. A
    killed process therefore loses at most the last second, and the file never promises samples it has not got. That
    also holds where writing fails: the header counts what is there.

    Raises OSError wherever it writes, BlockingIOError if somebody else writes this file. `file` is written in the place
    of `path`, and closed.
    """

    def __init__(
        self, path: Path | str, sample_rate_hz: int, *, channels: int = 1, file: IO[bytes] | None = None
    ) -> None:
        self._path = Path(path)
        self._rate_hz = sample_rate_hz
        self._block = PCM16_BYTES * channels
        self._channels = channels
        self._bytes = 0
        self._bytes_in_header = 0
        self._file = file if file is not None else _open_alone(self._path)
        try:
            self._refresh_header()
        except OSError:
            with contextlib.suppress(OSError):
                self._file.close()
                self._path.unlink()  # it holds nothing
            raise

    @property
    def duration_ms(self) -> float:
        """How much audio the header counts."""
        return 1000.0 * (self._bytes_in_header // self._block) / self._rate_hz

    def append(self, *sides: Pcm) -> None:
        """One array for each channel, all of one length."""
        assert len(sides) == self._channels, "one array for each channel"
        assert len({side.size for side in sides}) == 1, "channels of one length"
        frame = sides[0] if len(sides) == 1 else np.stack(sides, axis=1)
        for written in self._write(frame.astype("<i2", copy=False).tobytes()):
            self._bytes += written
        if self._bytes - self._bytes_in_header >= self._block * self._rate_hz:
            self._refresh_header()

    def flush(self) -> None:
        """Make the header count all there is, without waiting for a whole second of audio. Raises FileNotFoundError if the
        file was deleted: what is written would be lost without an error."""
        if self._bytes > self._bytes_in_header:
            self._refresh_header()
        if self._is_deleted():
            raise FileNotFoundError(errno.ENOENT, "the file was deleted while it was written")

    def close(self) -> None:
        """Finish the header. May be called twice."""
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refresh_header(self) -> None:
        data = min(self._bytes - self._bytes % self._block, SIZE_MAX - HEADER_BYTES)
        rates = (self._rate_hz, self._rate_hz * self._block)
        header = struct.pack("<4sI4s", b"RIFF", data + HEADER_BYTES - 8, b"WAVE")
        header += struct.pack("<4sIHHIIHH", b"fmt ", 16, _Format.PCM, self._channels, *rates, self._block, 16)
        header += struct.pack("<4sI", b"data", data)
        self._file.seek(0)
        for _ in self._write(header):
            pass
        self._file.seek(HEADER_BYTES + self._bytes)
        self._bytes_in_header = self._bytes

    def _write(self, content: bytes) -> Iterator[int]:
        """Write all of it; after each step, the number of bytes that were taken: a file without a buffer, on a disk that is
        nearly full, takes less than it was given."""
        rest = memoryview(content)
        while rest:
            written = self._file.write(rest)
            if not written:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            yield written
            rest = rest[written:]

    def _is_deleted(self) -> bool:
        try:
            return os.fstat(self._file.fileno()).st_nlink == 0
        except (AttributeError, io.UnsupportedOperation):  # not a file of the operating system
            return False


def _open_alone(path: Path) -> IO[bytes]:
    """An empty file, without a buffer: what a failed write left in one would be written, and fail, again at the close."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    file = os.fdopen(descriptor, "r+b", buffering=0)
    try:
        if flock is not None:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(errno.EAGAIN, "another recording is being written to this file") from None
            except OSError:  # a file system without locks: see unless_being_written
                pass
        if os.fstat(descriptor).st_size:
            file.truncate(0)
    except OSError:
        file.close()
        raise
    return file


@dataclass(frozen=True, slots=True)
class _Form:
    """What a format chunk says."""

    tag: int
    channels: int
    rate_hz: int
    block: int
    bits: int

    @staticmethod
    def parse(name: str, form: bytes) -> _Form:
        tag, channels, rate_hz, _, block, bits = struct.unpack_from("<HHIIHH", form)
        if tag == _Format.EXTENSIBLE and len(form) >= 26:
            (tag,) = struct.unpack_from("<H", form, 24)
        width = bits // 8
        if channels == 0 or rate_hz == 0 or width == 0 or block != channels * width:
            raise _unusable(name, "has a header that contradicts itself")
        return _Form(tag, channels, rate_hz, block, bits)


def _read(file: IO[bytes], name: str, to_hz: int | None = None) -> tuple[Pcm, int]:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        raise _other_file(name, head + file.read(12))
    form: bytes | None = None
    while len(chunk := file.read(8)) == 8:
        kind, size = struct.unpack("<4sI", chunk)
        begun = file.tell()
        if kind == b"fmt ":
            form = file.read(min(size, FORM_BYTES_MAX))
        elif kind == b"data":
            if form is None or len(form) < 16:
                raise _unusable(name, "has no usable format header")
            return _read_audio(file, size, _Form.parse(name, form), name, to_hz)
        file.seek(begun + size + size % 2)
    raise _unusable(name, "holds no audio")


def _read_audio(file: IO[bytes], size: int, form: _Form, name: str, to_hz: int | None) -> tuple[Pcm, int]:
    """About a second at a time. A size beyond the end takes what is there."""
    rate_hz = to_hz or form.rate_hz
    resampler = Resampler(form.rate_hz, rate_hz) if rate_hz != form.rate_hz else None
    pieces: list[Pcm] = []
    taken = made = 0
    while size >= form.block:
        body = file.read(min(size, form.block * form.rate_hz, form.block * PIECE_SAMPLES_MAX))
        body = body[: len(body) - len(body) % form.block]
        if not body:
            break
        size -= len(body)
        pcm = _decode(name, form, body)
        taken += pcm.size
        pieces.append(pcm if resampler is None else resampler.push(pcm))
        made += pieces[-1].nbytes
        if made > DECODED_BYTES_MAX:
            minutes = DECODED_BYTES_MAX // (PCM16_BYTES * rate_hz * 60)
            raise AudioError(f"{name} is longer than {minutes} minutes: play it in parts, from an async iterator")
    if not taken:
        _decode(name, form, b"")  # a format that cannot be read, too, is said of an empty file
        return np.zeros(0, np.int16), rate_hz
    if resampler is None:
        return np.concatenate(pieces), rate_hz
    late = samples_in(resampler.delay_ms, rate_hz)  # as `resample_file_audio` does it
    pieces.append(resampler.push(np.zeros(samples_in(resampler.delay_ms, form.rate_hz) + 1, np.int16)))
    return np.concatenate(pieces)[late : late + -(-taken * rate_hz // form.rate_hz)], rate_hz


def _decode(name: str, form: _Form, body: bytes) -> Pcm:
    width = form.bits // 8
    samples: npt.NDArray[np.floating]
    match form.tag, form.bits:
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
            raise _unusable(name, f"holds format {form.tag} with {form.bits} bits")
    return saturate(samples.reshape(-1, form.channels).mean(axis=1))


def _unusable(name: str, problem: str) -> AudioError:
    return AudioError(f"{name} {problem}. Convert it first, for example: ffmpeg -i {name} -c:a pcm_s16le converted.wav")


def _other_file(name: str, head: bytes) -> AudioError:
    if not head:
        return AudioError(f"{name} is not a WAV file: it is empty")
    if head.startswith(LFS_POINTER):
        return AudioError(f"{name} is not a WAV file: it is a pointer of Git LFS. Fetch the file itself: git lfs pull")
    kind = next((kind for at, magic, kind in KINDS if head[at : at + len(magic)] == magic), None)
    return _unusable(name, "is not a WAV file" + (f": it is {kind}" if kind else ""))
