"""Both sides on one clock, by literal times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.pcm import Pcm
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.call.recorder import DRIFT_MS_MAX, Recorder, Track

FRAME = 160
Pair = tuple[Pcm, Pcm]
Happens = dict[int, list[Callable[[float], None]]]


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
    """We may be heard at 16 kHz and hear at 8; and at 24 when the next stream comes."""
    recorder = Recorder(8000, start_ms=0)
    for number, rate_hz in enumerate((16_000, 24_000, 8000)):
        recorder.play(tone(1000, duration_ms=500, sample_rate_hz=rate_hz), rate_hz, at_ms=500.0 * number)
    _, right = recorder.finish(now_ms=1500)
    thirds = right.reshape(3, 4000)

    assert [round(dominant_frequency_hz(third[200:], 8000), -1) for third in thirds] == [1000] * 3
    assert tone(1000, duration_ms=500).tolist() == thirds[2].tolist()


def test_what_is_on_disk_is_not_changed_and_the_rest_of_a_piece_stands_where_it_was() -> None:
    """A second that came late, half of whose time is written: its other half must not move."""
    recorder = Recorder(8000, start_ms=0)
    recorder.take(now_ms=300 + 500)
    recorder.receive(np.arange(8000, dtype=np.int16), 8000, now_ms=1000)
    left, _ = recorder.finish(now_ms=1000)

    assert list(range(4000, 8000)) == left.tolist()


def test_audio_is_written_once_it_is_300_ms_old() -> None:
    """The file's length is the call's; younger audio may still be cleared."""
    recorder = Recorder(8000, start_ms=0)
    lengths = [recorder.take(now_ms)[0].size for now_ms in (299, 300, 301, 400, 400)]

    assert [0, 0, 8, 792, 0] == lengths
    assert 800 == recorder.written


@pytest.mark.parametrize(("late_ms", "starts_at"), [(100.0, 160), (-100.0, 160), (100.125, 160 + 801)])
def test_how_far_the_caller_s_frames_may_drift(late_ms: float, starts_at: int) -> None:
    """Within DRIFT_MS_MAX they are joined; further apart, there was a pause."""
    recorder = Recorder(8000, start_ms=0)
    recorder.receive(frame(5), 8000, now_ms=20)
    recorder.receive(frame(7), 8000, now_ms=40 + late_ms)
    left, _ = recorder.finish(now_ms=1000)

    assert starts_at == int(np.flatnonzero(left == 7)[0])
    assert FRAME == np.count_nonzero(left == 5) == np.count_nonzero(left == 7)


@pytest.mark.parametrize(("late_ms", "starts_at"), [(1.0, 160), (1.125, 169), (1.5, 172)])
def test_how_far_our_own_may_drift(late_ms: float, starts_at: int) -> None:
    """When they are heard is known: a millisecond is rounding, more than that is a pause that the caller heard."""
    recorder = Recorder(8000, start_ms=0)
    recorder.play(frame(5), 8000, at_ms=0)
    recorder.play(frame(7), 8000, at_ms=20 + late_ms)
    _, right = recorder.finish(now_ms=1000)

    assert starts_at == int(np.flatnonzero(right == 7)[0])


@pytest.mark.parametrize("came_ms", [500, 510])
@pytest.mark.parametrize("first_samples", [FRAME, FRAME // 2])
def test_what_is_held_up_for_longer_than_the_pause_before_leaves_what_stands_there(
    came_ms: int, first_samples: int
) -> None:
    """27 frames that come at once, half a second after the last one: what does not fit in between is lost, from its
    beginning, and neither what was said before nor the order is."""
    recorder = Recorder(8000, start_ms=0)
    recorder.receive(frame(1), 8000, now_ms=20)
    recorder.receive(frame(2)[:first_samples], 8000, now_ms=came_ms)
    for number in range(3, 29):
        recorder.receive(frame(number), 8000, now_ms=came_ms)
    left, _ = recorder.finish(now_ms=1000)
    end = int(np.flatnonzero(left)[-1]) + 1
    heard = left[:end].astype(int)

    assert [1] * FRAME == heard[:FRAME].tolist()
    assert 0 not in heard.tolist()
    assert set(np.diff(heard[FRAME:]).tolist()) == {0, 1}
    assert 28 == heard[-1]
    assert abs(end / 8 - came_ms) <= DRIFT_MS_MAX


def test_more_than_there_was_time_for_at_the_beginning() -> None:
    """The recording begins while frames are held up: it begins with sound, and not a sample late."""
    recorder = Recorder(8000, start_ms=0)
    for number in range(1, 31):
        recorder.receive(frame(number), 8000, now_ms=200)
    left, _ = recorder.finish(now_ms=1000)
    heard = left[: int(np.flatnonzero(left)[-1]) + 1].astype(int)

    assert heard[0] > 0
    assert set(np.diff(heard).tolist()) == {0, 1}
    assert 30 == heard[-1]


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
                one, other = recorder.take(now_ms + 7)  # in the middle of a frame
                left += one.tolist()
                right += other.tolist()
        one, other = recorder.finish(1020.0)
        return left + one.tolist(), right + other.tolist()

    assert recorded(looks) == recorded([])


# --- pauses and tracks -----------------------------------------------------------------------------------------------


def talk(recorder: Recorder, *, until_ms: int, at: Happens, every_ms: int = 0) -> Pair:
    """Both speak without a break, the caller 1 and we 2; what is `at` a time happens before the frames of that time."""
    taken: list[Pair] = []
    for now_ms in range(0, until_ms, 20):
        for happens in at.get(now_ms, []):
            happens(now_ms)
        recorder.receive(frame(1), 8000, now_ms + 20)
        recorder.play(frame(2), 8000, now_ms)
        if every_ms and now_ms % every_ms == 0:
            taken.append(recorder.take(now_ms + 13))
    taken.append(recorder.finish(until_ms))
    return np.concatenate([left for left, _ in taken]), np.concatenate([right for _, right in taken])


def silent(side: Pcm) -> list[tuple[float, float]]:
    """Where there is silence, in ms."""
    edges = np.flatnonzero(np.diff(np.concatenate(([1], (side != 0).astype(int), [1]))))
    return [(float(begin / 8), float(end / 8)) for begin, end in edges.reshape(-1, 2)]


@pytest.mark.parametrize("every_ms", [0, 20, 100, 500])
def test_nothing_of_a_pause_is_in_the_file_however_often_it_is_written(every_ms: int) -> None:
    """A card number is read out. What comes of the caller's within LATE_MS_MAX after it may have been said in the pause; of
    ours, it is known."""
    recorder = Recorder(8000, start_ms=0)
    happens: Happens = {500: [recorder.pause], 1000: [recorder.resume]}
    left, right = talk(recorder, until_ms=2000, at=happens, every_ms=every_ms)

    assert 16_000 == left.size == right.size
    assert [(500, 1300)] == silent(left)
    assert [(500, 1000)] == silent(right)
    assert {0, 1} == set(left.tolist())
    assert {0, 2} == set(right.tolist())


def test_what_was_sent_before_a_pause_and_is_heard_in_it_is_not_kept() -> None:
    """The bot repeats the number, half a second ahead of the caller's ear."""
    recorder = Recorder(8000, start_ms=0)
    for at_ms in range(0, 1000, 20):
        recorder.play(frame(2), 8000, at_ms)
    recorder.pause(500)
    recorder.resume(800)
    _, right = recorder.finish(1000)

    assert [(500, 800)] == silent(right)


def test_each_of_several_pauses_is_silent() -> None:
    """To pause twice is one pause, from the first; to resume without one is nothing."""
    recorder = Recorder(8000, start_ms=0)
    happens: Happens = {
        200: [recorder.resume],
        500: [recorder.pause],
        700: [recorder.pause],
        1000: [recorder.resume],
        1500: [recorder.resume],
        2000: [recorder.pause],
        2500: [recorder.resume],
    }
    left, right = talk(recorder, until_ms=4000, at=happens, every_ms=100)

    assert [(500, 1300), (2000, 2800)] == silent(left)
    assert [(500, 1000), (2000, 2500)] == silent(right)


@pytest.mark.parametrize("every_ms", [0, 100])
def test_a_recording_that_ends_in_a_pause_is_as_long_as_the_call(every_ms: int) -> None:
    """Its end would else be taken for the end of the call. Where nobody speaks any more, it ends with the last word."""
    recorder = Recorder(8000, start_ms=0)
    left, right = talk(recorder, until_ms=2000, at={500: [recorder.pause]}, every_ms=every_ms)
    unpaused = Recorder(8000, start_ms=0)
    unpaused.receive(frame(1), 8000, now_ms=20)

    assert [(500, 2000)] == silent(left) == silent(right)
    assert FRAME == unpaused.finish(now_ms=2000)[0].size


@pytest.mark.parametrize(("track", "silences"), [("both", 0), ("inbound", 1), ("outbound", 2)])
def test_a_side_that_is_not_recorded_is_silent(track: Track, silences: int) -> None:
    """In some places only one's own side may be kept."""
    left, right = talk(Recorder(8000, 0, track), until_ms=500, at={})

    assert [(0, 500)] * (silences == 2) == silent(left)
    assert [(0, 500)] * (silences == 1) == silent(right)
