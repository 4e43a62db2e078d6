"""A recording outlives its process, and a disk that fails ends it alone. (What is in it: tests/test_testing.py and
tests/call/test_recorder.py; with a whole server: tests/api/test_files.py.)"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from callpath.api.file_threads import InlineFiles
from callpath.api.recording import (
    CLOSE_S_MAX,
    FAILURES,
    PIECE_BYTES,
    STOP_S_MAX,
    WAITING_BYTES_MAX,
    Outcome,
    Recording,
    RecordingWriter,
    check_folder,
    check_path,
)
from callpath.audio.codec import open_encoder
from callpath.audio.pcm import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import WavWriter, read_wav, read_wav_sides, unless_being_written, wav_duration_ms
from callpath.call.stream import MediaStream
from callpath.errors import AudioError, ConfigError
from callpath.timeline import RecordingNotStored, RecordingSaved
from callpath.wire.ids import StreamId
from callpath.wire.media import Media, encode_message
from tests.telnyx import sample_text

CHILD = """
import asyncio, sys
from pathlib import Path
from callpath import App, Call
from callpath.audio.tone import tone
from callpath.testing import place_call

app = App()

@app.call
async def handle(call: Call) -> None:
    call.record(sys.argv[1])
    async for chunk in call.audio:
        await call.play(tone(450, duration_ms=20))

async def main() -> None:
    async with place_call(app, say=tone(700, duration_ms=20_000)) as caller:
        for tenth in range(1, 200):
            await caller.run(ms=100)
            print(100 * tenth, flush=True)
            sys.stdin.readline()

asyncio.run(main())
"""
"""A call that is recorded, a tenth of a second for each line on standard input."""

FRAME: Pcm = np.full(160, 1000, np.int16)


def recording_of(path: Path, ends: list[Outcome] | None = None, **options: Any) -> Recording:
    """A recording that is written where it is handed over."""
    writer = RecordingWriter(InlineFiles(), **options)
    told = ends if ends is not None else []
    return Recording(path, 8000, 0.0, writer=writer, on_end=told.append)


@pytest.mark.parametrize("lead_ms", [0.0, 100.0, 200.0])
def test_what_we_say_to_a_caller_who_is_not_heard_is_written_in_time(tmp_path: Path, lead_ms: float) -> None:
    """His frames do not come, and only ours would tell what happened: with a look a second 1.3 s were lost."""
    path = tmp_path / "call.wav"
    recording = recording_of(path)
    stream = MediaStream()
    recording.attach(stream)
    assert stream.playout.on_sent is not None
    lost_ms = []
    for number in range(500):
        now_ms = 20.0 * number
        if now_ms % 1000 == 980:
            recording.write(now_ms)
        if now_ms >= 1000:
            lost_ms.append(now_ms - wav_duration_ms(path))
        stream.playout.on_sent(b"\x10" * 160, now_ms + lead_ms)
    recording.close(10_000.0)

    assert max(lost_ms) <= 1000


def test_kill_9_loses_at_most_a_second(tmp_path: Path) -> None:
    """An evicted container gets no chance to close its files; the conversation until then may be all there is."""
    path = tmp_path / "call.wav"
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        lost_ms: list[float] = []
        for line in child.stdout:
            (left, right), rate_hz = read_wav_sides(path)  # as one would find it, were it killed now
            lost_ms.append(int(line) - 1000 * left.size / rate_hz)
            if int(line) == 3700:
                break
            child.stdin.write("\n")
            child.stdin.flush()
        child.send_signal(signal.SIGKILL)
    killed, _ = read_wav_sides(path)

    assert child.returncode == -signal.SIGKILL
    assert max(lost_ms) <= 1000
    assert [side.size for side in killed] == [left.size, right.size]
    assert abs(dominant_frequency_hz(left[8000:16000], rate_hz) - 700) < 3
    assert abs(dominant_frequency_hz(right[8000:16000], rate_hz) - 450) < 3
    assert np.abs(right[-800:]).max() > 1000  # to the very end


@pytest.mark.parametrize(("receives", "writes"), [(True, 20), (False, 24)])
def test_it_is_written_twice_a_second(
    tmp_path: Path, receives: bool, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the caller's audio comes, or ours goes out; each time costs the disk two writes, for every call."""
    flushes = 0
    flush = WavWriter.flush

    def counted(self: WavWriter) -> None:
        nonlocal flushes
        flushes += 1
        flush(self)

    monkeypatch.setattr(WavWriter, "flush", counted)
    recording = recording_of(tmp_path / "call.wav")
    stream = MediaStream()
    recording.attach(stream)
    assert stream.playout.on_sent is not None
    for now_ms in range(20, 10_001, 20):
        if receives:
            recording.receive(FRAME, 8000, float(now_ms))
        else:
            stream.playout.on_sent(b"\x10" * 160, float(now_ms))
    during = flushes
    recording.close(10_000.0)

    assert writes == during


def test_while_too_much_waits_nothing_is_added(tmp_path: Path) -> None:
    """Not even the order to write, which comes twice a second for each call."""
    writer = RecordingWriter(InlineFiles(), waiting_bytes_max=1000)
    ends: list[Outcome] = []
    recording = Recording(tmp_path / "call.wav", 8000, 0.0, writer=writer, on_end=ends.append)
    stream = MediaStream()
    recording.attach(stream)
    assert stream.playout.on_sent is not None
    for now_ms in range(20, 1001, 20):
        recording.receive(FRAME, 8000, float(now_ms))
    written_ms = wav_duration_ms(tmp_path / "call.wav")
    writer.count(1000)
    stream.playout.on_sent(b"\x10" * 160, 2200.0)  # goes out now, and is heard later
    recording.write(2100.0)
    behind_ms = wav_duration_ms(tmp_path / "call.wav")
    writer.count(-1)
    recording.receive(FRAME, 8000, 2120.0)
    recording.close(2120.0)
    (saved,) = ends

    assert 700.0 == written_ms == behind_ms
    assert isinstance(saved, RecordingSaved)
    assert (2120.0, 0.0) == (saved.duration_ms, saved.lost_ms)


def test_the_limits_are_what_the_documentation_says() -> None:
    """At 2 a.m. somebody compares them with a clock."""
    docs = Path(__file__).parents[2] / "docs"
    text = (docs / "howto" / "keep-recordings-elsewhere.md").read_text()
    why = (docs / "decisions" / "0110-recordings-are-written-in-one-thread.md").read_text()

    assert f"over for {CLOSE_S_MAX:g} s ({STOP_S_MAX:g} s where the server stops)" in text
    assert f"{WAITING_BYTES_MAX / 1024**2:g} MB may wait" in why
    assert [] == [code for code, (slug, _) in FAILURES.items() if f"| `{code}` | `{slug}` |" not in text]


def test_our_side_is_recorded_in_the_byte_order_that_the_stream_went_over_to(tmp_path: Path) -> None:
    """With `detect` a stream begins little-endian and follows the sound; its recording stayed behind, and was noise."""
    stream = MediaStream(play_encoding="L16", byte_order="detect")
    stream.receive_text(sample_text("ws/t-start-l16-8k.json"), 0)
    recording = recording_of(tmp_path / "call.wav")
    recording.attach(stream)
    encoder = open_encoder("L16", 8000, byte_order="big")
    speech = np.tile(read_wav(Path(__file__).parents[1] / "audio" / "golden" / "speech-8k.wav")[0], 2)
    for number in range(100):
        now_ms = 20.0 * number
        payload = encoder.encode(speech[160 * number : 160 * number + 160])
        media = Media(payload=payload, chunk=number + 1, stream_id=StreamId("s"))
        stream.receive_text(encode_message(media), now_ms)
        if number == 49:
            stream.on_second(now_ms, waiting_ms=0, lag_ms=0, may_take_long=True)
        stream.play(tone(450, duration_ms=20))
        stream.texts_to_send(now_ms)
    recording.close(2000)
    (_, right), _ = read_wav_sides(tmp_path / "call.wav")

    assert "big" == stream.byte_order
    assert abs(dominant_frequency_hz(right[8800:], 8000) - 450) < 10
    assert np.abs(right[8800:]).max() < 12_000


# --- disks that fail -------------------------------------------------------------------------------------------------


class Disk(io.FileIO):
    """A file on a disk with room for `size` bytes. What is over gives `number`; so does all after it, but for writing over
    what is there on a disk that is full."""

    def __init__(self, path: Path, size: int, number: int) -> None:
        super().__init__(path, "w+")
        self.size, self.number = size, number
        self.failed = False

    def write(self, content: Any) -> int:
        fits = bytes(content)[: self.size - self.tell()]
        if not fits or self.failed:
            self.failed = self.number not in (errno.ENOSPC, errno.EDQUOT)
            raise OSError(self.number, os.strerror(self.number))
        written = super().write(fits)
        assert written is not None
        return written


def on_disk(size: int, number: int) -> Callable[..., WavWriter]:
    """An `open_writer` for such a disk."""

    def open_writer(path: Path, sample_rate_hz: int, *, channels: int) -> WavWriter:
        return WavWriter(path, sample_rate_hz, channels=channels, file=Disk(path, size, number))

    return open_writer


def converse(recording: Recording, ms: int) -> None:
    """The caller talks, and we do."""
    stream = MediaStream()
    recording.attach(stream)
    for now_ms in range(20, ms + 1, 20):
        recording.receive(FRAME, 8000, float(now_ms))
        if stream.playout.on_sent is not None:
            stream.playout.on_sent(b"\x10" * 160, float(now_ms))


@pytest.mark.parametrize("room", [0, 20, 44, 10_000, 40_000])
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "REC007"),
        (errno.EDQUOT, "REC007"),
        (errno.EIO, "REC009"),
        (errno.ESTALE, "REC009"),
        (errno.EROFS, "REC008"),
    ],
)
def test_a_disk_that_fails_ends_the_recording_and_nothing_else(
    tmp_path: Path, room: int, number: int, code: str
) -> None:
    """Raised where audio is received, the error closed the call's socket, and that of each call after it."""
    path = tmp_path / "call.wav"
    ends: list[Outcome] = []
    recording = recording_of(path, ends, open_writer=on_disk(room, number))
    converse(recording, 3000)
    recording.clear(3000.0)
    recording.write(3000.0)
    recording.close(3000.0)
    recording.close(3000.0)
    (end,) = ends
    held_ms = max(0.0, 1000 * (room - 44) / 32_000)

    assert isinstance(end, RecordingNotStored)
    assert (str(path), code, FAILURES[code][0]) == (end.path, end.code, end.slug)
    assert os.strerror(number) in end.detail
    assert str(tmp_path) in end.detail
    assert end.recorded_ms is not None
    assert held_ms - (0.125 if code == "REC007" else 1000) <= end.recorded_ms <= held_ms
    assert path.exists() == (end.recorded_ms > 0)
    if path.exists():
        assert wav_duration_ms(path) == end.recorded_ms
        (left, _), _ = read_wav_sides(path)
        assert 1000 * left.size / 8000 == end.recorded_ms


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A volume that was not mounted, or a file in its place."""
    (tmp_path / "recordings").write_text("a file")
    ends: list[Outcome] = []
    recording = recording_of(tmp_path / "recordings" / "deep" / "call.wav", ends)
    converse(recording, 1000)
    recording.close(1000.0)

    assert ["REC008"] == [end.code for end in ends if isinstance(end, RecordingNotStored)]
    assert 1 == len(ends)
    assert "a file" == (tmp_path / "recordings").read_text()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="changes the user")
@pytest.mark.parametrize("mode", [0o555, 0o700])
def test_a_folder_of_another_user(tmp_path: Path, mode: int) -> None:
    """A volume that belongs to root, and a server that does not."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    folder.chmod(mode)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != parent.parent and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    ends: list[Outcome] = []
    os.seteuid(65_534)
    try:
        recording = recording_of(folder / "call.wav", ends)
        converse(recording, 1000)
        recording.close(1000.0)
    finally:
        os.seteuid(0)

    assert [("REC008", 0.0)] == [(end.code, end.recorded_ms) for end in ends if isinstance(end, RecordingNotStored)]
    assert [] == list(folder.iterdir())


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda folder: next(folder.iterdir()).unlink()])
def test_a_folder_that_vanishes_in_mid_call(tmp_path: Path, remove: Callable[[Path], None]) -> None:
    """Writing to a file that was deleted goes well to the end, and nothing is left of it."""
    folder = tmp_path / "recordings"
    ends: list[Outcome] = []
    recording = recording_of(folder / "call.wav", ends)
    converse(recording, 1000)
    remove(folder)
    recording.write(2000.0)
    during = list(ends)
    recording.close(2500.0)
    again = recording_of(folder / "next.wav", ends)
    converse(again, 1000)
    again.close(1000.0)
    first, second = ends

    assert [first] == during
    assert isinstance(first, RecordingNotStored)
    assert ("REC008", 0.0) == (first.code, first.recorded_ms)
    assert "deleted" in first.detail
    assert isinstance(second, RecordingSaved)


def test_two_calls_that_record_to_one_file(tmp_path: Path) -> None:
    """A handler with a fixed path: the second call emptied the file of the first, and both wrote into it."""
    path = tmp_path / "call.wav"
    first_ends: list[Outcome] = []
    second_ends: list[Outcome] = []
    first = recording_of(path, first_ends)
    converse(first, 1000)
    second = recording_of(path, second_ends)
    converse(second, 2000)
    second.close(2000.0)
    first.close(1000.0)
    (saved,), (refused,) = first_ends, second_ends

    assert isinstance(saved, RecordingSaved)
    assert isinstance(refused, RecordingNotStored)
    assert ("REC008", 0.0) == (refused.code, refused.recorded_ms)
    assert saved.duration_ms == wav_duration_ms(path) == 1000.0


def test_a_mistake_of_ours_ends_one_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged with its traceback; the call does not see it."""

    def mistaken(self: WavWriter, *sides: Pcm) -> None:
        raise TypeError("ours")

    monkeypatch.setattr(WavWriter, "append", mistaken)
    ends: list[Outcome] = []
    with capture_logs() as said:
        recording = recording_of(tmp_path / "call.wav", ends)
        converse(recording, 1000)
        recording.close(1000.0)

    assert ["REC009"] == [end.code for end in ends if isinstance(end, RecordingNotStored)]
    assert ["recording.failed"] == [line["event_name"] for line in said]


@pytest.mark.parametrize("path", ["", ".", "/", "a\0b.wav"])
def test_a_path_that_names_no_file_is_an_error_at_once(path: str) -> None:
    """The handler's own mistake, which needs no look at the disk."""
    with pytest.raises(AudioError, match=r"call\.record\("):
        check_path(path)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="changes the user")
def test_a_folder_that_cannot_be_written_is_an_error_at_start(tmp_path: Path) -> None:
    """Found in the first call, it would cost that recording, and those of all others until somebody looks."""
    folder = tmp_path / "recordings"
    folder.mkdir(mode=0o555)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != parent.parent and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    os.seteuid(65_534)
    try:
        with pytest.raises(ConfigError) as raised:
            check_folder(folder)
    finally:
        os.seteuid(0)

    assert (
        f"CALLPATH_RECORD is on, and {folder} cannot be written: Permission denied. "
        f"Let this server write there (chown -R 65534 {folder}), or set CALLPATH_DATA_DIR to a folder where it may"
        == str(raised.value)
    )


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.EROFS, "Mount a volume that is writable, or set CALLPATH_DATA_DIR"), (errno.EEXIST, "Move the file")],
)
def test_a_volume_that_is_read_only_is_an_error_at_start(
    tmp_path: Path, number: int, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what to do, which depends on the reason."""

    def refuse(self: Path, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match=hint):
        check_folder(tmp_path / "recordings")


def test_a_disk_that_is_full_at_start_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarted with a full disk, a server that refused to start would leave all callers alone."""

    def full(self: Path, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    with capture_logs() as said:
        check_folder(tmp_path / "recordings")

    assert ["recordings.unusable"] == [line["event_name"] for line in said]


def test_looking_at_the_folder_leaves_nothing_there(tmp_path: Path) -> None:
    """Each start of each worker does it."""
    check_folder(tmp_path / "deep" / "recordings")
    check_folder(tmp_path / "deep" / "recordings")

    assert [] == list((tmp_path / "deep" / "recordings").iterdir())


# --- in a thread -----------------------------------------------------------------------------------------------------


class Stuck:
    """An `open_writer` on a disk that hangs until it is released."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.released = threading.Event()

    def __call__(self, path: Path, sample_rate_hz: int, *, channels: int) -> WavWriter:
        self.hangs.set()
        self.released.wait(20)
        return WavWriter(path, sample_rate_hz, channels=channels)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not ready():
            await asyncio.sleep(0.001)


async def test_it_is_told_when_the_file_is_closed(tmp_path: Path) -> None:
    """What is uploaded, downloaded or converted on that word must be the whole of it."""
    path = tmp_path / "call.wav"
    ends: list[tuple[Outcome, bool | None, str]] = []

    def on_end(outcome: Outcome) -> None:
        with unless_being_written(path) as free:
            ends.append((outcome, free, threading.current_thread().name))

    writer = RecordingWriter()
    recording = Recording(path, 8000, 0.0, writer=writer, on_end=on_end)
    converse(recording, 1000)
    recording.close(1000.0)
    before = list(ends)
    await until(lambda: recording.ended)
    writer.threads.close()

    assert [] == before
    assert [(RecordingSaved(path=str(path), duration_ms=1000.0), True, "MainThread")] == ends
    assert set() == writer.closing
    assert 0 == writer.waiting_bytes


async def test_a_disk_that_hangs_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    """A network volume that is away: audio of all calls would pile up, or stand still."""
    stuck = Stuck()
    writer = RecordingWriter(open_writer=stuck, waiting_bytes_max=100_000)
    ends: list[Outcome] = []
    with capture_logs() as said:
        recording = Recording(tmp_path / "call.wav", 8000, 0.0, writer=writer, on_end=ends.append)
        converse(recording, 60_000)
    await until(stuck.hangs.is_set)
    waiting = writer.waiting_bytes
    stuck.released.set()
    await until(lambda: writer.waiting_bytes == 0)
    for now_ms in range(60_020, 62_001, 20):
        recording.receive(FRAME, 8000, float(now_ms))
    recording.close(62_000.0)
    await until(lambda: recording.ended)
    writer.threads.close()
    (saved,) = ends
    assert isinstance(saved, RecordingSaved)
    (left, _), _ = read_wav_sides(saved.path)

    assert 100_000 <= waiting <= 150_000  # what one of them brings over
    assert ["recording.behind"] == [line["event_name"] for line in said]
    assert saved.duration_ms == 62_000.0
    assert 55_000 < saved.lost_ms < 60_000
    assert {0} == set(left[-58 * 8000 : -3 * 8000].tolist())
    assert {1000} == set(left[-8000:].tolist())  # once the disk is back, it is recorded again


@pytest.mark.parametrize("stopping", [False, True])
async def test_a_call_that_is_over_does_not_wait_for_a_disk_for_ever(
    tmp_path: Path, stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its timeline says that the recording is not there; the next start of the server is not held up."""
    monkeypatch.setattr("callpath.api.recording.STOP_S_MAX", 0.01)
    stuck = Stuck()
    writer = RecordingWriter(open_writer=stuck)
    ends: list[Outcome] = []
    recording = Recording(tmp_path / "call.wav", 8000, 0.0, writer=writer, on_end=ends.append)
    converse(recording, 1000)
    if not stopping:
        writer.close_s_max = 0.01
    recording.close(1000.0)
    if stopping:
        writer.stop()
    await until(lambda: recording.ended)
    told = list(ends)
    waiting = writer.waiting_bytes
    stuck.released.set()
    await until(lambda: writer.waiting_bytes == 0)
    writer.threads.close()
    (end,) = told

    assert isinstance(end, RecordingNotStored)
    assert ("REC010", 0.0) == (end.code, end.recorded_ms)
    assert waiting < 1000  # what was to be written is dropped
    assert [] == list(tmp_path.iterdir())
    assert told == ends
    assert set() == writer.closing


async def test_one_thread_writes_for_all(tmp_path: Path) -> None:
    """Five hundred calls must not be five hundred threads."""
    writer = RecordingWriter()
    ends: list[Outcome] = []
    recordings = [
        Recording(tmp_path / f"{number}.wav", 8000, 0.0, writer=writer, on_end=ends.append) for number in range(20)
    ]
    for recording in recordings:
        converse(recording, 1000)
        recording.close(1000.0)
    threads = len(writer.threads._threads)
    await until(lambda: len(ends) == 20)
    writer.threads.close()

    assert 1 == threads
    assert {1000.0} == {wav_duration_ms(tmp_path / f"{number}.wav") for number in range(20)}


class Later(InlineFiles):
    """A thread that works when a test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def work(self) -> None:
        """Do all that was submitted."""
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            job()


async def test_what_waits_for_the_disk_is_counted_to_the_byte(tmp_path: Path) -> None:
    """By it is decided what a thousand calls may hold. And however often is written, the thread has one thing to do."""
    threads = Later()
    writer = RecordingWriter(threads)
    recording = Recording(tmp_path / "call.wav", 8000, 0.0, writer=writer, on_end=lambda _: None)
    stream = MediaStream()
    recording.attach(stream)
    assert stream.playout.on_sent is not None
    recording.write(0.0)
    without_audio = writer.waiting_bytes
    recording.receive(FRAME, 8000, 20.0)
    stream.playout.on_sent(b"\x10" * 160, 20.0)
    recording.clear(40.0)
    recording.write(40.0)
    waiting, jobs = writer.waiting_bytes, len(threads.jobs)
    threads.work()

    assert waiting - without_audio == 4 * PIECE_BYTES + FRAME.nbytes + 160
    assert 1 == jobs
    assert 0 == writer.waiting_bytes
    recording.close(60.0)
    threads.work()
    assert 0 == writer.waiting_bytes


async def test_whoever_waits_for_a_recording_gets_its_outcome(tmp_path: Path) -> None:
    """Several may wait, and some ask when it has been known for long."""
    threads = Later()
    recording = Recording(tmp_path / "call.wav", 8000, 0.0, writer=RecordingWriter(threads), on_end=lambda _: None)
    waiting = [asyncio.ensure_future(recording.closed()) for _ in range(2)]
    recording.receive(FRAME, 8000, 20.0)
    recording.close(20.0)
    await asyncio.sleep(0)
    early = [one.done() for one in waiting]
    threads.work()
    outcomes = [*[await one for one in waiting], await recording.closed()]

    assert [False, False] == early
    assert [RecordingSaved(path=str(tmp_path / "call.wav"), duration_ms=20.0)] * 3 == outcomes


def test_of_a_pause_nothing_reaches_the_thread(tmp_path: Path) -> None:
    """And it goes on after it. A recording that is over takes no orders."""
    ends: list[Outcome] = []
    recording = recording_of(tmp_path / "call.wav", ends)
    stream = MediaStream()
    recording.attach(stream)
    states = []
    recording.resume(0.0)  # nothing to resume
    for number in range(150):
        now_ms = 20.0 * number
        if number == 50:
            recording.pause(now_ms)
            recording.pause(now_ms)
        if number == 100:
            recording.resume(now_ms)
        states.append(recording.paused)
        recording.receive(FRAME, 8000, now_ms + 20)
        assert stream.playout.on_sent is not None
        stream.playout.on_sent(b"\x10" * 160, now_ms)
    recording.close(3000.0)
    recording.pause(3000.0)
    (left, right), _ = read_wav_sides(tmp_path / "call.wav")

    assert [False] * 50 + [True] * 50 + [False] * 50 == states
    assert not recording.paused and not recording.is_open
    assert ([1000], [0], [1000]) == tuple(
        sorted(set(left[a * 8 : b * 8].tolist())) for a, b in ((0, 1000), (1000, 2300), (2300, 3000))
    )
    assert not right[8000:16000].any() and right[:8000].all() and right[16000:].all()
    assert [RecordingSaved(path=str(tmp_path / "call.wav"), duration_ms=3000.0)] == ends


def test_a_paused_recording_that_is_closed_stays_as_it_is(tmp_path: Path) -> None:
    """`resume` after the end is a mistake of timing, and no error."""
    recording = recording_of(tmp_path / "call.wav")
    recording.pause(0.0)
    recording.close(1000.0)
    recording.resume(1000.0)
    recording.receive(FRAME, 8000, 1020.0)
    recording.clear(1020.0)
    recording.write(1020.0)

    assert recording.paused
    assert 1000.0 == wav_duration_ms(tmp_path / "call.wav")


def test_the_end_of_one_recording_leaves_the_next_its_audio(tmp_path: Path) -> None:
    """A call may be recorded in parts, each to a file of its own. With the last, the stream tells nobody any more."""
    stream = MediaStream()
    one, two = recording_of(tmp_path / "1.wav"), recording_of(tmp_path / "2.wav")
    one.attach(stream)
    two.attach(stream)
    one.close(0.0)
    one.attach(stream)
    assert stream.playout.on_sent is not None
    stream.playout.on_sent(b"\x10" * 160, 0.0)
    two.close(20.0)

    assert stream.playout.on_sent is None
    assert [0.0, 20.0] == [wav_duration_ms(tmp_path / f"{number}.wav") for number in (1, 2)]


def test_folders_that_are_missing_are_made(tmp_path: Path) -> None:
    """One for each day, and one for each customer."""
    path = tmp_path / "2026-12-01" / "customer" / "call.wav"
    recording_of(path).close(100.0)

    assert path.is_file()
