"""Both sides on one clock, by literal times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.pcm import Pcm
from callpath.call.recorder import DRIFT_MS_MAX, Recorder

FRAME = 160


def frame(value: int) -> Pcm:
    return np.full(FRAME, value, np.int16)


def test_each_side_stands_where_it_was_heard() -> None:
    """A recording in which the bot speaks when its audio was made, and not when it was heard, shows talking over
    each other where there was none."""
    recorder = Recorder(8000, start_ms=1000)
    recorder.receive(frame(1), 8000, now_ms=1020)
    recorder.play(frame(2), 8000, at_ms=1020)
    left, right = recorder.finish(now_ms=1040)

    assert left.tolist() == [1] * FRAME + [0] * FRAME
    assert right.tolist() == [0] * FRAME + [2] * FRAME


def test_what_a_clear_took_back_is_not_in_it() -> None:
    """It was sent, and never heard."""
    recorder = Recorder(8000, start_ms=0)
    for number in range(5):
        recorder.play(frame(number + 1), 8000, at_ms=20.0 * number)
    recorder.clear(now_ms=30)
    recorder.play(frame(9), 8000, at_ms=400)
    _, right = recorder.finish(now_ms=420)

    assert right[:240].tolist() == [1] * 160 + [2] * 80
    assert right[240:3200].max() == 0
    assert right[3200:].tolist() == [9] * 160


def test_frames_a_little_early_or_late_are_joined_without_a_seam() -> None:
    """Arrival jitters by milliseconds; cut by arrival, speech would crackle."""
    recorder = Recorder(8000, start_ms=0)
    for at_ms in (20, 43, 59, 81):
        recorder.receive(frame(5), 8000, now_ms=at_ms)
    left, _ = recorder.finish(now_ms=100)

    assert left[:640].tolist() == [5] * 640


@pytest.mark.parametrize("held_ms", [200, 400, 1000])
def test_what_was_held_up_stands_where_it_was_said(held_ms: int) -> None:
    """Something blocks the loop, and all its frames come at once: laid over each other, most of the words were lost."""
    recorder = Recorder(8000, start_ms=0)
    for number in range(100):
        at_ms = 20 * (number + 1)
        recorder.receive(frame(number + 1), 8000, now_ms=max(at_ms, 400 + held_ms) if at_ms > 400 else at_ms)
    left, _ = recorder.finish(now_ms=2000)

    heard = [int(value) for value in left[::FRAME]]
    assert [value for value in heard if value] == list(range(1, 101))
    assert max(abs(place + 1 - value) for place, value in enumerate(heard) if value) * 20 <= DRIFT_MS_MAX


def test_what_comes_after_its_time_was_written_moves_nothing_else() -> None:
    """The network held it up for a second, and that second is on disk: what does not fit is gone, and the rest in time."""
    recorder = Recorder(8000, start_ms=0)
    left: list[int] = []
    for number in range(150):
        at_ms = 20 * (number + 1)
        if at_ms % 500 == 0:
            left += recorder.take(at_ms)[0].tolist()
        recorder.receive(frame(number + 1), 8000, now_ms=max(at_ms, 1400) if at_ms > 400 else at_ms)
    left += recorder.finish(now_ms=3000)[0].tolist()

    heard = left[::FRAME]
    assert heard[:20] == list(range(1, 21))
    assert [value for value in heard[70:] if value] == list(range(heard[70], 151))
    assert abs(heard[70] - 71) * 20 <= DRIFT_MS_MAX


def test_a_pause_is_kept() -> None:
    """A socket that was gone for a second is a second of silence, or the sides drift apart."""
    recorder = Recorder(8000, start_ms=0)
    recorder.receive(frame(5), 8000, now_ms=20)
    recorder.receive(frame(5), 8000, now_ms=1020)
    left, _ = recorder.finish(now_ms=1020)

    assert left[160:8000].max() == 0
    assert left[8000:8160].min() == 5


def test_another_rate_is_brought_to_the_recording_s() -> None:
    """We may be heard at 16 kHz and hear at 8."""
    recorder = Recorder(8000, start_ms=0)
    recorder.play(np.full(320, 1000, np.int16), 16000, at_ms=0)
    _, right = recorder.finish(now_ms=20)

    assert right.size == 160


@given(looks=st.lists(st.integers(0, 400), max_size=8))
def test_whenever_it_is_written_the_file_is_the_same(looks: list[int]) -> None:
    """Written once a second; when exactly must not matter."""

    def recorded(times: list[int]) -> tuple[list[int], list[int]]:
        recorder = Recorder(8000, start_ms=0)
        left: list[int] = []
        right: list[int] = []
        for number in range(50):
            now_ms = 20.0 * (number + 1)
            recorder.receive(frame(number), 8000, now_ms)
            recorder.play(frame(-number), 8000, now_ms)
            if number * 20 // 50 * 50 in times:
                one, other = recorder.take(now_ms)
                left += one.tolist()
                right += other.tolist()
        one, other = recorder.finish(1020.0)
        return left + one.tolist(), right + other.tolist()

    assert recorded(looks) == recorded([])
