"""What a caller can be given to say."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import write_wav
from callpath.errors import AudioError
from callpath.simulator.ear import speech_spans
from callpath.simulator.speech import PROGRAMS, hello_wav, load_speech, speak

HAS_ESPEAK = any(shutil.which(name) for name in PROGRAMS)


@pytest.mark.skipif(not HAS_ESPEAK, reason="no espeak-ng here")
def test_a_text_is_spoken() -> None:
    """A test reads better with words in it than with names of files."""
    pcm = load_speech("One two three.", None, 8000)
    ((start, end),) = speech_spans(pcm)

    assert end - start > 500
    assert speak("One two three.") is speak("One two three."), "the same text costs nothing again"


def test_without_espeak_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And that a WAV works without."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AudioError, match=r"apt install espeak-ng.*A WAV file works without it"):
        speak("A text that nobody has spoken before.")


@pytest.mark.parametrize("text", ["", "   ", "x" * 3000])
def test_a_text_has_bounds(text: str) -> None:
    """An hour of speech would be made before the first ring."""
    with pytest.raises(AudioError, match="1 to 2000 characters"):
        speak(text)


def test_a_file_brings_its_own_rate(tmp_path: Path) -> None:
    """Said at the wrong rate it would be a chipmunk."""
    write_wav(tmp_path / "a.wav", tone(500, duration_ms=200, sample_rate_hz=16000), 16000)

    for given in (tmp_path / "a.wav", str(tmp_path / "a.wav")):
        assert abs(dominant_frequency_hz(load_speech(given, None, 8000), 8000) - 500) < 5
    assert np.array_equal(tone(500, duration_ms=20), load_speech(tone(500, duration_ms=20), None, 8000))


def test_the_hello_that_ships() -> None:
    """The first call of a newcomer must have something to say, without espeak-ng."""
    assert len(speech_spans(load_speech(hello_wav(), None, 8000))) >= 1
