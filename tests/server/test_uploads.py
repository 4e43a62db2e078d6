"""Recordings on their way to where they are kept: none is lost, none is deleted too soon, and it is told."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs

from callpath.audio.tone import tone
from callpath.audio.wav import WavWriter, read_wav_sides, write_wav
from callpath.clock import ManualClock
from callpath.errors import ArchiveError, StoreError
from callpath.server.builtin import BUILTIN
from callpath.server.drain import DrainingServer
from callpath.server.metrics import Metrics
from callpath.server.retention import delete_call, delete_older_calls
from callpath.server.uploads import RETRY_MS, SCAN_EVERY_MS, Uploads
from callpath.simulator.simulator import Simulator
from callpath.store.archive import Archive, open_archive
from callpath.store.memory import MemoryCallLog
from callpath.timeline import Entry, Noted, RecordingNotStored, RecordingSaved, RecordingStored
from tests import object_store
from tests.serving import process, serving
from tests.store.entries import AT, SESSION, entry

SPEECH = tone(440, duration_ms=500)


class Failing(Archive):
    """A memory that can be out of reach."""

    def __init__(self) -> None:
        from obstore.store import MemoryStore

        super().__init__("s3://calls", MemoryStore())
        self.code = ""
        self.tries = 0

    async def put(self, name: str, source: Path | bytes) -> int:
        self.tries += 1
        if self.code:
            raise ArchiveError("s3://calls cannot be written: no answer came", code=self.code)
        return await super().put(name, source)


class Bench:
    """An uploader over a folder with one call's recording, on a clock that a test moves."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / "recordings"
        self.folder.mkdir()
        self.file = self.folder / f"{SESSION}.wav"
        write_wav(self.file, (SPEECH, SPEECH), 8000)
        os.utime(self.file, (AT / 1000, AT / 1000))
        self.log = MemoryCallLog()
        self.archive = Failing()
        self.clock = ManualClock(unix_ms=AT)
        self.metrics = Metrics()
        self.uploads = Uploads(
            self.archive,
            self.folder,
            log=self.log,
            write=self.log.append,
            clock=self.clock,
            metrics=self.metrics,
        )

    async def told(self) -> list[Any]:
        return [one.what for one in await self.log.read(SESSION) if not isinstance(one.what, Noted)]


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    await made.log.append(entry(Noted(text="a call")))
    return made


async def test_a_recording_goes_when_the_store_has_it(bench: Bench) -> None:
    """And the timeline says where it is: what a process left that was killed has no other entry."""
    size = bench.file.stat().st_size
    await bench.uploads.scan()
    (stored,) = await bench.told()

    assert stored == RecordingStored(
        path=str(bench.file),
        url=f"s3://calls/{SESSION}.wav",
        duration_ms=500.0,
        size_bytes=size,
        written_unix_ms=AT,
    )
    assert [] == list(bench.folder.iterdir())
    assert size == await bench.archive.size(f"{SESSION}.wav")
    assert 'callpath_recording_uploads_total{result="stored"} 1.0' in bench.metrics.text().decode()


async def test_its_copies_go_with_it(bench: Bench) -> None:
    """And whoever forgets the call forgets all of them."""
    bench.file.with_suffix(".flac").write_bytes(b"fLaC")
    bench.file.with_suffix(".opus").write_bytes(b"OggS")
    await bench.uploads.scan()
    names = [f"{SESSION}.{form}" for form in ("wav", "flac", "opus")]
    there = [await bench.archive.size(name) is not None for name in names]
    deleted, left = await delete_call(bench.log, bench.folder.parent, SESSION, bench.archive)

    assert [] == list(bench.folder.iterdir())
    assert [True] * 3 == there
    assert ([f"s3://calls/{SESSION}.wav"], []) == (deleted, left)
    assert [None] * 3 == [await bench.archive.size(name) for name in names]


async def test_without_its_archive_a_recording_is_left_and_said_so(bench: Bench) -> None:
    """CALLPATH_RECORDINGS was taken away again: what lies there is not forgotten by that."""
    await bench.uploads.scan()
    with capture_logs() as said:
        await delete_older_calls(bench.log, bench.folder.parent, AT + 1)

    assert [f"s3://calls/{SESSION}.wav"] == [line["url"] for line in said if line["event_name"] == "recording.left"]


async def test_a_recording_that_is_being_written_waits(bench: Bench) -> None:
    """Half a call in the bucket would pass for the whole."""
    with WavWriter(bench.file, 8000, channels=2) as writer:
        writer.append(SPEECH, SPEECH)
        await bench.uploads.scan()
        during = await bench.told()
    await bench.uploads.scan()

    assert [] == during
    assert 1 == len(await bench.told())


async def test_a_store_that_fails_is_asked_again_and_told_of_once(bench: Bench) -> None:
    """With longer and longer waits; meanwhile the file stays, whatever happens to this process."""
    bench.archive.code = "REC003"
    await bench.uploads.scan()
    await bench.uploads.scan()  # too early
    after_first = bench.archive.tries
    await bench.clock.advance(RETRY_MS)
    await bench.uploads.scan()
    after_second = bench.archive.tries
    bench.archive.code = "REC001"
    await bench.clock.advance(2 * RETRY_MS)
    await bench.uploads.scan()
    there = bench.file.exists()
    bench.archive.code = ""
    await bench.clock.advance(4 * RETRY_MS)
    await bench.uploads.scan()
    told = await bench.told()

    assert (1, 2, True) == (after_first, after_second, there)
    assert ["REC003", "REC001"] == [what.code for what in told if isinstance(what, RecordingNotStored)]
    assert isinstance(told[-1], RecordingStored)
    assert 'callpath_recording_uploads_total{result="REC003"} 2.0' in bench.metrics.text().decode()


async def test_killed_between_the_store_and_the_timeline(bench: Bench) -> None:
    """The next process does it again; nothing is there twice."""

    async def full(_: Entry) -> bool:
        raise StoreError("the disk is full")

    write, bench.uploads._write = bench.uploads._write, full
    await bench.uploads.scan()
    kept = bench.file.exists()
    bench.uploads._write = write
    await bench.clock.advance(RETRY_MS)
    await bench.uploads.scan()

    assert kept
    assert 1 == len(await bench.told())
    assert not bench.file.exists()


async def test_a_call_that_is_forgotten_meanwhile_is_not_brought_back(bench: Bench) -> None:
    """Who asked for his calls to be deleted must not find them in a bucket."""
    put = bench.archive.put

    async def forget_then_put(name: str, source: Path | bytes) -> int:
        await bench.log.forget(SESSION)
        return await put(name, source)

    bench.archive.put = forget_then_put  # type: ignore[method-assign]
    await bench.uploads.scan()

    assert [] == await bench.log.read(SESSION)
    assert await bench.archive.size(f"{SESSION}.wav") is None


async def test_work_on_files_is_done_in_threads(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data directory on a network volume stopped the audio of all calls for as long as it took to answer."""
    seen: dict[str, set[str]] = {}

    def watch(name: str) -> None:
        do = getattr(Path, name)

        def counted(self: Path, *given: Any, **options: Any) -> Any:
            seen.setdefault(name, set()).add(threading.current_thread().name)
            return do(self, *given, **options)

        monkeypatch.setattr(Path, name, counted)

    for name in ("open", "stat", "glob", "unlink", "exists", "is_file"):
        watch(name)
    bench.uploads.announce(str(bench.file))
    waiting = "callpath_recordings_waiting 1.0" in bench.metrics.text().decode()
    await bench.uploads.scan()
    left = "callpath_recordings_waiting 0.0" in bench.metrics.text().decode()

    assert {"open", "stat", "glob", "unlink", "is_file"} <= set(seen)
    assert [] == [name for name, threads in seen.items() if "MainThread" in threads]
    assert waiting
    assert left


@pytest.mark.parametrize("name", ["notes.txt", "hold-music.wav", "other-2.wav"])
async def test_a_file_of_no_call_is_left_alone(bench: Bench, name: str) -> None:
    """The folder is open to handlers, too."""
    bench.file.unlink()
    write_wav(bench.folder / name, SPEECH, 8000)
    await bench.uploads.scan()

    assert [name] == [file.name for file in bench.folder.iterdir()]
    assert 0 == bench.archive.tries


async def test_a_mistake_of_ours_with_one_file_keeps_no_other(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and the others go."""
    other = bench.folder / f"{SESSION}-2.wav"
    write_wav(other, SPEECH, 8000)
    put = bench.archive.put

    async def mistaken(name: str, source: Path | bytes) -> int:
        if name == bench.file.name:
            raise TypeError("ours")
        return await put(name, source)

    monkeypatch.setattr(bench.archive, "put", mistaken)
    with capture_logs() as said:
        await bench.uploads.scan()

    assert ["recording.not_uploaded"] == [line["event_name"] for line in said]
    assert [bench.file] == list(bench.folder.iterdir())


async def test_a_second_recording_of_a_call(bench: Bench) -> None:
    """A handler's own, named by its call."""
    bench.file.rename(bench.folder / f"{SESSION}-voicemail.wav")
    await bench.uploads.scan()

    assert [f"s3://calls/{SESSION}-voicemail.wav"] == [what.url for what in await bench.told()]


async def test_it_runs_until_the_server_stops(bench: Bench, caplog: Any) -> None:
    """A bucket that cannot be used at the start may be by and by; and what is announced is not kept waiting."""
    bench.archive.code = "REC001"
    work = asyncio.ensure_future(bench.uploads.run())
    bench.uploads.announce("/elsewhere/by-the-application.wav")
    bench.uploads.announce(str(bench.file))
    announced = bench.uploads.under_way
    while not bench.uploads._troubles:
        await asyncio.sleep(0)
    bench.archive.code = ""
    await bench.clock.advance(SCAN_EVERY_MS)
    while bench.file.exists():
        await asyncio.sleep(0.001)
    work.cancel()

    assert (1, 0) == (announced, bench.uploads.under_way)


async def test_a_stop_waits_for_what_has_just_ended(bench: Bench) -> None:
    """On most platforms the disk goes with the process. But a bucket that is away holds up no stop for ever."""
    calls: Any = SimpleNamespace(
        busy=list,
        offered=int,
        upgrades=0,
        context=SimpleNamespace(uploads=bench.uploads),
        capacity=SimpleNamespace(draining=False),
    )
    config = uvicorn.Config(lambda: None, log_config=None)
    patient, hasty = (DrainingServer(config, lambda: calls, clock=bench.clock, drain_s=s) for s in (30, 0))
    bench.uploads.announce(str(bench.file))
    with capture_logs() as said:
        before = patient._has_drained(), hasty._has_drained()
    await bench.uploads.scan()

    assert (False, True) == before
    assert "server.not_uploaded" in [line["event_name"] for line in said]
    assert patient._has_drained()


# --- with a server and an S3 ----------------------------------------------------------------------------------------


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of this test's own, as CALLPATH_RECORDINGS names it."""
    for name, value in object_store.environment(s3_server).items():
        monkeypatch.setenv(name, value)
    return f"s3://{object_store.BUCKET}/{tmp_path.name}"


@pytest.mark.e2e
async def test_a_calls_recording_is_in_the_bucket(tmp_path: Path, bucket: str) -> None:
    """From the phone to S3: the setting is all that a user does."""
    app = BUILTIN["tone"]()
    async with serving(app, tmp_path, record=True, recordings=bucket) as served:
        caller = await served.telnyx.call()
        await caller.heard_for(300)
        await caller.hangup()
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, RecordingStored)
    stored = next(one.what for one in entries if isinstance(one.what, RecordingStored))
    saved = next(one.what for one in entries if isinstance(one.what, RecordingSaved))
    archive = open_archive(bucket)
    assert archive is not None
    await archive.fetch(f"{session}.wav", tmp_path / "back.wav")
    (_, heard), rate_hz = read_wav_sides(tmp_path / "back.wav")

    assert saved.path == stored.path
    assert not Path(saved.path).exists()
    assert abs(heard).max() > 1000
    assert 8000 == rate_hz


@pytest.mark.e2e
async def test_killed_before_the_upload_it_is_uploaded_after_the_next_start(tmp_path: Path, bucket: str) -> None:
    """kill -9 in the middle of a call, with a store out of reach: what was recorded gets there all the same."""
    away: dict[str, Any] = object_store.environment("http://127.0.0.1:9")
    away |= {"CALLPATH_RECORD": "true", "CALLPATH_RECORDINGS": bucket}
    async with Simulator() as telnyx:
        async with process(telnyx, tmp_path, **away) as served:
            caller = await telnyx.call()
            await caller.heard_for(1200)
            served.send(signal.SIGKILL)
            await served.exit_code()
        await caller.hangup()
        async with serving(BUILTIN["tone"](), tmp_path, telnyx=telnyx, recordings=bucket) as after:
            entries = await after.until_kind(caller.call.leg.call_session_id, RecordingStored)
    (found,) = (one.what for one in entries if isinstance(one.what, RecordingStored))

    assert found.duration_ms > 0
    assert [] == list((tmp_path / "recordings").iterdir())
