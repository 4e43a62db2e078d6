"""Files never affect audio: a whole server, over real sockets, on disks that fail, hang and vanish."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callpath import App, Call
from callpath.api.files import Files
from callpath.api.recording import RecordingWriter
from callpath.api.sounds import Sounds
from callpath.audio.tone import tone
from callpath.audio.wav import WavWriter, read_wav, wav_duration_ms, write_wav
from callpath.config import Settings
from callpath.errors import ConfigError
from callpath.server.app import create_asgi
from callpath.simulator.caller import Caller
from callpath.simulator.simulator import Simulator
from callpath.timeline import (
    HandlerEnded,
    HandlerFailed,
    MediaCounted,
    MediaSymptom,
    RecordingNotStored,
    RecordingSaved,
    SocketClosed,
    StreamStarted,
)
from tests.serving import Served, serving

pytestmark = pytest.mark.e2e


def echo() -> App:
    """The caller hears what he says: lost frames show on both ways."""
    app = App()

    @app.call
    async def echo(call: Call) -> None:
        async for chunk in call.audio:
            await call.play(chunk)

    return app


@asynccontextmanager
async def talking(served: Served, callers: int = 1) -> AsyncIterator[list[Caller]]:
    """Calls that are up, with audio both ways."""
    calls = [await served.telnyx.call() for _ in range(callers)]
    for caller in calls:
        await caller.stream_started()
        caller.say(tone(440, duration_ms=10_000))
        await caller.heard_for(200)
    yield calls
    for caller in calls:
        await caller.hangup()


async def go_on(served: Served, callers: list[Caller], how: type[Any] = RecordingNotStored) -> None:
    """Wait for the entry in each call, and for half a second of audio after it; each on its first socket, and whole."""
    for caller in callers:
        await served.until_kind(session_of(caller), how)
    for caller in callers:
        await caller.heard_for(caller.hearing.heard_ms + 500)
    for caller in callers:
        whats = [entry.what for entry in await served.timeline(session_of(caller))]

        assert 1 == sum(isinstance(what, how) for what in whats)
        assert 1 == sum(isinstance(what, StreamStarted) for what in whats)
        assert [] == [what for what in whats if isinstance(what, (SocketClosed, HandlerEnded, HandlerFailed))]


async def end_of(served: Served, caller: Caller) -> list[Any]:
    """The timeline of a call that is over, without its frames: none may be lost."""
    entries = await served.until_kind(session_of(caller), HandlerEnded)
    whats = [entry.what for entry in entries]
    counted = [what for what in whats if isinstance(what, MediaCounted)]

    assert 0 == sum(what.lost + what.late + what.dropped_for_handler for what in counted)
    return whats


def session_of(caller: Caller) -> str:
    return caller.call.leg.call_session_id


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A tmpfs of a few pages. Skips the test where this process may not mount."""
    folder.mkdir(parents=True)
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounts a file system")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_disk_that_fills_up_under_several_calls(tmp_path: Path) -> None:
    """Each frame of each recorded call closed its socket; reconnected, the next one did."""
    folder = tmp_path / "recordings"
    with small_disk(folder, "128k"):
        async with serving(echo(), tmp_path, record=True) as served:
            async with talking(served, 4) as callers:
                await go_on(served, callers)
                async with talking(served) as (late,):  # a call that begins on a full disk
                    await go_on(served, [late])
                failed = [
                    entry.what
                    for caller in callers
                    for entry in await served.timeline(session_of(caller))
                    if isinstance(entry.what, RecordingNotStored)
                ]
                recorded = {what.path: what.recorded_ms for what in failed}
                files = {str(file): wav_duration_ms(file) for file in folder.iterdir()}
            for caller in callers:
                await end_of(served, caller)
            for file in folder.iterdir():
                file.unlink()
            async with talking(served) as (again,):  # and one when there is room again
                await caller_heard_more(again)
            saved = (await end_of(served, again), await served.until_kind(session_of(again), RecordingSaved))

    assert {("REC007", "disk_full")} == {(what.code, what.slug) for what in failed}
    assert all(os.strerror(errno.ENOSPC) in what.detail and str(folder) in what.detail for what in failed)
    assert {path: ms for path, ms in recorded.items() if ms} == files  # what was recorded before is kept
    assert files
    assert saved


async def caller_heard_more(caller: Caller) -> None:
    await caller.heard_for(caller.hearing.heard_ms + 200)


async def test_a_folder_that_vanishes_and_comes_back(tmp_path: Path) -> None:
    """Somebody tidies up; a volume is taken away, and another file is there in its place."""
    folder = tmp_path / "recordings"
    async with serving(echo(), tmp_path, record=True) as served:
        async with talking(served) as (caller,):
            shutil.rmtree(folder)
            folder.write_text("in the way")
            await go_on(served, [caller])
            async with talking(served) as (second,):
                await go_on(served, [second])
            folder.unlink()
            async with talking(served) as (third,):
                await caller_heard_more(third)
            await served.until_kind(session_of(third), RecordingSaved)
            await end_of(served, third)
        whats = await end_of(served, caller)

    assert ["REC008"] == [what.code for what in whats if isinstance(what, RecordingNotStored)]
    assert [] == [what for what in whats if isinstance(what, RecordingSaved)]


class Stuck:
    """A disk that hangs until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def __call__(self, path: Path, sample_rate_hz: int, *, channels: int) -> WavWriter:
        self.released.wait(20)
        return WavWriter(path, sample_rate_hz, channels=channels)


def put_files(served: Served, open_writer: Callable[..., WavWriter]) -> RecordingWriter:
    writer = RecordingWriter(open_writer=open_writer)
    served.context.files = Files(writer, Sounds())
    return writer


async def test_a_disk_that_hangs_holds_up_neither_calls_nor_their_end(tmp_path: Path) -> None:
    """A network volume that is away: in a thread of the loop's own, all calls stood still with it."""
    stuck = Stuck()
    async with serving(echo(), tmp_path, record=True) as served:
        writer = put_files(served, stuck)
        async with talking(served, 2) as callers:
            for caller in callers:
                await caller.heard_for(800)
            writer.close_s_max = 0.05
        whats = [await end_of(served, caller) for caller in callers]
        for caller in callers:
            await served.until_kind(session_of(caller), RecordingNotStored)
        stuck.released.set()
        async with talking(served) as (again,):
            await caller_heard_more(again)
            writer.close_s_max = 20.0
        await served.until_kind(session_of(again), RecordingSaved)

    assert [] == [what for one in whats for what in one if isinstance(what, (HandlerFailed, MediaSymptom))]


async def test_a_stop_waits_until_recordings_are_closed(tmp_path: Path) -> None:
    """Else the last seconds of each call of a deploy are missing, and the timeline never says where it is."""
    stuck = Stuck()
    async with serving(echo(), tmp_path, record=True, database_url=f"sqlite:///{tmp_path / 'log.db'}") as served:
        put_files(served, stuck)
        async with talking(served) as (caller,):
            session = session_of(caller)
        await served.until_kind(session, HandlerEnded)
        busy = served.calls.busy()
        threading.Timer(0.3, stuck.released.set).start()
    async with serving(echo(), tmp_path, database_url=f"sqlite:///{tmp_path / 'log.db'}") as served:
        saved = [entry.what for entry in await served.timeline(session) if isinstance(entry.what, RecordingSaved)]

    assert [session] == busy  # a drain waits, too
    assert [wav_duration_ms(what.path) for what in saved] == [what.duration_ms for what in saved]
    assert 1 == len(saved)


async def test_music_on_hold_stops_no_other_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of stereo took the loop away from all calls for a second, at each play."""
    where: list[str] = []

    def read(path: Path, to_hz: int) -> Any:
        where.append(threading.current_thread().name)
        return read_wav(path, to_hz)

    monkeypatch.setattr("callpath.api.sounds.read_wav", read)
    music = tone(440, duration_ms=30_000, sample_rate_hz=44_100)
    write_wav(tmp_path / "hold.wav", (music, music), 44_100)
    app = App()

    @app.call
    async def hold(call: Call) -> None:
        await call.play(tmp_path / "hold.wav")

    async with serving(app, tmp_path) as served:
        calls = [await served.telnyx.call() for _ in range(3)]
        for caller in calls:
            await caller.heard_for(300)
        for caller in calls:
            await caller.hangup()

    assert 1 == len(where)
    assert where[0].startswith("read sounds")


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """With the setting, the folder, and what to do. Where not every call is recorded, it is no error."""
    (tmp_path / "recordings").write_text("in the way")
    settings = Settings(
        telnyx_api_key="KEY", telnyx_public_key=Simulator().public_key, public_url="http://127.0.0.1", data_dir=tmp_path
    )
    with pytest.raises(
        ConfigError, match=rf"CALLPATH_RECORD is on, and {tmp_path}/recordings cannot be written: .*Move"
    ):
        create_asgi(echo(), replace(settings, record=True))

    assert create_asgi(echo(), settings).routes
