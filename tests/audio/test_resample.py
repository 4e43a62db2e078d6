from __future__ import annotations

import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.audio import resample
from callpath.audio.level import level_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.resample import Resampler, resample_file_audio
from callpath.audio.tone import find_delay_ms, sweep, tone
from callpath.errors import AudioError

RATES_HZ = (8000, 16000, 22050, 24000, 48000)
PAIRS = [(a, b) for a in RATES_HZ for b in RATES_HZ if a != b]
ODD_PAIRS = [(22_254, 8000), (44_101, 8000), (191_999, 8000), (8000, 44_101), (8001, 8000)]


def stream(resampler: Resampler, pcm: Pcm, frame_samples: int) -> Pcm:
    pieces = [resampler.push(pcm[start : start + frame_samples]) for start in range(0, pcm.size, frame_samples)]
    return np.concatenate(pieces)


def spectrum(pcm: Pcm) -> npt.NDArray[np.float64]:
    """Of one second, so that bins are hertz; the window's side lobes lie below 100 dB."""
    return np.asarray(np.abs(np.fft.rfft(pcm * np.kaiser(pcm.size, 14.0))), np.float64)


def middle_second(pcm: Pcm, rate: int) -> Pcm:
    return pcm[rate // 2 : rate // 2 + rate]


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_20_ms_give_20_ms_every_time(from_hz: int, to_hz: int) -> None:
    """One frame in must be one frame out, or the playout would run dry or grow."""
    resampler = Resampler(from_hz, to_hz)
    frame = tone(300, duration_ms=20, sample_rate_hz=from_hz)

    assert {to_hz // 50} == {resampler.push(frame).size for _ in range(25)}


@pytest.mark.parametrize(("from_hz", "to_hz"), [*PAIRS, *ODD_PAIRS])
@pytest.mark.parametrize("band_part", [0.03, 0.25, 0.5, 0.85])
def test_a_tone_stays_one_tone(from_hz: int, to_hz: int, band_part: float) -> None:
    """Up to 3.4 kHz of 4 the level holds, and everything else (image, alias, hum) is 60 dB down. 16 bits leave 80."""
    low = min(from_hz, to_hz)
    frequency = round(low / 2 * band_part)
    pcm = tone(frequency, duration_ms=2000, sample_rate_hz=from_hz, level_dbfs=-10)
    heard = stream(Resampler(from_hz, to_hz), pcm, from_hz // 50)
    lines = spectrum(middle_second(heard, to_hz))
    own = slice(max(0, frequency - 12), frequency + 13)
    other = lines.copy()
    other[own] = 0.0

    assert abs(level_dbfs(middle_second(heard, to_hz)) + 10) < 0.1
    assert 20 * np.log10(other.max() / lines[own].max()) < -75


@pytest.mark.parametrize(("from_hz", "to_hz"), [(a, b) for a, b in PAIRS if a > 1.2 * b])
def test_what_the_lower_rate_cannot_hold_is_gone(from_hz: int, to_hz: int) -> None:
    """Sibilants of wideband speech would fold down into the telephone band as a hiss that follows the voice."""
    stop_hz = to_hz * 0.55  # what folds below 0.45 of the rate: 3.6 kHz of a telephone's 8
    pcm = tone(stop_hz, duration_ms=500, sample_rate_hz=from_hz, level_dbfs=-10)
    heard = stream(Resampler(from_hz, to_hz), pcm, from_hz // 50)

    assert level_dbfs(heard[to_hz // 10 :]) < -10 - 70


def test_there_and_back_again_is_late_by_5_ms() -> None:
    """A caller hears every millisecond of delay twice; the budget for both ways is 6 ms."""
    up, down = Resampler(8000, 16000), Resampler(16000, 8000)
    sent = sweep(300, 3400, duration_ms=1000)
    heard = stream(down, stream(up, sent, 160), 320)
    match = find_delay_ms(sent[:7000], heard, 8000)

    assert 5.0 == up.delay_ms + down.delay_ms
    assert 5.0 == match.delay_ms
    assert match.correlation > 0.999
    error = heard[40:].astype(float) - sent[:-40]
    assert level_dbfs(np.round(error).astype(np.int16)) < -12 - 70


@pytest.mark.parametrize("rate_hz", RATES_HZ[1:])
def test_quality_is_what_the_docs_state(rate_hz: int) -> None:
    """docs/explanation/performance.md has these figures; who chooses a handler's rate goes by them."""

    def back(pcm: Pcm) -> Pcm:
        return stream(Resampler(rate_hz, 8000), stream(Resampler(8000, rate_hz), pcm, 160), rate_hz // 50)

    sent = sweep(300, 3400, duration_ms=1000)
    error = back(sent)[40:].astype(float) - sent[:-40]
    sound_db = 10 * np.log10(np.mean(sent.astype(float) ** 2) / np.mean(error**2))
    kept_db = {hz: level_dbfs(back(tone(hz, duration_ms=1000))[4000:]) + 12 for hz in (300, 3400, 3600)}
    lines = spectrum(middle_second(stream(Resampler(8000, rate_hz), tone(3600, duration_ms=2000), 160), rate_hz))
    folding = tone(4400, duration_ms=1000, sample_rate_hz=rate_hz)
    folded = stream(Resampler(rate_hz, 8000), folding, rate_hz // 50)[4000:]

    assert 77 == int(sound_db)
    assert {300: 0.0, 3400: 0.0, 3600: -0.7} == {hz: round(db, 1) + 0.0 for hz, db in kept_db.items()}
    assert 20 * np.log10(lines[4000:].max() / lines[3600]) < -75
    assert level_dbfs(folded) + 12 < -75


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_stated_delay_is_the_real_one(from_hz: int, to_hz: int) -> None:
    """Who lines up two tracks subtracts `delay_ms`."""
    resampler = Resampler(from_hz, to_hz)
    band = 0.4 * min(from_hz, to_hz)
    heard = resampler.push(sweep(300, band, duration_ms=500, sample_rate_hz=from_hz))
    sent = sweep(300, band, duration_ms=400, sample_rate_hz=to_hz)
    # The first 400 ms of the longer sweep glide more slowly: make both the same glide.
    sent = sweep(300, 300 + (band - 300) * 0.8, duration_ms=400, sample_rate_hz=to_hz)

    assert abs(find_delay_ms(sent, heard, to_hz).delay_ms - resampler.delay_ms) <= 1000 / to_hz


@settings(max_examples=60)
@given(
    pair=st.sampled_from([*PAIRS, (44100, 8000), *ODD_PAIRS]),
    cuts=st.lists(st.integers(0, 1500), max_size=12),
    seed=st.integers(0, 1000),
)
def test_cutting_a_stream_changes_nothing(pair: tuple[int, int], cuts: list[int], seed: int) -> None:
    """A seam at each frame would be a buzz at 50 Hz; a lost sample would drift."""
    pcm = np.random.default_rng(seed).integers(-32768, 32768, 1500).astype(np.int16)
    whole = Resampler(*pair).push(pcm)
    resampler = Resampler(*pair)
    pieces = [resampler.push(piece) for piece in np.split(pcm, sorted(cuts))]

    assert whole.tolist() == np.concatenate(pieces).tolist()
    assert -(-pcm.size * pair[1] // pair[0]) == whole.size


@pytest.mark.parametrize(("from_hz", "to_hz"), [(191_999, 8000), (8000, 191_999), (191_999, 191_998), (4001, 4000)])
def test_rates_with_little_in_common_hold_nobody_up(from_hz: int, to_hz: int) -> None:
    """The filter is built on the event loop: one file at an odd rate was 8.8 s of silence in every call of the process.

    Each coefficient takes its time and 8 bytes: the memory tells what the clock of a busy machine does not.
    """
    resample._kernel.cache_clear()
    resample._blended_kernel.cache_clear()
    pcm = tone(300, duration_ms=20, sample_rate_hz=from_hz)
    tracemalloc.start()
    try:
        Resampler(from_hz, to_hz).push(pcm)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 4_000_000


@pytest.mark.parametrize(("from_hz", "to_hz"), [*ODD_PAIRS, (44_100, 8000)])
def test_a_file_is_as_long_and_as_early_as_before(from_hz: int, to_hz: int) -> None:
    """A ratio that is only nearly right would drift: two tracks of a recording, apart by a word after an hour."""
    pcm = sweep(300, 1200, duration_ms=3001, sample_rate_hz=from_hz)
    made = resample_file_audio(pcm, from_hz, to_hz)
    last_s = 2 * from_hz
    begins_at = -(-last_s * to_hz // from_hz)
    match = find_delay_ms(resample_file_audio(pcm[last_s:], from_hz, to_hz), made[begins_at:], to_hz)

    assert -(-pcm.size * to_hz // from_hz) == made.size
    assert 0 == match.delay_ms
    assert match.correlation > 0.999


def test_no_click_where_frames_meet() -> None:
    """The largest step of the result is the tone's own, across all seams."""
    pcm = tone(400, duration_ms=400, level_dbfs=-10)
    heard = stream(Resampler(8000, 16000), pcm, 160)[1000:]

    smooth = 2 * np.pi * 400 / 16000 * np.abs(heard).max()
    assert np.abs(np.diff(heard)).max() <= smooth + 2


def test_full_scale_does_not_wrap() -> None:
    """A square wave overshoots by a fifth when filtered: it must clip, not change its sign."""
    square = np.repeat(np.array([32767, -32768] * 20, np.int16), 20)
    heard = Resampler(8000, 16000).push(square)

    assert 32767 == heard.max()
    assert -32768 == heard.min()
    assert find_delay_ms(square, heard[::2], 8000).correlation > 0.95


def test_equal_rates_hand_through() -> None:
    """No delay and no rounding where there is nothing to do."""
    pcm = tone(1000, duration_ms=20)
    resampler = Resampler(8000, 8000)

    assert pcm is resampler.push(pcm)
    assert 0.0 == resampler.delay_ms


def test_reset_forgets() -> None:
    """After barge-in, the tail of the old sentence must not be in the new one."""
    resampler = Resampler(8000, 16000)
    fresh = resampler.push(tone(300, duration_ms=20)).tolist()
    resampler.push(tone(700, duration_ms=33, level_dbfs=-6))
    resampler.reset()

    assert fresh == resampler.push(tone(300, duration_ms=20)).tolist()


def test_a_file_is_as_long_as_before_and_not_late() -> None:
    """A prompt is cut and timed by its own length."""
    pcm = sweep(300, 3000, duration_ms=2345, sample_rate_hz=44100)
    made = resample_file_audio(pcm, 44100, 8000)

    assert -(-pcm.size * 8000 // 44100) == made.size
    match = find_delay_ms(sweep(300, 3000, duration_ms=2345), made, 8000)
    assert abs(match.delay_ms) <= 0.125
    assert match.correlation > 0.999
    assert pcm is resample_file_audio(pcm, 8000, 8000)


@pytest.mark.parametrize("pair", [(0, 8000), (8000, 0), (8000, 800000)])
def test_an_absurd_rate_is_refused(pair: tuple[int, int]) -> None:
    """A misread header field would build a filter of gigabytes."""
    with pytest.raises(AudioError, match="4000 to 192000 Hz"):
        Resampler(*pair)
