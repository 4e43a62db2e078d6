"""What Telnyx itself plays: in which order, how long, and that it sounds as it should."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from callpath.audio.codec import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.errors import AudioError
from callpath.simulator.recording import Recording
from callpath.simulator.sound import (
    Began,
    Happening,
    Sound,
    Sounds,
    decode_content,
    decode_file,
    hum,
    key_tones,
    repeats,
)
from callpath.wire.command import PlaybackStart, RecordStart


def sound(name: str, ms: float = 100, *, loop: int | str | None = None, overlay: bool = False) -> Sound:
    """Something to play that is ready."""
    return Sound(name, PlaybackStart(media_name=name, overlay=overlay), audio=hum(ms), repeats=repeats(loop))


def file_of(audio: Pcm, kind: str) -> bytes:
    """A WAV or MP3 of `audio`, made as recordings are."""
    assert kind in ("wav", "mp3")
    asked = RecordStart(format="wav" if kind == "wav" else "mp3", channels="single", recording_track="inbound")
    recording = Recording("r", asked, 0.0)
    recording.end(audio.size / 8)
    return recording.file(audio, audio[:0])


def told(happenings: list[Happening]) -> list[tuple[str, str, float]]:
    return [(one.sound.sound_id, "began" if isinstance(one, Began) else one.status, one.at_ms) for one in happenings]


def test_sounds_follow_each_other_without_a_gap() -> None:
    """However late the clock is looked at, each event has its own true time."""
    sounds = Sounds()
    sounds.add(sound("a"), 10)
    sounds.add(sound("b"), 20)

    assert 110 == sounds.next_at_ms()
    assert [("a", "completed", 110), ("b", "began", 110), ("b", "completed", 210)] == told(sounds.advance(500))


def test_one_that_is_not_ready_holds_the_queue() -> None:
    """A file that is still being fetched is not overtaken."""
    sounds = Sounds()
    late = Sound("late", PlaybackStart(media_name="late"))
    assert [] == sounds.add(late, 0) + sounds.add(sound("next"), 5)
    late.audio = hum(50)

    assert [("late", "began", 300)] == told(sounds.advance(300))


def test_a_file_that_cannot_be_had_ends_without_a_beginning() -> None:
    """A program that waits for the end must get one."""
    sounds = Sounds()
    gone = Sound("gone", PlaybackStart(media_name="gone"), problem=("file_not_found", "not there"))

    assert [("gone", "file_not_found", 7)] == told(sounds.add(gone, 7))


@pytest.mark.parametrize(
    ("which", "expected"),
    [("current", [("a", "cancelled", 50), ("b", "began", 50)]), ("all", [("a", "cancelled", 50)])],
)
def test_stop(which: str, expected: list[tuple[str, str, float]]) -> None:
    """ "current" goes on with the next one, "all" is silence."""
    sounds = Sounds()
    sounds.add(sound("a"), 0)
    sounds.add(sound("b"), 0)

    assert expected == told(sounds.stop(50, which, "cancelled"))
    assert (which == "current") == bool(sounds.waiting)


def test_what_was_heard_of_a_stopped_sound() -> None:
    """The ear must have as much as was played, also of what repeats for ever."""
    sounds = Sounds()
    endless = sound("music", 100, loop="infinity")
    sounds.add(endless, 0)

    assert sounds.next_at_ms() is None
    assert 250 * 8 == endless.heard_until(250).size
    assert np.array_equal(endless.heard_until(250)[800:1600], endless.part(100, 100))


def test_an_overlay_sounds_beside_the_queue() -> None:
    """And is stopped by its own stop only."""
    sounds = Sounds()
    sounds.add(sound("a"), 0)
    sounds.add(sound("over", overlay=True), 10)
    assert ["a", "over"] == [one.sound_id for one in sounds.playing]

    assert [("over", "cancelled", 20)] == told(sounds.stop(20, "all", "cancelled", overlay=True))
    assert ["a"] == [one.sound_id for one in sounds.playing]


@pytest.mark.parametrize(("key", "low", "high"), [("1", 697, 1209), ("#", 941, 1477), ("D", 941, 1633)])
def test_key_tones_are_those_of_a_telephone(key: str, low: float, high: float) -> None:
    """A menu at the other end listens for exactly these two."""
    audio = key_tones(key, 250)[: 250 * 8]
    spectrum = np.abs(np.fft.rfft(audio))
    loudest = sorted(float(at) * 4.0 for at in np.argsort(spectrum)[-2:])

    assert [low, high] == pytest.approx(loudest, abs=4)


def test_pauses_between_keys() -> None:
    """w is half a second, W a whole one."""
    assert (250 + 100 + 500 + 250 + 100 + 1000) * 8 == key_tones("1w2W", 250).size


@pytest.mark.parametrize("kind", ["wav", "mp3"])
def test_files_are_decoded(kind: str) -> None:
    """The two kinds that Telnyx plays; proof by ear, not by size."""
    if kind == "mp3":
        pytest.importorskip("av")
    content = file_of(tone(440, duration_ms=500), kind)
    audio = decode_content(base64.b64encode(content).decode())

    assert 440 == pytest.approx(dominant_frequency_hz(audio, 8000), abs=2)
    assert 500 * 8 == pytest.approx(audio.size, rel=0.1)


@pytest.mark.parametrize("content", [b"", b"<html>", bytes(2000), b"RIFF0000WAVE"])
def test_what_is_no_audio_is_said_to_be_none(content: bytes) -> None:
    """An error page in place of the file is common."""
    with pytest.raises(AudioError):
        decode_file(content, "hello.mp3")
    with pytest.raises(AudioError, match="not base64"):
        decode_content("%")
