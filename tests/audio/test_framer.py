from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.framer import Framer, Reframer
from callpath.audio.pcm import Pcm


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


PIECES = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=30)


@given(pieces=PIECES)
def test_a_reframer_loses_nothing_and_knows_what_is_concealed(pieces: list[tuple[int, bool]]) -> None:
    """Sample by sample: what is concealed is negative here, and is counted in the frame where it is heard."""
    reframer = Reframer(16)
    given = np.concatenate([np.zeros(0, np.int16), *(np.full(n, -7 if lost else 7, np.int16) for n, lost in pieces)])
    out: list[tuple[Pcm, int]] = []
    for samples, lost in pieces:
        out += reframer.push(np.full(samples, -7 if lost else 7, np.int16), concealed=lost)
    waits = given.size - 16 * len(out)
    passing_bytes = reframer.passing_bytes
    out += reframer.flush()
    heard = np.concatenate([np.zeros(0, np.int16), *(frame for frame, _ in out)])

    assert (-1 if waits else 32) == passing_bytes
    assert {16} >= {frame.size for frame, _ in out}
    assert given.tolist() == heard[: given.size].tolist()
    assert not heard[given.size :].any()
    assert [int(np.sum(frame < 0)) for frame, _ in out] == [concealed for _, concealed in out]
    assert [] == reframer.flush()
    assert 32 == reframer.passing_bytes


def test_a_whole_frame_passes_a_reframer_as_it_is() -> None:
    """It is the usual case, 50 times a second on every call: no copy."""
    reframer = Reframer(160)
    pcm = np.arange(160, dtype=np.int16)
    ((frame, concealed),) = reframer.push(pcm)

    assert frame is pcm
    assert 0 == concealed
    assert [(True, 160)] == [(frame is pcm, concealed) for frame, concealed in reframer.push(pcm, concealed=True)]
