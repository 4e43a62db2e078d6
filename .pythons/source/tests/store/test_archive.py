"""Where recordings are kept: the same promises from an object store, a folder, and memory; and failures that are named."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from callpath.errors import ArchiveError, ConfigError
from callpath.store.archive import PIECE_BYTES, TROUBLES, Archive, open_archive
from tests import object_store

LONG = bytes(range(256)) * (PIECE_BYTES // 256 * 6)  # more than one part of an upload, and many pieces


@pytest.fixture(params=["memory", "folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """Each kind, empty."""
    from obstore.store import MemoryStore

    if request.param == "memory":
        yield Archive("memory://", MemoryStore())
        return
    setting = str(tmp_path / "kept" / "calls")
    if request.param == "s3":
        for name, value in object_store.environment(request.getfixturevalue("s3_server")).items():
            monkeypatch.setenv(name, value)
        setting = f"s3://{object_store.BUCKET}/{tmp_path.name}/"
    opened = open_archive(setting)
    assert opened is not None
    yield opened


async def test_what_was_put_is_there_until_it_is_deleted(archive: Archive, tmp_path: Path) -> None:
    """Whole and in parts; deleting twice is no mistake, since retention may be killed in between."""
    (tmp_path / "a.wav").write_bytes(LONG)
    size = await archive.put("a.wav", tmp_path / "a.wav")
    part = b"".join([piece async for piece in archive.read("a.wav", 5, PIECE_BYTES + 9)])
    await archive.fetch("a.wav", tmp_path / "b.wav")
    there = await archive.size("a.wav")
    await archive.put("a.wav", b"short")
    replaced = await archive.size("a.wav")
    await archive.delete("a.wav", "never-there")
    await archive.delete("a.wav")

    assert (len(LONG), len(LONG), 5, None) == (size, there, replaced, await archive.size("a.wav"))
    assert LONG[5 : PIECE_BYTES + 9] == part
    assert (tmp_path / "b.wav").read_bytes() == LONG


async def test_a_check_leaves_nothing(archive: Archive, tmp_path: Path) -> None:
    """It is made at each start."""
    await archive.check()

    assert await archive.size("callpath-check") is None


def test_only_what_lies_here_has_a_name() -> None:
    """A timeline that names another bucket, or a folder above, opens nothing."""
    from obstore.store import MemoryStore

    archive = Archive("s3://calls/x", MemoryStore())

    assert "a.wav" == archive.name_of(archive.url_of("a.wav"))
    assert [None] * 5 == [
        archive.name_of(url)
        for url in (None, "s3://calls/x/", "s3://calls/xa.wav", "s3://other/x/a.wav", "s3://calls/x/../a.wav")
    ]


async def test_a_bucket_that_is_not_there_is_named(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, with the store's own word for it."""
    for name, value in object_store.environment(s3_server).items():
        monkeypatch.setenv(name, value)
    archive = open_archive("s3://no-such-bucket/x")
    assert archive is not None
    with pytest.raises(ArchiveError, match=r"^s3://no-such-bucket/x cannot be written: .*NoSuchBucket") as raised:
        await archive.check()

    assert "REC002" == raised.value.code


async def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quickly: who uploads tries again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for name, value in object_store.environment(f"http://127.0.0.1:{port}").items():
        monkeypatch.setenv(name, value)
    archive = open_archive("s3://calls")
    assert archive is not None
    with pytest.raises(ArchiveError, match="no answer came") as raised:
        await archive.size("a.wav")

    assert "REC003" == raised.value.code


async def test_a_store_that_forbids_is_named() -> None:
    """By its own word: a policy without s3:PutObject is the usual mistake."""
    from obstore.store import MemoryStore

    archive = Archive("s3://calls", MemoryStore())

    def refuse() -> None:
        raise PermissionError("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")

    with pytest.raises(ArchiveError, match=r"do not allow it \(AccessDenied: Access Denied\)") as raised:
        await archive._do("s3://calls cannot be written", refuse)

    assert "REC001" == raised.value.code


async def test_a_file_that_is_gone_is_not_taken_for_a_missing_bucket(tmp_path: Path) -> None:
    """Both are a FileNotFoundError to Python."""
    archive = open_archive(str(tmp_path / "kept"))
    assert archive is not None
    with pytest.raises(ArchiveError) as raised:
        await archive.put("a.wav", tmp_path / "a.wav")

    assert "REC006" == raised.value.code
    assert raised.value.code in TROUBLES


@pytest.mark.parametrize("setting", ["ftp://x/y", "s3://", "s3:///", "s3://a@b/c", "s3://b?x", "az://b/x"])
def test_a_setting_that_means_nothing(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at start, with a right one. (Azure wants an account, too.)"""
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(ConfigError, match="CALLPATH_RECORDINGS=s3://BUCKET/recordings"):
        open_archive(setting)


def test_the_folder_of_the_recordings_themselves(tmp_path: Path) -> None:
    """What was copied onto itself would be deleted after that; another name of the same folder is no other folder."""
    (tmp_path / "recordings").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "recordings")
    for name in ("recordings", "link", "recordings/../recordings"):
        with pytest.raises(ConfigError, match="is the folder in which calls are recorded"):
            open_archive(str(tmp_path / name), tmp_path / "recordings")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "kept").write_bytes(b"")
    with pytest.raises(ConfigError, match="CALLPATH_RECORDINGS cannot be used"):
        open_archive(str(tmp_path / "kept"))


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, not an ImportError."""
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError, match=r"pip install 'callpath\[s3\]'"):
        open_archive("s3://calls")

    assert open_archive("") is None
