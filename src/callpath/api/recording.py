"""A call's recording on disk: stereo, the caller left, we right, readable at every moment of the call.

The event loop only takes down what was received and sent. One thread for all calls (`RecordingWriter`) decodes, mixes and
writes it: a disk that is slow, full or gone costs the recording and never the call.

Written twice a second, so that a killed process loses no more than one: what is not written yet, and the last moments
that are still open to change (`call.recorder.WRITE_DELAY_MS`). It goes on over a socket that was lost and came
back: the pause is in it, as silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import structlog

from callpath.api.file_threads import FileThreads
from callpath.audio.codec import ByteOrder, Decoder, open_decoder
from callpath.audio.pcm import Pcm
from callpath.audio.wav import WavWriter
from callpath.call.playout import LEAD_MS_MAX
from callpath.call.recorder import Recorder, Track
from callpath.call.stream import MediaStream
from callpath.errors import AudioError, ConfigError
from callpath.timeline import RecordingNotStored, RecordingSaved

WRITE_EVERY_MS = 500.0
"""How often a recording is handed to the thread that writes it."""

WAITING_BYTES_MAX = 64 * 1024 * 1024
"""Maximum audio of all calls that waits for the disk: 30 s of 50 calls. Beyond it silence is recorded."""

PIECE_BYTES = 200
"""What a piece takes in memory besides its audio."""

CLOSE_S_MAX = 30.0
"""How long a call that is over waits for its recording to be written and closed."""

STOP_S_MAX = 4.0
"""The same while the server stops: platforms kill it a few seconds after that."""

FAILURES = {
    "REC007": ("disk_full", "the disk is full"),
    "REC008": ("not_writable", "the folder or file cannot be written"),
    "REC009": ("write_failed", "writing failed"),
    "REC010": ("disk_slow", "the disk did not take the audio in time"),
}
"""Codes for a recording that could not be written, which are permanent, with their slugs and what they mean. Those before
are of `store.archive`."""

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NOT_WRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EAGAIN, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST),
}

Piece = tuple[Any, ...]
"""The name of a method of `_File`, and its arguments. A flat tuple of plain values costs the garbage collector nothing."""

Outcome = RecordingSaved | RecordingNotStored

logger = structlog.get_logger("callpath")


class OpenWriter(Protocol):
    """`WavWriter`, or what a test puts in its place."""

    def __call__(self, path: Path, sample_rate_hz: int, *, channels: int) -> WavWriter: ...


class RecordingWriter:
    """What the recordings of one process share: the thread that writes them, and how much may wait for it."""

    def __init__(
        self,
        threads: FileThreads | None = None,
        *,
        open_writer: OpenWriter = WavWriter,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.threads = threads or FileThreads("write recordings")
        self.open_writer = open_writer
        self._waiting_bytes_max = waiting_bytes_max
        self._lock = threading.Lock()
        self.waiting_bytes = 0
        """Audio that waits for the disk."""
        self.close_s_max = CLOSE_S_MAX
        self.closing: set[Recording] = set()
        """Recordings of calls that are over."""

    @property
    def full(self) -> bool:
        """No more may wait."""
        return self.waiting_bytes >= self._waiting_bytes_max

    def count(self, size: int) -> None:
        """Add to the bytes that wait; from any thread."""
        with self._lock:
            self.waiting_bytes += size

    def stop(self) -> None:
        """The server stops: recordings have STOP_S_MAX to be closed."""
        self.close_s_max = STOP_S_MAX
        for recording in self.closing:
            recording.limit_wait()


class Recording:
    """One file. `now_ms` is the clock's, as everywhere. Everything here is called on the event loop.

    `on_end` is called once: with `RecordingSaved` when the file is closed, or with `RecordingNotStored` as soon as it
    cannot be written, or was not closed in time.
    """

    def __init__(
        self,
        path: Path,
        sample_rate_hz: int,
        now_ms: float,
        *,
        writer: RecordingWriter,
        on_end: Callable[[Outcome], None],
        track: Track = "both",
    ) -> None:
        self.path = path
        self.paused = False
        self.outcome: Outcome | None = None
        """Known at its end."""
        self._told: list[asyncio.Event] = []
        self._open = True
        """More may come."""
        self._writer = writer
        self._on_end = on_end
        self._file = _File(path, sample_rate_hz, now_ms, writer.open_writer, track)
        self._stream: MediaStream | None = None
        self._byte_order: ByteOrder = "little"
        self._written_ms = now_ms
        self._give_up_timer: asyncio.TimerHandle | None = None
        self._pieces: list[Piece] = [("open",)]
        self._pieces_bytes = PIECE_BYTES
        self._waiting: deque[tuple[list[Piece], int]] = deque()
        """What was handed over and is not written yet, with its size."""
        self._submitted = False
        self._behind_since_ms: float | None = None
        """Since when silence is recorded, because too much waits."""
        self._lost_ms = 0.0
        self._hand_over()

    @property
    def ended(self) -> bool:
        """Its outcome is known."""
        return self.outcome is not None

    @property
    def is_open(self) -> bool:
        """It takes audio: it was not closed, and has not failed."""
        return self._open

    async def closed(self) -> Outcome:
        """Wait for its outcome. It comes within `CLOSE_S_MAX` of `close`."""
        if self.outcome is None:
            told = asyncio.Event()
            self._told.append(told)
            await told.wait()
        assert self.outcome is not None, "told with its outcome"
        return self.outcome

    def pause(self, now_ms: float) -> None:
        """Keep nothing of what is said, heard or sent from now on: there is silence in the file. No sample of it reaches
        the thread that writes."""
        if self._open and not self.paused:
            self.paused = True
            self._pieces.append(("pause", now_ms))
            self._pieces_bytes += PIECE_BYTES

    def resume(self, now_ms: float) -> None:
        """Record again."""
        if self._open and self.paused:
            self.paused = False
            self._pieces.append(("resume", now_ms))
            self._pieces_bytes += PIECE_BYTES

    def attach(self, stream: MediaStream) -> None:
        """Take down what `stream` sends, decoded again: what the caller hears and not what the handler meant."""
        if not self._open:
            return
        self._stream = stream
        self._choose_decoder(stream)
        stream.playout.on_sent = self._sent

    def receive(self, pcm: Pcm, rate_hz: int, now_ms: float) -> None:
        """The caller's audio came."""
        if not self._open:
            return
        if not self.paused and self._has_room(now_ms):
            self._pieces.append(("receive", pcm, rate_hz, now_ms))
            self._pieces_bytes += PIECE_BYTES + pcm.nbytes
        if now_ms >= self._written_ms + WRITE_EVERY_MS:
            self.write(now_ms)

    def clear(self, now_ms: float) -> None:
        """Playout was cleared."""
        if self._open:
            self._pieces.append(("clear", now_ms))
            self._pieces_bytes += PIECE_BYTES

    def write(self, now_ms: float) -> None:
        """Have written what will not change any more. Called as audio is received or sent, and by time where there is
        none."""
        self._written_ms = now_ms
        if not self._open or self._writer.full:
            return
        self._pieces.append(("write", now_ms))
        self._pieces_bytes += PIECE_BYTES
        self._hand_over()

    def close(self, now_ms: float) -> None:
        """The call is over. `on_end` is called when the file is closed, or not in time."""
        if not self._open:
            return
        self._stop_listening()
        self._writer.closing.add(self)
        self._has_room(now_ms)  # counts how long it was behind
        self._pieces.append(("close", now_ms, self._lost_ms))
        self._hand_over()
        if not self.ended:
            self.limit_wait()

    def limit_wait(self) -> None:
        """Give up when the disk has not taken everything in `close_s_max`, counted from now."""
        if self._give_up_timer is not None:
            self._give_up_timer.cancel()
        self._give_up_timer = asyncio.get_running_loop().call_later(self._writer.close_s_max, self._give_up)

    def _give_up(self) -> None:
        """What waits is dropped. The thread closes the file when the disk is back."""
        if self.ended:
            return
        with contextlib.suppress(IndexError):  # the thread takes from it, too
            while True:
                self._writer.count(-self._waiting.popleft()[1])
        self._pieces, self._pieces_bytes = [("give_up",)], PIECE_BYTES
        self._hand_over()
        self._tell(
            _not_stored(
                "REC010",
                self.path,
                f"it was not closed within {self._writer.close_s_max:.0f} s",
                self._file.recorded_ms,
            )
        )

    def _sent(self, payload: bytes, at_ms: float) -> None:
        stream = self._stream
        assert stream is not None, "attached to the stream that sends"
        if self._byte_order != stream.byte_order and stream.play_encoding == "L16":
            self._choose_decoder(stream)  # the stream found that it was the other one
        if not self.paused and self._has_room(at_ms):
            self._pieces.append(("play", payload, at_ms))
            self._pieces_bytes += PIECE_BYTES + len(payload)
        # Where nothing is received, ours must not wait for the tick of each second. What is sent now is heard LEAD_MS_MAX
        # later at most: the time that is certainly over is as much earlier, and half of it is allowed for.
        if at_ms >= self._written_ms + WRITE_EVERY_MS + LEAD_MS_MAX / 2:
            self.write(at_ms - LEAD_MS_MAX)

    def _choose_decoder(self, stream: MediaStream) -> None:
        self._byte_order = stream.byte_order
        chosen = ("choose_decoder", stream.play_encoding, stream.play_wire_rate_hz, stream.byte_order)
        self._pieces.append(chosen)
        self._pieces_bytes += PIECE_BYTES

    def _has_room(self, now_ms: float) -> bool:
        """Whether a piece may wait; if not, there is silence in its place."""
        if not self._writer.full:
            if self._behind_since_ms is not None:
                self._lost_ms += max(0.0, now_ms - self._behind_since_ms)
                self._behind_since_ms = None
            return True
        if self._behind_since_ms is None:
            self._behind_since_ms = now_ms
            if not self._lost_ms:
                logger.warning(
                    "The disk is too slow for a recording: silence is recorded until it has caught up",
                    event_name="recording.behind",
                    path=str(self.path),
                )
        return False

    def _hand_over(self) -> None:
        self._writer.count(self._pieces_bytes)
        self._waiting.append((self._pieces, self._pieces_bytes))
        self._pieces, self._pieces_bytes = [], 0
        if not self._submitted:
            self._submitted = True
            self._writer.threads.submit(self._work)

    def _tell(self, outcome: Outcome) -> None:
        if self.ended:
            return  # it was given up
        self.outcome = outcome
        self._stop_listening()
        self._pieces, self._pieces_bytes = [], 0
        self._writer.closing.discard(self)
        if self._give_up_timer is not None:
            self._give_up_timer.cancel()
        self._on_end(outcome)
        for told in self._told:
            told.set()

    def _stop_listening(self) -> None:
        self._open = False
        if self._stream is not None and self._stream.playout.on_sent == self._sent:
            self._stream.playout.on_sent = None  # unless another recording has begun

    def _work(self) -> None:
        """In the thread."""
        self._submitted = False  # before looking: what is handed over from here on is seen, or submitted again
        with contextlib.suppress(IndexError):
            while True:
                pieces, size = self._waiting.popleft()
                outcome = self._file.take(pieces)
                self._writer.count(-size)
                if outcome is not None:
                    self._writer.threads.reply(self._tell, outcome)


class _File:
    """The thread's side of a recording: what was received and sent becomes a file."""

    def __init__(self, path: Path, sample_rate_hz: int, start_ms: float, open_writer: OpenWriter, track: Track) -> None:
        self._path = path
        self._recorder = Recorder(sample_rate_hz, start_ms, track)
        self._open_writer = open_writer
        self._writer: WavWriter | None = None
        self._decoder: Decoder | None = None
        self._outcome: Outcome | None = None

    @property
    def recorded_ms(self) -> float:
        """How much is in the file."""
        return self._writer.duration_ms if self._writer is not None else 0.0

    def take(self, pieces: list[Piece]) -> Outcome | None:
        """Do what was taken down, in order. Returns the outcome, once."""
        if self._outcome is not None:
            return None
        try:
            for name, *arguments in pieces:
                getattr(self, name)(*arguments)
        except OSError as error:
            self._fail(error)
        except Exception as error:  # of ours, or of a codec: this recording ends, and the others go on
            logger.exception("Recording failed", event_name="recording.failed", error=str(error))
            self._fail(error)
        return self._outcome

    def open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = self._open_writer(self._path, self._recorder.sample_rate_hz, channels=2)

    def choose_decoder(self, encoding: str, rate_hz: int, byte_order: ByteOrder) -> None:
        self._decoder = open_decoder(encoding, rate_hz, byte_order=byte_order)

    def receive(self, pcm: Pcm, rate_hz: int, now_ms: float) -> None:
        self._recorder.receive(pcm, rate_hz, now_ms)

    def play(self, payload: bytes, at_ms: float) -> None:
        assert self._decoder is not None, "chosen before the first payload"
        self._recorder.play(self._decoder.decode(payload), self._decoder.sample_rate_hz, at_ms)

    def clear(self, now_ms: float) -> None:
        self._recorder.clear(now_ms)

    def pause(self, now_ms: float) -> None:
        self._recorder.pause(now_ms)

    def resume(self, now_ms: float) -> None:
        self._recorder.resume(now_ms)

    def write(self, now_ms: float) -> None:
        assert self._writer is not None, "opened first"
        self._writer.append(*self._recorder.take(now_ms))
        self._writer.flush()

    def close(self, now_ms: float, lost_ms: float) -> None:
        assert self._writer is not None, "opened first"
        self._writer.append(*self._recorder.finish(now_ms))
        self._writer.close()
        self._outcome = RecordingSaved(path=str(self._path), duration_ms=self._writer.duration_ms, lost_ms=lost_ms)

    def give_up(self) -> None:
        raise TimeoutError(errno.ETIMEDOUT, "given up")  # nobody is told any more

    def _fail(self, error: Exception) -> None:
        recorded_ms = 0.0
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
            recorded_ms = self._writer.duration_ms
        number = error.errno if isinstance(error, OSError) else None
        with contextlib.suppress(OSError):
            if not self._path.is_file():
                recorded_ms = 0.0
            elif not recorded_ms and self._writer is not None:
                self._path.unlink()  # it holds nothing, and was made here
        code = "REC007" if number in _FULL else "REC008" if number in _NOT_WRITABLE else "REC009"
        reason = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        self._outcome = _not_stored(code, self._path, reason, recorded_ms)


def check_folder(folder: Path) -> None:
    """At start: see whether recordings can be written to `folder`. Raises ConfigError, whose text says what to do.

    A disk that is full now may not be so later, and answering calls matters more: it is logged.
    """
    probe = folder / f".callpath-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            logger.error(
                f"Calls cannot be recorded at the moment: {folder}: {reason}", event_name="recordings.unusable"
            )
            return
        hint = "Mount a volume that is writable, or set CALLPATH_DATA_DIR to a folder that is"
        if error.errno in (errno.EACCES, errno.EPERM) and hasattr(os, "geteuid"):
            hint = (
                f"Let this server write there (chown -R {os.geteuid()} {folder}), or set CALLPATH_DATA_DIR to a folder "
                "where it may"
            )
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            hint = "Move the file that stands in its way, or set CALLPATH_DATA_DIR to another folder"
        raise ConfigError("CALLPATH_RECORD", f"is on, and {folder} cannot be written: {reason}", hint) from None


def check_path(path: Path | str) -> Path:
    """The path of a recording, as far as it can be judged without a look at the disk. Raises AudioError."""
    where = Path(path)
    if not where.name or "\0" in str(where):
        raise AudioError('a recording needs the path of a file, for example call.record("recordings/support.wav")')
    return where


def _not_stored(code: str, path: Path, reason: str, recorded_ms: float) -> RecordingNotStored:
    slug, meaning = FAILURES[code]
    detail = f"{meaning}: {reason}, in {path.parent}"
    return RecordingNotStored(path=str(path), code=code, slug=slug, detail=detail, recorded_ms=recorded_ms)
