from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.framer import Framer


def test_frames_as_they_fill() -> None:
    """Speech engines hand out any length; Telnyx wants whole frames."""
    framer = Framer(4)

    assert [] == framer.push(np.array([1, 2, 3], np.int16))
    assert 3 == framer.pending_samples
    assert [[1, 2, 3, 4], [5, 6, 7, 8]] == [
        frame.tolist() for frame in framer.push(np.array([4, 5, 6, 7, 8, 9], np.int16))
    ]
    assert 1 == framer.pending_samples


def test_the_tail_is_filled_with_silence() -> None:
    """A last syllable shorter than a frame would never be sent."""
    framer = Framer(4)
    framer.push(np.array([1, 2, 3, 4, 5], np.int16))
    tail = framer.flush()

    assert tail is not None
    assert [5, 0, 0, 0] == tail.tolist()
    assert framer.flush() is None


def test_clear_forgets_the_tail() -> None:
    """After barge-in, the rest of the old sentence must not begin the new one."""
    framer = Framer(4)
    framer.push(np.array([1, 2, 3], np.int16))
    framer.clear()

    assert 0 == framer.pending_samples
    assert framer.flush() is None


def test_the_caller_may_reuse_its_buffer() -> None:
    """Engines write each piece into one buffer; frames still waiting to be sent would change under way."""
    framer = Framer(2)
    buffer = np.array([1, 2, 3, 4, 5], np.int16)
    frames = framer.push(buffer)
    buffer[:] = 99

    assert [[1, 2], [3, 4]] == [frame.tolist() for frame in frames]
    assert [[5, 6]] == [frame.tolist() for frame in framer.push(np.array([6], np.int16))]


@given(frame_samples=st.integers(1, 50), sizes=st.lists(st.integers(0, 200)))
def test_nothing_is_lost_or_moved(frame_samples: int, sizes: list[int]) -> None:
    """Each sample comes out once, in order, and the pad is shorter than a frame."""
    audio = np.arange(1, sum(sizes) + 1).astype(np.int16)
    framer = Framer(frame_samples)
    frames = [frame for piece in np.split(audio, np.cumsum(sizes)[:-1]) for frame in framer.push(piece)]
    tail = framer.flush()
    if tail is not None:
        frames.append(tail)

    assert {frame_samples} >= {frame.size for frame in frames}
    joined = np.concatenate([np.zeros(0, np.int16), *frames])
    assert audio.tolist() == joined[: audio.size].tolist()
    assert 0 <= joined.size - audio.size < frame_samples
