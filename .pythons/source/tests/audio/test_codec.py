from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from callpath.audio.codec import CODECS, Encoder, open_decoder, open_encoder
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import find_delay_ms
from callpath.errors import AudioError

HAVE_CODECS_EXTRA = importlib.util.find_spec("av") is not None
BUILT_IN = {"PCMU", "PCMA", "L16"}
SENT = [
    pytest.param(
        codec.encoding,
        rate,
        marks=[] if codec.encoding in BUILT_IN or HAVE_CODECS_EXTRA else pytest.mark.skip("needs the extra codecs"),
    )
    for codec in CODECS.values()
    if codec.open_encoder is not None
    for rate in codec.rates_hz
]


def frames(encoder: Encoder, pcm: Pcm) -> list[Pcm]:
    size = encoder.sample_rate_hz // 50
    return [pcm[start : start + size] for start in range(0, pcm.size - size + 1, size)]


def test_the_table_has_telnyx_s_names() -> None:
    """The names go into commands as they are; Telnyx takes them case-sensitively."""
    assert ["PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16"] == list(CODECS)
    assert all(name == codec.encoding for name, codec in CODECS.items())


@pytest.mark.parametrize(("encoding", "rate"), SENT)
def test_speech_survives_the_round_trip(encoding: str, rate: int, speech_16k: Pcm) -> None:
    """Each encoding at each rate says what was said: found again, at once, and alike."""
    encoder, decoder = open_encoder(encoding, rate), open_decoder(encoding, rate)
    spoken = resample_file_audio(speech_16k, 16000, encoder.sample_rate_hz)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames(encoder, spoken)])
    match = find_delay_ms(spoken, heard, decoder.sample_rate_hz)

    assert encoding == encoder.encoding
    assert encoder.sample_rate_hz == decoder.sample_rate_hz
    assert np.dtype(np.int16) == heard.dtype
    assert 0 <= match.delay_ms < 10
    assert match.correlation > 0.9


@pytest.mark.parametrize(("encoding", "rate"), SENT)
def test_20_ms_of_silence_decode_to_20_ms_of_silence(encoding: str, rate: int) -> None:
    """Fill between two sentences must keep the time and make no sound."""
    encoder, decoder = open_encoder(encoding, rate), open_decoder(encoding, rate)
    heard = [decoder.decode(encoder.silence(20)) for _ in range(10)]

    assert {decoder.sample_rate_hz // 50} == {frame.size for frame in heard}
    assert max(int(np.abs(frame).max()) for frame in heard) <= 16
    assert decoder.sample_rate_hz // 50 == decoder.conceal(20).size


@pytest.mark.parametrize(("encoding", "rate"), SENT)
def test_an_empty_payload_is_no_audio_and_no_end(encoding: str, rate: int) -> None:
    """One empty message must not end the stream's decoder."""
    decoder = open_decoder(encoding, rate)

    assert 0 == decoder.decode(b"").size
    assert decoder.sample_rate_hz // 50 == decoder.decode(open_encoder(encoding, rate).silence(20)).size


def test_byte_order_reaches_l16() -> None:
    """Set wrongly it is noise; not passed on, the setting would do nothing."""
    assert b"\x12\x34" == open_encoder("L16", 8000, byte_order="big").encode(np.array([0x1234], np.int16))
    assert [0x3412] == open_decoder("L16", 8000).decode(b"\x12\x34").tolist()


def test_what_cannot_be_opened_says_what_can() -> None:
    """The text is all that a user gets who wrote `pcmu`."""
    with pytest.raises(AudioError, match="'pcmu'; Telnyx has PCMU, PCMA, G722, OPUS, AMR-WB, L16"):
        open_decoder("pcmu", 8000)
    with pytest.raises(AudioError, match=r"PCMA at 16000 Hz .* accepted: 8000"):
        open_encoder("PCMA", 16000)
    with pytest.raises(AudioError, match=r"AMR-WB can be received but not sent.*one of PCMU, PCMA, G722, OPUS, L16"):
        open_encoder("AMR-WB", 16000)


WITHOUT_EXTRA = """
import sys
sys.modules["av"] = None
from callpath.audio.codec import open_decoder, open_encoder
from callpath.errors import AudioError
open_decoder("PCMU", 8000), open_encoder("L16", 16000)
for open_one, encoding in [(open_decoder, "G722"), (open_encoder, "OPUS"), (open_decoder, "AMR-WB")]:
    try:
        open_one(encoding, 16000)
    except AudioError as error:
        print(error)
"""


def test_without_the_extra_the_text_names_it() -> None:
    """A plain install must run PCMU calls, and say what is missing for the others."""
    run = subprocess.run([sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=True)

    assert [
        f"{encoding} needs FFmpeg's codecs: pip install 'callpath[codecs]'" for encoding in ("G722", "OPUS", "AMR-WB")
    ] == run.stdout.splitlines()
