"""What a caller says: a WAV, samples, or a text that espeak-ng speaks where it is installed."""

from __future__ import annotations

import importlib.resources
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import read_wav
from callpath.errors import AudioError

PROGRAMS = ("espeak-ng", "espeak")
WORDS_PER_MINUTE = 150
"""A person on the phone; espeak-ng's own 175 is hurried."""
SPEAK_S_MAX = 30
TEXT_CHARS_MAX = 2_000
"""Two minutes of speech."""


HELLO_WORDS = "Hello, this is a test call. Can you hear every word?"
"""What the recording that ships with callpath says."""


def words_of(audio: Pcm | Path | str) -> str | None:
    """The words of a text, and of the recording that ships with callpath; None for any other sound."""
    if isinstance(audio, str) and not audio.lower().endswith(".wav"):
        return audio
    return HELLO_WORDS if isinstance(audio, Path) and audio == hello_wav() else None


def load_speech(audio: Pcm | Path | str, sample_rate_hz: int | None, to_rate_hz: int) -> Pcm:
    """PCM at `to_rate_hz`. A text that ends in .wav is a file, any other one is spoken.

    Raises AudioError for a file that is no WAV, or a text that nobody here can speak.
    """
    if isinstance(audio, Path) or (isinstance(audio, str) and audio.lower().endswith(".wav")):
        pcm, rate_hz = read_wav(audio)
    elif isinstance(audio, str):
        pcm, rate_hz = speak(audio)
    else:
        pcm, rate_hz = audio, sample_rate_hz or to_rate_hz
    return resample_file_audio(pcm, rate_hz, to_rate_hz)


@lru_cache(maxsize=64)
def speak(text: str) -> tuple[Pcm, int]:
    """`text` as espeak-ng speaks it, and its rate. Takes tens of milliseconds; the same text again takes none.

    Raises AudioError where no espeak-ng is installed, or it fails.
    """
    if not text.strip() or len(text) > TEXT_CHARS_MAX:
        raise AudioError(f"a text to speak has 1 to {TEXT_CHARS_MAX} characters, this one has {len(text.strip())}")
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise AudioError(
            "A text can only be spoken with espeak-ng, which is not installed (apt install espeak-ng, or "
            "brew install espeak-ng). A WAV file works without it."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [program, "-s", str(WORDS_PER_MINUTE), "-w", str(path), "--stdin"]
        try:
            done = subprocess.run(  # noqa: S603  (a list, no shell; the text goes in by stdin)
                command, input=text.encode(), capture_output=True, timeout=SPEAK_S_MAX, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AudioError(f"{Path(program).name} did not speak: {error}") from None
        if done.returncode != 0 or not path.exists():
            problem = done.stderr.decode(errors="replace").strip().splitlines()
            raise AudioError(f"{Path(program).name} did not speak: {problem[-1] if problem else done.returncode}")
        return read_wav(path)


def hello_wav() -> Path:
    """The recording that ships with callpath: somebody says hello, for 3.6 seconds."""
    with importlib.resources.as_file(importlib.resources.files("callpath.simulator") / "voices" / "hello.wav") as path:
        return path
