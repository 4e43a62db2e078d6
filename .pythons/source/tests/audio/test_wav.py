from __future__ import annotations

import errno
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import callpath.audio.wav as wav_module
from callpath.audio.level import peak_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import WavWriter, parse_wav, read_wav, unless_being_written, wav_duration_ms, write_wav
from callpath.errors import AudioError


@pytest.mark.parametrize("form", ["u8", "s24", "s32", "f32", "f64", "alaw", "ulaw"])
def test_every_format_gives_the_same_sound(form: str, golden: Path) -> None:
    """Recordings come from everywhere; a format read wrongly is noise in a caller's ear."""
    pcm, rate = read_wav(golden / f"tone-{form}.wav")

    assert (8000, 800) == (rate, pcm.size)
    assert abs(dominant_frequency_hz(pcm, rate) - 440) < 1
    assert abs(peak_dbfs(pcm) + 18.06) < 0.3  # ffmpeg's sine has an amplitude of 1/8


def test_stereo_is_mixed(golden: Path) -> None:
    """One silent side halves the level: 6 dB."""
    pcm, rate = read_wav(golden / "tone-stereo.wav")

    assert (8000, 800) == (rate, pcm.size)
    assert abs(dominant_frequency_hz(pcm, rate) - 440) < 1
    assert abs(peak_dbfs(pcm) + 24.08) < 0.3


@given(samples=st.lists(st.integers(-32768, 32767), max_size=300), rate=st.sampled_from([8000, 16000, 44100]))
def test_written_and_read_again(samples: list[int], rate: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A recording is evidence: it must be exact."""
    path = tmp_path_factory.mktemp("wav") / "call.wav"
    write_wav(path, np.array(samples, np.int16), rate)
    pcm, read_rate = read_wav(path)

    assert samples == pcm.tolist()
    assert rate == read_rate


def test_both_sides_of_a_call_as_others_read_it(tmp_path: Path) -> None:
    """Left and right must not be swapped or shifted, and players must take the file."""
    path = tmp_path / "call.wav"
    write_wav(path, (np.array([1, 2, 3], np.int16), np.array([-1], np.int16)), 8000)
    with wave.open(str(path)) as heard:
        frames = heard.readframes(99)

        assert (2, 2, 8000, 3) == (heard.getnchannels(), heard.getsampwidth(), heard.getframerate(), heard.getnframes())
    assert [1, -1, 2, 0, 3, 0] == list(struct.unpack("<6h", frames))


def test_a_growing_file_is_readable_all_the_time(tmp_path: Path) -> None:
    """Operators listen while the call lasts."""
    path = tmp_path / "call.wav"
    frame = tone(440, duration_ms=20)
    writer = WavWriter(path, 8000)
    assert 0 == read_wav(path)[0].size
    for _ in range(74):
        writer.append(frame)
    assert 8000 == read_wav(path)[0].size
    writer.close()
    writer.close()

    assert 74 * 160 == read_wav(path)[0].size


KILLED = """
import os, signal, sys
import numpy as np
from callpath.audio.wav import WavWriter
writer = WavWriter(sys.argv[1], 8000)
for _ in range(190):
    writer.append(np.full(160, 7, np.int16))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_process_loses_a_second_at_most(tmp_path: Path) -> None:
    """The recording of the call that brought the server down is the one that is needed."""
    path = tmp_path / "call.wav"
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    pcm, rate = read_wav(path)

    assert 8000 == rate
    assert 3.8 * 8000 - 8000 <= pcm.size <= 3.8 * 8000
    assert {7} == set(pcm.tolist())
    with wave.open(str(path)) as heard:
        assert pcm.size == heard.getnframes()


def test_a_cut_off_file_gives_what_is_there(tmp_path: Path) -> None:
    """A disk that ran full still holds the beginning."""
    path = tmp_path / "cut.wav"
    write_wav(path, np.arange(100, dtype=np.int16), 8000)
    path.write_bytes(path.read_bytes()[:-51])

    assert list(range(74)) == read_wav(path)[0].tolist()


def wav_file(tag: int, channels: int, rate: int, block: int, bits: int, body: bytes) -> bytes:
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WAVE" + chunks


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a text", "is not a WAV file"),
        (b"ID3\x04" + bytes(100), "is not a WAV file: it is an MP3 file"),
        (b"\xff\xfb\x90\x64" + bytes(100), "is not a WAV file: it is an MP3 file"),
        (b"OggS\x00" + bytes(100), "is not a WAV file: it is an Ogg file"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(100), "is not a WAV file: it is an MP4 or M4A file"),
        (b"RF64\xff\xff\xff\xffWAVE" + bytes(100), "is not a WAV file: it is an RF64 file"),
        (b"RIFF\x04\x00\x00\x00WAVE", "holds no audio"),
        (b"RIFF\x04\x00\x00\x00WAVEdata\x02\x00\x00\x00ab", "has no usable format header"),
        (wav_file(0x0055, 1, 8000, 1, 8, b"ab"), "holds format 85 with 8 bits"),
        (wav_file(1, 0, 8000, 2, 16, b"ab"), "contradicts itself"),
        (wav_file(1, 1, 8000, 7, 16, b"ab"), "contradicts itself"),
        (wav_file(1, 1, 8000, 0, 0, b"ab"), "contradicts itself"),
    ],
)
def test_other_files_are_refused_with_what_to_do(content: bytes, problem: str, tmp_path: Path) -> None:
    """A prompt in MP3 is the commonest mistake: the text must name the file and the way out."""
    path = tmp_path / "prompt.wav"
    path.write_bytes(content)

    with pytest.raises(AudioError, match=rf"prompt\.wav .*{problem}.*ffmpeg -i prompt\.wav"):
        read_wav(path)


@given(tail=st.binary(max_size=120))
def test_any_bytes_give_audio_or_an_audio_error(tail: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files from outside must not raise what nobody catches."""
    path = tmp_path_factory.mktemp("wav") / "any.wav"
    path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt " + tail)
    try:
        pcm, _ = read_wav(path)
    except AudioError:
        return

    assert np.int16 == pcm.dtype


def test_floats_beyond_full_scale_clip(tmp_path: Path) -> None:
    """Editors write floats above 1.0, and now and then a NaN; a damaged file one that signals, and numpy warns of it."""
    path = tmp_path / "float.wav"
    body = np.array([2.0, -2.0, np.nan, 0.5, np.inf], "<f4").tobytes() + b"\x00\x00\xa0\x7f"
    path.write_bytes(wav_file(3, 1, 8000, 4, 32, body))

    assert [32767, -32768, 0, 16384, 32767, 0] == read_wav(path)[0].tolist()


def test_speech_of_the_golden_file(speech_8k: Pcm) -> None:
    """The clip that other tests lean on is what its README says."""
    assert 9600 == speech_8k.size


# --- who writes it ---------------------------------------------------------------------------------------------------


def test_who_writes_a_file_holds_it(tmp_path: Path) -> None:
    """An uploader must not take half a call for the whole; and a killed process holds nothing."""
    path = tmp_path / "a.wav"
    with WavWriter(path, 8000), unless_being_written(path) as during:
        pass
    with unless_being_written(path) as after, unless_being_written(path) as twice:
        pass

    assert (False, True, False) == (during, after, twice)


def test_where_there_are_no_locks_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, and some network disks: then the file's age decides."""

    def none_here(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    found = []
    for lock in (None, none_here):
        monkeypatch.setattr("callpath.audio.wav.flock", lock)
        with WavWriter(tmp_path / "a.wav", 8000), unless_being_written(tmp_path / "a.wav") as free:
            found.append(free)

    assert [None, None] == found


def test_how_long_a_file_is(tmp_path: Path) -> None:
    """By its header: the samples of an hour need not be read for it."""
    write_wav(tmp_path / "a.wav", (tone(440, duration_ms=250), tone(440, duration_ms=250)), 8000)
    (tmp_path / "b.wav").write_bytes(b"RIFF")

    assert 250.0 == wav_duration_ms(tmp_path / "a.wav")
    with pytest.raises(AudioError, match=r"b\.wav is not a WAV file of ours"):
        wav_duration_ms(tmp_path / "b.wav")


@pytest.mark.parametrize(("rate_hz", "to_hz"), [(44_100, 8000), (8000, 16_000), (8000, 8000), (11_025, 8000)])
@pytest.mark.parametrize("samples", [0, 1, 7000, 300_001])
def test_read_at_another_rate_it_is_the_same_audio(rate_hz: int, to_hz: int, samples: int, tmp_path: Path) -> None:
    """Read by the second, with the seams where nobody hears them, and neither late nor cut short."""
    audio = tone(440, duration_ms=40_000, sample_rate_hz=rate_hz)[:samples]
    write_wav(tmp_path / "music.wav", (audio, audio), rate_hz)
    pcm, rate = read_wav(tmp_path / "music.wav", to_hz)

    assert to_hz == rate
    assert resample_file_audio(audio, rate_hz, to_hz).tolist() == pcm.tolist()


@pytest.mark.parametrize("rate_hz", [8000, 44_100, 1_000_000_000])
def test_a_long_file_is_decoded_in_pieces(rate_hz: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes in one go took hundreds of megabytes, and the interpreter from all other threads."""
    sizes: list[int] = []
    decode = wav_module._decode

    def counted(name: str, form: wav_module._Form, body: bytes) -> Pcm:
        sizes.append(len(body))
        return decode(name, form, body)

    monkeypatch.setattr(wav_module, "_decode", counted)
    pcm, _ = parse_wav(wav_file(1, 2, rate_hz, 4, 16, bytes(4 * 500_000)), "hold.wav")

    assert 500_000 == pcm.size
    assert max(sizes) <= 4 * 65_536


def test_a_file_that_is_too_long_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day of audio would take the server down with all its calls."""
    monkeypatch.setattr(wav_module, "DECODED_BYTES_MAX", 2 * 8000 * 120)
    write_wav(tmp_path / "long.wav", np.zeros(8000 * 130, np.int16), 8000)
    with pytest.raises(AudioError, match=r"long\.wav is longer than 2 minutes: play it in parts"):
        read_wav(tmp_path / "long.wav")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "hello.wav is not a WAV file: it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "pointer of Git LFS.*git lfs pull"),
    ],
)
def test_a_file_that_cannot_be_converted_either(content: bytes, text: str, tmp_path: Path) -> None:
    """ffmpeg would not help."""
    (tmp_path / "hello.wav").write_bytes(content)
    with pytest.raises(AudioError, match=text) as raised:
        read_wav(tmp_path / "hello.wav")

    assert "ffmpeg" not in str(raised.value)


def test_one_file_is_written_by_one_at_a_time(tmp_path: Path) -> None:
    """The second would empty the file of the first."""
    path = tmp_path / "call.wav"
    with WavWriter(path, 8000) as writer:
        writer.append(np.ones(100, np.int16))
        with pytest.raises(BlockingIOError, match="another recording"):
            WavWriter(path, 8000)
    with WavWriter(path, 8000) as again:
        again.append(np.ones(3, np.int16))

    assert 3 == read_wav(path)[0].size
