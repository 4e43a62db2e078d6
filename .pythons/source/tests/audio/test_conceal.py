from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
