"""Files that are played: read once, in a thread, and refused with what to do."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import callpath.api.sounds as module
from callpath import App, Call
from callpath.api.file_threads import FileThreads, InlineFiles
from callpath.api.sounds import Sounds
from callpath.audio.pcm import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import read_wav, write_wav
from callpath.errors import AudioError
from callpath.testing import place_call

SECOND = tone(440, duration_ms=1000)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was decoded, by name and thread."""
    seen: list[tuple[str, str]] = []

    def counted(path: Path, to_hz: int) -> tuple[Pcm, int]:
        seen.append((path.name, threading.current_thread().name))
        return read_wav(path, to_hz)

    monkeypatch.setattr(module, "read_wav", counted)
    return seen


@pytest.fixture
async def sounds() -> AsyncIterator[Sounds]:
    made = Sounds()
    yield made
    made.close()


def wav(path: Path, pcm: Pcm = SECOND, rate_hz: int = 8000) -> Path:
    write_wav(path, pcm, rate_hz)
    return path


async def test_a_file_is_decoded_once_in_a_thread(
    tmp_path: Path, sounds: Sounds, decoded: list[tuple[str, str]]
) -> None:
    """Fifty callers on hold hear one piece of music; decoded on the event loop, each of them stopped all the others."""
    path = wav(tmp_path / "hold.wav")
    together = await asyncio.gather(*(sounds.load(path, 8000) for _ in range(50)))
    later = await sounds.load(str(path), 8000)

    assert [("hold.wav", decoded[0][1])] == decoded
    assert decoded[0][1].startswith("read sounds")
    assert {id(later)} == {id(one) for one in together}
    assert 4 == len(sounds._threads._threads)
    assert SECOND.tolist() == later.pcm.tolist()


async def test_the_disk_is_asked_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sounds: Sounds) -> None:
    """On a slow network volume even the time of a file takes a while."""
    seen: list[str] = []
    stat = Path.stat

    def counted(self: Path, **options: Any) -> os.stat_result:
        seen.append(threading.current_thread().name)
        return stat(self, **options)

    path = wav(tmp_path / "hello.wav")
    monkeypatch.setattr(Path, "stat", counted)
    await sounds.load(path, 8000)
    await sounds.load(path, 8000)

    assert seen
    assert [] == [name for name in seen if not name.startswith("read sounds")]


async def test_a_file_that_was_replaced_is_read_again(
    tmp_path: Path, sounds: Sounds, decoded: list[tuple[str, str]]
) -> None:
    """A new greeting must not wait for a restart; of the same length and time it is another file, too."""
    path = wav(tmp_path / "hello.wav")
    before = await sounds.load(path, 8000)
    written = path.stat()
    wav(path, tone(880, duration_ms=1000))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns + 1))
    newer = await sounds.load(path, 8000)
    wav(path, tone(220, duration_ms=500))
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns + 1))
    shorter = await sounds.load(path, 8000)

    assert 3 == len(decoded)
    assert len({before.pcm.tobytes(), newer.pcm.tobytes(), shorter.pcm.tobytes()}) == 3


async def test_each_rate_is_a_sound_of_its_own(tmp_path: Path, sounds: Sounds) -> None:
    """It is kept as the stream plays it, so that nothing is resampled while it plays."""
    path = wav(tmp_path / "music.wav", tone(440, duration_ms=1000, sample_rate_hz=44_100), 44_100)
    narrow, wide = await sounds.load(path, 8000), await sounds.load(path, 16_000)

    assert [(8000, 8000), (16_000, 16_000)] == [(sound.rate_hz, sound.pcm.size) for sound in (narrow, wide)]


async def test_one_name_of_a_file_is_as_good_as_another(
    tmp_path: Path, sounds: Sounds, decoded: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path, one through a folder above, a link."""
    path = wav(tmp_path / "hello.wav")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "link.wav").symlink_to(path)
    monkeypatch.chdir(tmp_path)
    for name in ("hello.wav", "sounds/../hello.wav", "link.wav", str(path)):
        await sounds.load(name, 8000)

    assert 1 == len(decoded)


def test_the_limit_is_what_the_documentation_says() -> None:
    """Whoever plans the memory of a server reads it there."""
    text = (Path(__file__).parents[2] / "docs" / "howto" / "work-with-audio.md").read_text()

    (megabytes,) = re.findall(r"\((\d+) MB for all files together\)", text)
    assert module.CACHE_BYTES_MAX == int(megabytes) * 1024**2


async def test_the_cache_is_bounded(tmp_path: Path, decoded: list[tuple[str, str]]) -> None:
    """A bot that plays a new file to each caller: what was not played lately goes."""
    sounds = Sounds(InlineFiles(), cache_bytes_max=2 * SECOND.nbytes)
    paths = [wav(tmp_path / f"{number}.wav") for number in range(3)]
    for path in (paths[0], paths[1], paths[0], paths[2]):
        await sounds.load(path, 8000)
        await asyncio.sleep(0)
    kept = [await sounds.load(paths[0], 8000), await sounds.load(paths[2], 8000)]
    again = len(decoded)
    await sounds.load(paths[1], 8000)

    assert 2 == len(kept)
    assert (3, 4) == (again, len(decoded))
    assert sounds._kept_bytes <= 2 * SECOND.nbytes


async def test_what_is_too_long_for_the_cache_is_shared_while_it_is_played(
    tmp_path: Path, decoded: list[tuple[str, str]]
) -> None:
    """An hour of music for each caller on hold would fill the memory."""
    sounds = Sounds(InlineFiles(), cache_bytes_max=100)
    path = wav(tmp_path / "hold.wav")
    first = await sounds.load(path, 8000)
    await asyncio.sleep(0)
    shared = await sounds.load(path, 8000) is first
    del first
    gc.collect()
    await sounds.load(path, 8000)

    assert shared
    assert 2 == len(decoded)
    assert 0 == sounds._kept_bytes


async def test_a_sound_that_fills_the_cache_is_kept(tmp_path: Path, decoded: list[tuple[str, str]]) -> None:
    """To the last byte, as the limit says."""
    sounds = Sounds(InlineFiles(), cache_bytes_max=SECOND.nbytes)
    path = wav(tmp_path / "hello.wav")
    for _ in range(2):
        await sounds.load(path, 8000)
        await asyncio.sleep(0)
        gc.collect()

    assert 1 == len(decoded)


async def test_one_who_waits_no_longer_takes_it_from_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first caller hangs up while the music is decoded for him and for the second."""
    threads = FileThreads("read sounds", 2)
    sounds = Sounds(threads)
    path = wav(tmp_path / "hold.wav")
    held = threading.Event()
    decoded: list[str] = []

    def slow(path: Path, to_hz: int) -> tuple[Pcm, int]:
        decoded.append(path.name)
        held.wait(20)
        return read_wav(path, to_hz)

    monkeypatch.setattr(module, "read_wav", slow)
    first = asyncio.ensure_future(sounds.load(path, 8000))
    second = asyncio.ensure_future(sounds.load(path, 8000))
    while not decoded:
        await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.wait([first])
    held.set()
    sound = await asyncio.wait_for(second, 20)
    threads.close()

    assert first.cancelled()
    assert 8000 == sound.pcm.size
    assert ["hold.wav"] == decoded


async def test_a_file_that_cannot_be_decoded_is_tried_again(tmp_path: Path, sounds: Sounds) -> None:
    """It was being copied when it was played first. And an error that nobody waits for is no lost exception."""
    path = tmp_path / "hello.wav"
    path.write_bytes(b"")
    with pytest.raises(AudioError, match="empty"):
        await sounds.load(path, 8000)
    wav(path)

    assert 8000 == (await sounds.load(path, 8000)).pcm.size


async def test_a_disk_that_hangs_is_an_error_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler learns of it; the caller is not left in silence for the rest of the call."""
    monkeypatch.setattr(module, "LOAD_S_MAX", 0.01)
    threads = FileThreads("read sounds", 1)
    released = threading.Event()
    hanging = threads.start(lambda: released.wait(20))
    with pytest.raises(AudioError, match=r"hello\.wav could not be read within 0 s: is its disk slow"):
        await Sounds(threads).load(wav(tmp_path / "hello.wav"), 8000)
    released.set()
    await hanging
    threads.close()


# --- what cannot be played -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Hello", 'there is no file "Hello". play() takes the path of a WAV file, or audio; to have text spoken, use '
         'await call.speak("Hello")'),
        ("Hello, how are you?", 'to have text spoken, use await call.speak("Hello, how are you?")'),
        ("Dr. Who is on the line.", 'use await call.speak("Dr. Who is on the line.")'),
        ("", 'there is no file ""'),
        ("a" * 40, f'use await call.speak("{"a" * 40}")'),
        ("a" * 41, "use await call.speak(text)"),
        ("a" * 300, "use await call.speak(text)"),
        ("Thank you for calling. " * 400, "use await call.speak(text)"),
        ("nul\0nul", "call.speak("),
        ("welcome.wav", "there is no file welcome.wav in "),
        ("sounds/welcome", "there is no file welcome in "),
        ("my sounds/welcome.WAV", "there is no file welcome.WAV in "),
        (Path("Hello"), "there is no file Hello in "),
    ],
)  # fmt: skip
async def test_what_is_no_file(source: str | Path, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`play("Hello")` is what users of other libraries write first."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AudioError) as raised:
        await Sounds(InlineFiles()).load(source, 8000)
    said = str(raised.value)

    assert text in said
    assert len(said) < 300
    assert ("speak" in said) == ("there is no file w" not in said and not isinstance(source, Path))
    assert (str(tmp_path) in said) == ("speak" not in said)


async def test_a_long_text_is_not_repeated(tmp_path: Path) -> None:
    """The error goes into the timeline, and timelines are shared."""
    said = "Your appointment with the doctor about the result is tomorrow."
    with pytest.raises(AudioError) as raised:
        await Sounds(InlineFiles()).load(said, 8000)

    assert "appointment" not in str(raised.value)


async def test_a_folder_is_no_sound(tmp_path: Path) -> None:
    """Nor is what stands in the way of a path."""
    wav(tmp_path / "hello.wav")
    with pytest.raises(AudioError, match=r"is a folder\. play\(\) takes the path of one WAV file"):
        await Sounds(InlineFiles()).load(tmp_path, 8000)
    with pytest.raises(AudioError, match=r"there is no file deeper\.wav in "):
        await Sounds(InlineFiles()).load(tmp_path / "hello.wav" / "deeper.wav", 8000)


@pytest.mark.skipif(sys.platform == "win32", reason="no such files")
@pytest.mark.parametrize("path", ["/dev/zero", "fifo"])
async def test_a_device_or_a_pipe_is_not_read(path: str, tmp_path: Path) -> None:
    """It has no end, or nobody writes to it: a thread would be gone for good."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(AudioError, match="is not a regular file"):
        await Sounds(InlineFiles()).load(tmp_path / path, 8000)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="changes the user")
async def test_a_file_of_another_user(tmp_path: Path) -> None:
    """Copied into an image by root, and read by a server that is not."""
    path = wav(tmp_path / "hello.wav")
    path.chmod(0o600)
    for parent in tmp_path.parents[:-1]:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    os.seteuid(65_534)
    try:
        with pytest.raises(AudioError, match=r"hello\.wav cannot be read: .*ermission denied"):
            await Sounds(InlineFiles()).load(path, 8000)
    finally:
        os.seteuid(0)


async def test_an_mp3_that_was_renamed(tmp_path: Path) -> None:
    """And other files: tests/audio/test_wav.py."""
    (tmp_path / "hold.wav").write_bytes(b"ID3\x04" + bytes(500))
    with pytest.raises(AudioError, match=r"hold\.wav is not a WAV file: it is an MP3 file\. Convert it"):
        await Sounds(InlineFiles()).load(tmp_path / "hold.wav", 8000)


# --- as a handler plays them -----------------------------------------------------------------------------------------


class Held(Sounds):
    """Sounds on a disk that hangs until a test lets go."""

    def __init__(self) -> None:
        super().__init__(InlineFiles())
        self.released = asyncio.Event()

    async def load(self, source: str | Path, rate_hz: int) -> module.Sound:
        await self.released.wait()
        return await super().load(source, rate_hz)


def playing(source: str | Path, played: list[bool], *, raw: bool = False, sounds: Sounds | None = None) -> App:
    """An application that plays one file."""
    app = App()

    @app.call(raw=raw)
    async def play(call: Call) -> None:
        if sounds is not None:
            call._feed.player._sounds = sounds
        played.append(bool(await call.play(source)))
        await call.play(tone(880, duration_ms=200))

    return app


@pytest.mark.parametrize("rate_hz", [8000, 44_100])
async def test_a_file_is_heard_whole(tmp_path: Path, rate_hz: int) -> None:
    """At the right pitch, from beginning to end, and what comes after it."""
    path = wav(tmp_path / "hello.wav", tone(440, duration_ms=1000, sample_rate_hz=rate_hz), rate_hz)
    played: list[bool] = []
    async with place_call(playing(path, played)) as caller:
        await caller.run(ms=1500)
        heard = caller.heard

    loud = np.flatnonzero(np.abs(heard) > 500)

    assert [True] == played
    assert abs(dominant_frequency_hz(heard[loud[0] : loud[0] + 7000], 8000) - 440) < 2
    assert abs(1200 - (loud[-1] - loud[0]) / 8) < 25


async def test_a_clear_ends_the_wait_for_a_file(tmp_path: Path) -> None:
    """The caller speaks while the disk takes its time: what comes next must not wait for it, nor be followed by it."""
    path = wav(tmp_path / "hello.wav")
    played: list[bool] = []
    sounds = Held()
    async with place_call(playing(path, played, sounds=sounds)) as caller:
        await caller.run(ms=200)
        waits = list(played)
        assert caller.call is not None
        await caller.call.clear()
        await caller.run(ms=500)
        sounds.released.set()
        await caller.run(ms=500)
        hz = caller.heard_hz()

    assert [] == waits
    assert [False] == played
    assert abs(hz - 880) < 3


async def test_a_call_that_ends_while_its_file_is_read(tmp_path: Path) -> None:
    """The handler is cancelled there, and nothing is left behind."""
    played: list[bool] = []
    async with place_call(playing(wav(tmp_path / "hello.wav"), played, sounds=Held())) as caller:
        await caller.run(ms=200)
        await caller.hang_up()
    left = [task for task in asyncio.all_tasks() if "read source" in task.get_name()]

    assert [] == played
    assert [] == left


async def test_a_handler_waits_half_a_minute_for_a_file(tmp_path: Path) -> None:
    """By the time of the call; then it learns why, and can say something else."""
    errors: list[str] = []
    app = App()

    @app.call
    async def play(call: Call) -> None:
        call._feed.player._sounds = Sounds(Hung())
        try:
            await call.play(wav(tmp_path / "hello.wav"))
        except AudioError as error:
            errors.append(str(error))

    async with place_call(app) as caller:
        await caller.run(ms=29_900)
        early = list(errors)
        await caller.run(ms=200)

    assert [] == early
    assert ["hello.wav could not be read within 30 s: is its disk slow?"] == errors


class Hung(InlineFiles):
    """Threads that never begin."""

    def submit(self, job: Any) -> None: ...


async def test_text_is_not_played_but_spoken() -> None:
    """The error ends in the handler's own traceback."""
    with pytest.raises(AudioError, match=r'there is no file "Hello"\. .*await call\.speak\("Hello"\)'):
        async with place_call(playing("Hello", [])) as caller:
            await caller.run(ms=100)


async def test_a_raw_call_plays_no_files(tmp_path: Path) -> None:
    """It is not decoded first, to be thrown away."""
    with pytest.raises(AudioError, match="a raw call plays payloads"):
        async with place_call(playing(tmp_path / "none.wav", [], raw=True)) as caller:
            await caller.run(ms=100)
