"""Recordings in less space: nothing lost by FLAC, nothing to hear by Opus, and a clear word about a file that is none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from callpath.audio.pcm import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import WavWriter, write_wav
from callpath.cli.app import app
from callpath.store.archive import open_archive
from callpath.timeline import RecordingSaved, RecordingStored
from tests import object_store
from tests.cli.conftest import Run
from tests.dashboard.calls import entries

RATES_HZ = [8000, 16000, 22050]


def written(path: Path, rate_hz: int = 8000) -> tuple[Pcm, Pcm]:
    left = tone(700, duration_ms=3000, sample_rate_hz=rate_hz)
    right = tone(440, duration_ms=3000, sample_rate_hz=rate_hz)
    write_wav(path, (left, right), rate_hz)
    return left, right


def sides(path: Path) -> tuple[Pcm, Pcm, int]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        rate_hz = container.streams.audio[0].rate
    if frames[0].shape[0] == 1:  # interleaved
        both = np.concatenate([frame[0] for frame in frames]).reshape(-1, 2)
        return both[:, 0], both[:, 1], rate_hz
    left, right = ((np.concatenate([frame[side] for frame in frames]) * 32767).astype(np.int16) for side in (0, 1))
    return left, right, rate_hz


def convert(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["recording", "convert", *map(str, arguments)])
    return result.exit_code, result.output


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_flac_keeps_every_sample(tmp_path: Path, rate_hz: int) -> None:
    """It may be the only copy, and evidence."""
    left, right = written(tmp_path / "call.wav", rate_hz)
    code, said = convert(tmp_path / "call.wav")
    left_again, right_again, rate_again = sides(tmp_path / "call.flac")

    assert (0, rate_hz) == (code, rate_again)
    assert "call.flac" in said
    assert np.array_equal(left, left_again)
    assert np.array_equal(right, right_again)
    assert ["call.flac", "call.wav"] == sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_opus_keeps_the_sides_apart(tmp_path: Path, rate_hz: int) -> None:
    """And in time: who searches a place by the clock must find it."""
    written(tmp_path / "call.wav", rate_hz)
    code, _ = convert(tmp_path / "call.wav", "--to", "opus")
    left, right, rate_again = sides(tmp_path / "call.opus")

    assert 0 == code
    assert abs(left.size / rate_again - 3.0) < 0.05
    assert dominant_frequency_hz(left[rate_again : 2 * rate_again], rate_again) == pytest.approx(700, abs=3)
    assert dominant_frequency_hz(right[rate_again : 2 * rate_again], rate_again) == pytest.approx(440, abs=3)
    assert (tmp_path / "call.opus").stat().st_size * 3 < (tmp_path / "call.wav").stat().st_size


def test_one_that_nobody_finished_will_do(tmp_path: Path) -> None:
    """What a killed process left behind is kept like any other."""
    writer = WavWriter(tmp_path / "cut.wav", 8000, channels=2)
    writer.append(tone(700, duration_ms=1500), tone(440, duration_ms=1500))
    code, _ = convert(tmp_path / "cut.wav")
    left, _, _ = sides(tmp_path / "cut.flac")
    writer.close()

    assert 0 == code
    assert left.size >= 8000


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"ID3 music", "is not a WAV file of ours"), (b"", "is not a WAV file of ours")],
)
def test_what_is_no_recording_is_named_and_the_others_go_on(tmp_path: Path, content: bytes | None, said: str) -> None:
    """One bad file in a folder of thousands must neither hide nor stop the rest."""
    written(tmp_path / "good.wav")
    if content is not None:
        (tmp_path / "bad.wav").write_bytes(content)
    code, output = convert(tmp_path / "bad.wav", tmp_path / "good.wav")

    assert 1 == code
    assert f"bad.wav {said}" in output
    assert (tmp_path / "good.flac").exists()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most servers run G.711 alone and never needed it."""
    written(tmp_path / "call.wav")
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    code, output = convert(tmp_path / "call.wav")

    assert 1 == code
    assert "pip install 'callpath[codecs]'" in output


# --- where recordings are kept ---------------------------------------------------------------------------------------

CALL = "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"


def test_a_calls_recordings_are_fetched(
    run: Run, write: Callable[..., None], alone: Path, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One from the bucket, whose keys stand in .env, and one that is still here; then the call is forgotten, there too."""
    setting = f"s3://{object_store.BUCKET}/{alone.name}"
    keys = object_store.environment(s3_server)
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    archive = open_archive(setting)
    assert archive is not None
    for name, content in (("a.wav", b"RIFF there"), ("a.outline.json", b"{}")):
        asyncio.run(archive.put(name, content))
    for name in keys:
        monkeypatch.delenv(name)
    told = [f"{name}={value}" for name, value in {**keys, "CALLPATH_RECORDINGS": setting}.items()]
    (alone / ".env").write_text("\n".join(told))
    here = alone / "callpath-data" / "recordings" / "b.wav"
    here.parent.mkdir(parents=True)
    here.write_bytes(b"RIFF here")
    stored = RecordingStored(
        path="/gone/a.wav", url=f"{setting}/a.wav", duration_ms=1, size_bytes=10, written_unix_ms=1
    )
    write(entries(CALL, [stored, RecordingSaved(path=str(here), duration_ms=1.0)]))
    (alone / "to").mkdir()
    got = run("recording", "get", CALL[:8], "--to", "to")
    forgotten = run("calls", "forget", CALL, "--yes")
    again = run("recording", "get", CALL[:8], "--to", "to")

    assert (0, "to/a.wav\nto/b.wav\n") == (got.exit_code, got.stdout)
    assert [b"RIFF there", b"RIFF here"] == [(alone / "to" / name).read_bytes() for name in ("a.wav", "b.wav")]
    assert (0, "1 calls and 2 recordings forgotten\n") == (forgotten.exit_code, forgotten.stdout)
    assert [None, None] == [asyncio.run(archive.size(name)) for name in ("a.wav", "a.outline.json")]
    assert (1, True) == (again.exit_code, "no recording" in again.stderr)
