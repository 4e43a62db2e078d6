from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.conceal import Concealer
from callpath.audio.level import level_dbfs
from callpath.audio.tone import dominant_frequency_hz, tone


def test_a_gap_goes_on_at_the_same_pitch() -> None:
    """A lost frame that came back as silence, or at another pitch, would be heard as a click or a croak."""
    concealer = Concealer(8000)
    heard = tone(130, duration_ms=20, level_dbfs=-20)
    concealer.heard(heard)
    concealed = concealer.conceal(20)

    assert 160 == concealed.size
    assert abs(dominant_frequency_hz(concealed, 8000) - 130) < 10


def test_no_click_between_the_last_frame_and_its_continuation() -> None:
    """The step into the gap must not be larger than the sound's own steps."""
    concealer = Concealer(8000)
    heard = tone(150, duration_ms=20, level_dbfs=-20)
    concealer.heard(heard)
    concealed = concealer.conceal(20)

    step_max = int(np.abs(np.diff(heard)).max())
    assert abs(int(concealed[0]) - int(heard[-1])) <= 1.5 * step_max


def test_a_long_gap_fades_to_silence() -> None:
    """Repeating the last sound for ever would be a robot's buzz for as long as the network is away."""
    concealer = Concealer(8000)
    concealer.heard(tone(200, duration_ms=20, level_dbfs=-20))
    levels = [level_dbfs(concealer.conceal(20)) for _ in range(4)]

    assert levels == sorted(levels, reverse=True)
    assert -100.0 == levels[3]


def test_a_gap_before_any_audio_is_silence() -> None:
    """The first frames of a call can be the lost ones."""
    assert [0] * 160 == Concealer(8000).conceal(20).tolist()


@given(heard=st.integers(0, 700), duration_ms=st.integers(0, 100), rate=st.sampled_from([8000, 16000, 48000]))
def test_a_gap_has_its_length_whatever_was_heard(heard: int, duration_ms: int, rate: int) -> None:
    """A gap of another length would shift all that follows against the other track."""
    concealer = Concealer(rate)
    concealer.heard(np.arange(heard, dtype=np.int16))

    assert duration_ms * rate // 1000 == concealer.conceal(duration_ms).size


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "G722", "L16"])
def test_short_payloads_are_continued_like_long_ones(encoding: str) -> None:
    """Of a phone that sends 10 ms at a time one payload does not show the pitch of a voice: each loss would buzz."""
    if encoding == "G722":
        pytest.importorskip("av")
    encoder, decoder_of_long, decoder_of_short = (
        open_encoder(encoding, 8000),
        open_decoder(encoding, 8000),
        open_decoder(encoding, 8000),
    )
    voice = tone(130, duration_ms=120, level_dbfs=-20, sample_rate_hz=encoder.sample_rate_hz)
    size = encoder.sample_rate_hz // 50
    payloads = [encoder.encode(voice[begin : begin + size]) for begin in range(0, voice.size, size)]
    concealed = []
    for payload in payloads:
        half = len(payload) // 2
        decoder_of_long.decode(payload)
        decoder_of_short.decode_bytes(payload[:half])
        decoder_of_short.decode(payload[half:])
        concealed.append((decoder_of_long.conceal(20).tolist(), decoder_of_short.conceal(20).tolist()))

    assert [long for long, _ in concealed] == [short for _, short in concealed]


def test_what_came_before_a_gap_is_not_joined_to_what_comes_after() -> None:
    """They do not follow each other: joined, the seam would be taken for a pitch."""
    concealer = Concealer(8000)
    concealer.heard(np.full(80, 5000, np.int16))
    concealer.conceal(10)
    concealer.heard(np.full(80, 100, np.int16))

    assert 100 == int(np.abs(concealer.conceal(20)).max())
