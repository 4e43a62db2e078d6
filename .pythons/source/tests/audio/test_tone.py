from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.g711 import G711Decoder, G711Encoder
from callpath.audio.level import level_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.tone import Match, dominant_frequency_hz, find_delay_ms, sweep, tone


@given(
    frequency_hz=st.floats(100, 3800),
    level=st.floats(-50, -4),
    duration_ms=st.sampled_from([100, 250, 1000]),
    rate=st.sampled_from([8000, 16000, 48000]),
)
def test_a_tone_is_found_again(frequency_hz: float, level: float, duration_ms: int, rate: int) -> None:
    """Proof by sound rests on this: what was sent is what is measured."""
    pcm = tone(frequency_hz, duration_ms=duration_ms, sample_rate_hz=rate, level_dbfs=level)

    assert rate * duration_ms // 1000 == pcm.size
    assert abs(dominant_frequency_hz(pcm, rate) - frequency_hz) < 2
    assert abs(level_dbfs(pcm) - level) < 0.5


def test_the_loudest_tone_wins() -> None:
    """A weak hum beside the tone is not the answer."""
    pcm = tone(1000, duration_ms=200, level_dbfs=-12) + tone(50, duration_ms=200, level_dbfs=-20)

    assert abs(dominant_frequency_hz(pcm, 8000) - 1000) < 2


def test_silence_has_no_frequency() -> None:
    """A hertz out of nothing would be a proof of sound that never was."""
    assert 0.0 == dominant_frequency_hz(np.zeros(800, np.int16), 8000)
    assert 0.0 == dominant_frequency_hz(np.full(800, 1000, np.int16), 8000), "an offset is no sound"
    assert 0.0 == dominant_frequency_hz(np.zeros(0, np.int16), 8000)


def test_a_tone_above_full_scale_clips() -> None:
    """It must not wrap round."""
    pcm = tone(100, duration_ms=100, level_dbfs=3.0)

    assert 32767 == pcm.max()
    assert abs(dominant_frequency_hz(pcm, 8000) - 100) < 2


@given(delay=st.integers(0, 4000), gain=st.floats(0.02, 2.0), inverted=st.booleans())
def test_a_sweep_is_timed_to_the_sample(delay: int, gain: float, inverted: bool) -> None:
    """Round-trip delay is measured with it, at any loudness and even with the wires swapped."""
    sent = sweep(300, 3000, duration_ms=500, level_dbfs=-20)
    copy = np.round(sent * (-gain if inverted else gain)).astype(np.int16)
    heard = np.concatenate((np.zeros(delay, np.int16), copy, np.zeros(800, np.int16)))
    match = find_delay_ms(sent, heard, 8000)

    assert delay / 8 == match.delay_ms
    assert match.correlation > 0.98


def test_speech_through_a_telephone(speech_8k: Pcm) -> None:
    """Encoded, noisy, and with louder noise before it: still found where it is."""
    noise = np.random.default_rng(3)
    before = noise.normal(0, 6000, 3000)
    line = G711Decoder("PCMA").decode(G711Encoder("PCMA").encode(speech_8k)) * 0.3
    heard = np.concatenate((before, line + noise.normal(0, 100, line.size))).astype(np.int16)
    match = find_delay_ms(speech_8k, heard, 8000)

    assert 375.0 == match.delay_ms
    assert match.correlation > 0.9


def test_heard_from_the_middle(speech_8k: Pcm) -> None:
    """A recording that began late gives a negative delay, and a lower score for what is missing."""
    match = find_delay_ms(speech_8k, speech_8k[800:], 8000)

    assert -100.0 == match.delay_ms
    assert match.correlation > 0.9


@pytest.mark.parametrize("level", [10.0, 3000.0])
def test_another_sound_is_not_a_match(level: float, speech_8k: Pcm) -> None:
    """Noise on the line must never prove that speech came back."""
    noise = np.random.default_rng(4).normal(0, level, 16000).astype(np.int16)

    assert find_delay_ms(speech_8k, noise, 8000).correlation < 0.2
    assert find_delay_ms(sweep(300, 3000, duration_ms=500), noise, 8000).correlation < 0.2


def test_silence_matches_nothing(speech_8k: Pcm) -> None:
    """The commonest fault of all: nothing came back."""
    silence = np.zeros(8000, np.int16)

    assert 0.0 == find_delay_ms(speech_8k, silence, 8000).correlation
    assert 0.0 == find_delay_ms(silence, speech_8k, 8000).correlation
    assert Match(0.0, 0.0) == find_delay_ms(speech_8k, silence[:0], 8000)


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=50),
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=50),
)
def test_correlation_stays_within_0_and_1(reference: list[int], heard: list[int]) -> None:
    """Thresholds are set on it."""
    match = find_delay_ms(np.array(reference, np.int16), np.array(heard, np.int16), 8000)

    assert 0.0 <= match.correlation <= 1.0
    assert -len(reference) / 8 < match.delay_ms < len(heard) / 8
