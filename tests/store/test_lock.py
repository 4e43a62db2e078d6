"""One server for each SQLite file: whatever the file is called, and however the first one ended."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from callpath.errors import StoreError
from callpath.store import lock
from callpath.store.lock import lock_log

HOLD = """
import sys
from callpath.store.lock import lock_log
with lock_log(sys.argv[1], port=8000) as lock:
    print("held", flush=True)
    sys.stdin.read()
"""

HOLD_WITH_A_CHILD = """
import os, sys, time
from callpath.store.lock import lock_log
with lock_log(sys.argv[1]) as lock:
    if (child := os.fork()) == 0:
        print("child", os.getpid(), flush=True)
        sys.stdin.read()
        os._exit(0)
    os.waitpid(child, 0)
"""

posix = pytest.mark.skipif(sys.platform == "win32", reason="forks and signals")


@contextmanager
def holder(url: str, code: str = HOLD, **options: object) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'logs' / 'callpath.db'}"


def test_a_second_server_is_told_who_the_first_one_is(url: str, tmp_path: Path) -> None:
    """It would take the first one's calls for its own, and hang up on people who are talking."""
    with holder(url) as first, pytest.raises(StoreError) as caught, lock_log(url):
        pass

    assert str(caught.value) == (
        f"the call log {tmp_path}/logs/callpath.db is in use by the server with pid {first.pid} on port 8000. Stop that "
        "one first, or give this one another CALLPATH_DATA_DIR; for several processes use --workers, for several machines "
        "DATABASE_URL=postgresql://…"
    )


@pytest.mark.parametrize("spelling", ["relative", "dots", "link to the folder", "link to the file", "uri"])
def test_another_name_of_the_same_file(
    spelling: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount, a link to a volume, a start from another directory."""
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").symlink_to("logs")
    (tmp_path / "file.db").symlink_to("logs/callpath.db")
    other = {
        "relative": "sqlite:///logs/callpath.db",
        "dots": f"sqlite:///{tmp_path}/logs/../logs/./callpath.db",
        "link to the folder": f"sqlite:///{tmp_path}/folder/callpath.db",
        "link to the file": "sqlite:///file.db",
        "uri": f"sqlite:///file:{tmp_path}/logs/callpath.db?uri=true",
    }[spelling]
    with lock_log(url), pytest.raises(StoreError, match=f"pid {os.getpid()}"), lock_log(other):
        pass


@posix
def test_a_server_that_was_killed_leaves_nothing_behind(url: str) -> None:
    """kill -9, the OOM killer, a power cut: the platform starts it again, and it must serve."""
    with holder(url) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        with lock_log(url, port=1):
            pass


def test_a_server_that_stopped_leaves_the_file_to_the_next(url: str) -> None:
    """A deploy."""
    for _ in range(2):
        with lock_log(url, port=1):
            pass


@posix
def test_a_child_of_a_killed_server_keeps_nothing(url: str) -> None:
    """A handler's pool of processes is forked, and may live on."""
    with holder(url, HOLD_WITH_A_CHILD) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        with lock_log(url):
            pass


@posix
def test_a_process_that_the_lock_was_passed_on_to_holds_it(url: str) -> None:
    """Workers whose parent was killed finish their calls. Until the last one has ended, the calls are theirs."""
    with ExitStack() as parent:
        held = parent.enter_context(lock_log(url, port=8000, workers=2)).descriptor
        assert held is not None
        code = "import sys; from callpath.store.lock import adopt_lock; adopt_lock(int(sys.argv[1])); "
        command = [sys.executable, "-c", code + "print('held', flush=True); sys.stdin.read()", str(held)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[held], text=True)
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=rf"pid {os.getpid()} and its workers on port 8000"), lock_log(url):
        pass
    worker.communicate("")
    with lock_log(url):
        pass


def test_other_files_and_other_databases_are_free(url: str, tmp_path: Path) -> None:
    """Two bots on one machine; nodes on one Postgres; a log in memory, which opening it refuses by itself."""
    others = (
        f"sqlite:///{tmp_path / 'other.db'}",
        "postgresql://callpath@db.example.com/calls",
        "sqlite://",
        "sqlite:///:memory:",
        "no url",
    )
    with lock_log(url):
        for other in others:
            with lock_log(other):
                pass


def test_a_holder_from_another_host_is_named_with_it(url: str, tmp_path: Path) -> None:
    """Two containers on one volume: both have pid 1."""
    with lock_log(url):
        file = tmp_path / "logs" / "callpath.db.lock"
        file.write_text(json.dumps({"pid": 1, "port": 8000, "host": "blue", "workers": 1}))
        with pytest.raises(StoreError, match="the server with pid 1 on port 8000 of host blue"), lock_log(url):
            pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\0\0"])
def test_a_holder_that_has_not_written_its_name(
    text: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has only just started, or its disk is full: the message does without."""
    monkeypatch.setattr(lock, "WAIT_FOR_TEXT_MS", 0.0)
    with lock_log(url):
        (tmp_path / "logs" / "callpath.db.lock").write_text(text)
        with pytest.raises(StoreError, match="is in use by another server"), lock_log(url):
            pass


def test_a_file_system_without_locks_serves(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network folders have none. One server works there as before."""

    def without(_descriptor: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", without)
    with lock_log(url) as held:
        held.name_holder(8000)

        assert held.descriptor is None


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_named(url: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume mounted read-only, or of another user."""

    def denied(path: object, *_: object) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(StoreError, match=rf"cannot be locked.*callpath\.db\.lock: {os.strerror(code)}"), lock_log(url):
        pass


def test_a_full_disk_keeps_nobody_from_serving(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock holds without a name in it."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(lock, "WAIT_FOR_TEXT_MS", 0.0)
    with lock_log(url, port=8000), pytest.raises(StoreError, match="another server"), lock_log(url):
        pass
