"""Recordings: what is in the file, heard on both sides."""

from __future__ import annotations

import io
import wave

import numpy as np
import numpy.typing as npt
import pytest

from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.simulator.recording import Recording, Shelf
from callpath.simulator.sound import decode_file
from callpath.wire.command import RecordStart

SAID, HEARD = tone(440, duration_ms=1000), tone(1000, duration_ms=400)


def recorded(asked: RecordStart, *, until_ms: float = 1000) -> Recording:
    recording = Recording("r", asked, started_at_ms=500)
    recording.end(500 + until_ms)
    return recording


def sides(content: bytes) -> npt.NDArray[np.int16]:
    """One row for each channel."""
    with wave.open(io.BytesIO(content)) as file:
        assert (8000, 2) == (file.getframerate(), file.getsampwidth())
        frames = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return frames.reshape(-1, file.getnchannels()).T


def test_a_dual_recording_has_the_caller_left() -> None:
    """The shorter side is silent where it has ended, so both stay on one clock."""
    left, right = sides(recorded(RecordStart(format="wav", channels="dual")).file(SAID, HEARD))

    assert left.size == right.size == 8000
    assert 440 == pytest.approx(dominant_frequency_hz(left, 8000), abs=1)
    assert 1000 == pytest.approx(dominant_frequency_hz(right[:3200], 8000), abs=1)
    assert not right[3200:].any()


@pytest.mark.parametrize(
    ("track", "channels", "frequency"),
    [("inbound", "dual", 440), ("outbound", "dual", 1000), ("both", "single", 440)],
)
def test_one_channel(track: str, channels: str, frequency: float) -> None:
    """A single track is mono whatever `channels` says, as documented."""
    asked = RecordStart(format="wav", channels="single" if channels == "single" else "dual", recording_track=track)  # type: ignore[arg-type]  # parametrized
    (only,) = sides(recorded(asked).file(SAID, HEARD))

    assert frequency == pytest.approx(dominant_frequency_hz(only, 8000), abs=1)


def test_pauses_are_left_out() -> None:
    """What is said while it is paused (a card number) must not be in the file."""
    recording = Recording("r", RecordStart(format="wav", channels="dual"), started_at_ms=0)
    recording.pause(200)
    recording.pause(300)  # again: no effect
    recording.resume(600)
    recording.resume(700)
    recording.pause(900)
    recording.end(1000)
    left, _ = sides(recording.file(SAID, HEARD))

    assert [(0, 200), (600, 900), (1000, 1000)] == recording.spans()
    assert 500 * 8 == left.size


def test_trimming_takes_the_silence_of_both_ends() -> None:
    """`trim-silence`; silence in between stays."""
    said = np.concatenate([np.zeros(1600, np.int16), SAID[:1600], np.zeros(4800, np.int16)])
    asked = RecordStart(format="wav", channels="dual", trim="trim-silence")

    assert 1600 == sides(recorded(asked).file(said, HEARD[:0])).shape[1]
    assert 0 == sides(recorded(asked).file(HEARD[:0], HEARD[:0])).shape[1]


@pytest.mark.parametrize("channels", ["single", "dual"])
def test_an_mp3_can_be_played(channels: str) -> None:
    """Telnyx's default format for recordings of answer and dial."""
    pytest.importorskip("av")
    asked = RecordStart(format="mp3", channels="single" if channels == "single" else "dual")
    audio = decode_file(recorded(asked).file(SAID, HEARD[:0]), "r.mp3")

    assert 440 == pytest.approx(dominant_frequency_hz(audio, 8000), abs=1)
    assert recorded(asked, until_ms=0).file(SAID, HEARD)


def test_the_shelf_is_bounded_in_size_and_time() -> None:
    """A simulator that runs for days must not keep every call; Telnyx's addresses end after 10 minutes too."""
    shelf = Shelf(bytes_max=10, kept_ms=1000)
    shelf.add("a", b"12345", 0)
    shelf.add("b", b"123456", 100)

    assert (None, b"123456") == (shelf.get("a", 200), shelf.get("b", 200))
    assert shelf.get("b", 1100) is None
