"""What a page needs of a recording, and which files it may come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.dashboard.recordings import LEVELS_MAX, PEAKS_MAX, inside, outline
from callpath.errors import ArchiveError, AudioError
from callpath.server.retention import BESIDE
from callpath.store.archive import Archive
from callpath.timeline import RecordingSaved, RecordingStored, StreamStarted
from callpath.wire.ids import StreamId
from tests.dashboard.calls import Looking, looking


def test_the_outline_of_two_sides(tmp_path: Path) -> None:
    """Lowest and highest by turns; a side that is silent is drawn as a line."""
    loud, silent = tone(440, duration_ms=1000, level_dbfs=-3.1), np.zeros(8000, np.int16)
    write_wav(tmp_path / "a.wav", (loud, silent), 8000)
    drawn = outline(tmp_path / "a.wav")
    caller, bot = drawn.sides

    assert (1000.0, 200, {0}) == (drawn.duration_ms, len(caller.peaks), set(bot.peaks))
    assert min(caller.peaks[::2]) < -30_000 and max(caller.peaks[1::2]) > 30_000
    assert [-3.1] * 10 == caller.levels_dbfs


def test_an_hour_is_drawn_with_no_more_points_than_a_screen_has(tmp_path: Path) -> None:
    """Else its page would take a megabyte and a second."""
    write_wav(tmp_path / "a.wav", np.zeros(8000 * 3600, np.int16), 8000)
    (side,) = outline(tmp_path / "a.wav").sides

    assert len(side.peaks) <= 2 * PEAKS_MAX
    assert len(side.levels_dbfs) <= LEVELS_MAX


def test_a_header_that_tells_an_odd_rate_is_drawn(tmp_path: Path) -> None:
    """Found by fuzz: a page that fails because of one file shows none of the call's others."""
    write_wav(tmp_path / "a.wav", np.zeros(5, np.int16), 1)
    (side,) = outline(tmp_path / "a.wav").sides

    assert len(side.levels_dbfs) == 5


def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    """Said, not crashed over."""
    (tmp_path / "a.wav").write_bytes(b"hello")

    with pytest.raises(AudioError):
        outline(tmp_path / "a.wav")


def test_only_files_in_the_data_directory(tmp_path: Path) -> None:
    """By a link or by dots neither."""
    folder = tmp_path / "data"
    folder.mkdir()
    ours, theirs = folder / "a.wav", tmp_path / "b.wav"
    ours.touch()
    theirs.touch()
    (folder / "link.wav").symlink_to(theirs)

    assert ours.resolve() == inside(folder, str(ours))
    assert [None] * 4 == [
        inside(folder, str(path))
        for path in (theirs, folder / ".." / "b.wav", folder / "link.wav", folder / "gone.wav")
    ]


# --- where recordings are kept ---------------------------------------------------------------------------------------


class Counting(Archive):
    """In memory; tells how often the whole was fetched."""

    def __init__(self) -> None:
        from obstore.store import MemoryStore

        super().__init__("s3://calls", MemoryStore())
        self.fetched: list[str] = []

    async def fetch(self, name: str, to: Path) -> None:
        self.fetched.append(name)
        await super().fetch(name, to)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[tuple[Counting, Looking, str, bytes]]:
    """A call whose recording is in an archive, and its address in the API."""
    write_wav(tmp_path / "a.wav", (tone(440, duration_ms=1000), tone(440, duration_ms=500)), 8000)
    content = (tmp_path / "a.wav").read_bytes()
    archive = Counting()
    await archive.put("a.wav", content)
    (tmp_path / "a.wav").unlink()
    async with looking(tmp_path, door={"archive": archive}) as it:
        stored = RecordingStored(
            path=str(tmp_path / "a.wav"), url="s3://calls/a.wav", duration_ms=1000, size_bytes=1, written_unix_ms=5
        )
        saved = RecordingSaved(path=stored.path, duration_ms=1000.0)
        started = StreamStarted(stream_id=StreamId("s"), encoding="PCMU", sample_rate_hz=8000)
        await it.take("call", [started, saved, stored])
        (recording,) = (await it.get("/calls/call"))["recordings"]
        yield archive, it, f"/api/v1/calls/call/recordings/{recording['number']}", content


async def test_a_player_hears_it_in_parts(kept: tuple[Counting, Looking, str, bytes]) -> None:
    """As from a disk: Safari plays nothing that has no ranges, and nobody wants to wait for the hour before the minute."""
    archive, it, address, content = kept
    asked = ["bytes=0-43", "bytes=100-", "bytes=-10", "bytes=40-99999999", "bytes=99999999-", "nonsense", None]
    answers = [await it.http.get(f"{address}.wav", headers={} if part is None else {"range": part}) for part in asked]
    size = len(content)

    assert [206, 206, 206, 206, 416, 200, 200] == [answer.status_code for answer in answers]
    assert [content[:44], content[100:], content[-10:], content[40:], b"", content, content] == [
        answer.content for answer in answers
    ]
    assert [f"bytes 0-43/{size}", f"bytes */{size}"] == [answers[at].headers["content-range"] for at in (0, 4)]
    assert ["44", str(size)] == [answers[at].headers["content-length"] for at in (0, 6)]
    assert [] == archive.fetched


async def test_it_is_drawn_from_its_outline(kept: tuple[Counting, Looking, str, bytes]) -> None:
    """The whole is read once, however often the page is looked at; a call that is forgotten takes the outline along."""
    archive, it, address, _ = kept
    first = (await it.http.get(f"{address}/outline")).json()
    again = (await it.http.get(f"{address}/outline")).json()

    assert ["caller", "bot"] == [side["name"] for side in first["sides"]]
    assert first == again
    assert ["a.wav"] == archive.fetched
    assert await archive.size("a.outline.json")
    assert ".outline.json" in BESIDE


async def test_a_replay_fetches_it(kept: tuple[Counting, Looking, str, bytes]) -> None:
    """The words of then; here what lies there is no sound, which is said as of a file on disk."""
    archive, it, _, _ = kept
    await archive.put("a.wav", b"x")
    answer = await it.http.post("/api/v1/calls/call/replay")

    assert 409 == answer.status_code
    assert ["a.wav"] == archive.fetched


async def test_one_that_is_gone_and_a_store_that_is_away(kept: tuple[Counting, Looking, str, bytes]) -> None:
    """Different things to whoever looks for it: 404, and 503 with the store's own words."""
    archive, it, address, _ = kept
    await archive.delete("a.wav")
    gone = [await it.http.get(f"{address}{what}") for what in (".wav", "/outline")]

    async def away(name: str) -> int | None:
        raise ArchiveError("s3://calls cannot be read: no answer came", code="REC003")

    archive.size = away  # type: ignore[method-assign]
    down = [await it.http.get(f"{address}{what}") for what in (".wav", "/outline")]

    assert [404, 404] == [answer.status_code for answer in gone]
    assert [503, 503] == [answer.status_code for answer in down]
    assert "no answer came" in down[0].json()["detail"]
