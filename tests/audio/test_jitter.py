from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.jitter import HELD_MAX, Arrival, Gap, JitterBuffer, JitterCounts, Payload

FRAME_MS = 20.0


def received(buffer: JitterBuffer, arrivals: list[tuple[int, float]]) -> list[int | Gap]:
    """Push (chunk, at_ms) and call `due` whenever the buffer asked for it, as a shell does."""
    out: list[Arrival] = []
    for chunk, at_ms in arrivals:
        while (due_ms := buffer.next_due_ms()) is not None and due_ms <= at_ms:
            out += buffer.due(due_ms)
        out += buffer.push(chunk, b"%d" % chunk, at_ms)
    assert all(b"%d" % arrival.chunk == arrival.payload for arrival in out if isinstance(arrival, Payload))
    return [arrival.chunk if isinstance(arrival, Payload) else arrival for arrival in out]


def steady(chunks: list[int]) -> list[tuple[int, float]]:
    """One chunk each 20 ms."""
    return [(chunk, index * FRAME_MS) for index, chunk in enumerate(chunks)]


def test_in_order_passes_at_once() -> None:
    """Every millisecond here is added to every answer of every call."""
    buffer = JitterBuffer()
    for chunk in range(1, 100):
        assert [Payload(chunk, b"x")] == buffer.push(chunk, b"x", chunk * FRAME_MS)
        assert buffer.next_due_ms() is None

    assert JitterCounts() == buffer.counts


def test_swapped_neighbours_are_put_back() -> None:
    """Telnyx does not promise the order: played as they come, each swap is a stutter."""
    buffer = JitterBuffer()

    assert [1, 2, 3, 4, 5, 6] == received(buffer, steady([1, 3, 2, 4, 6, 5]))
    assert JitterCounts(reordered=2) == buffer.counts


def test_a_lost_chunk_is_given_up_after_the_wait() -> None:
    """The hole must be named, so that it is concealed and the track keeps its time; and not before the wait is over."""
    buffer = JitterBuffer(wait_ms_max=60)
    buffer.push(1, b"1", 0)
    assert [] == buffer.push(3, b"3", 40)
    assert [] == buffer.push(4, b"4", 60)
    assert 100.0 == buffer.next_due_ms()
    assert [] == buffer.due(99.9)

    assert [Gap(2, 1), Payload(3, b"3"), Payload(4, b"4")] == buffer.due(100)
    assert buffer.next_due_ms() is None
    assert [Payload(5, b"5")] == buffer.push(5, b"5", 101)
    assert JitterCounts(lost=1) == buffer.counts


def test_a_burst_of_losses_is_one_gap() -> None:
    """Concealment fades over the whole hole; three holes of one frame each would start it anew."""
    assert [1, 2, Gap(3, 3), 6, 7, 8, 9] == received(JitterBuffer(), [(1, 0), (2, 20), *steady_from(6, 4, 100)])


def steady_from(first: int, count: int, at_ms: float) -> list[tuple[int, float]]:
    return [(first + index, at_ms + index * FRAME_MS) for index in range(count)]


def test_two_holes_wait_each_for_itself() -> None:
    """The second hole was seen later, so its chunk may still come when the first is given up."""
    buffer = JitterBuffer(wait_ms_max=60)
    assert [1] == received(buffer, [(1, 0), (3, 40), (5, 80)])
    assert [Gap(2, 1), Payload(3, b"3")] == buffer.due(100)
    assert 140.0 == buffer.next_due_ms()

    assert [Payload(4, b"4"), Payload(5, b"5")] == buffer.push(4, b"4", 110)


def test_late_and_doubled_chunks_are_dropped_and_told_apart() -> None:
    """Played, they would repeat a syllable; counted as one, nobody could say whether the network or Telnyx did it."""
    buffer = JitterBuffer()

    assert [1, Gap(2, 1), 3, 4, 5, 6] == received(buffer, steady_skip([1, 3, 4, 5, 6, 2, 5, 6, 6]))
    assert JitterCounts(late=1, duplicated=3, lost=1) == buffer.counts


def steady_skip(chunks: list[int]) -> list[tuple[int, float]]:
    """Each chunk at the time of its number, stragglers at once after the one before."""
    at_ms, timed = 0.0, []
    for chunk in chunks:
        at_ms = max(at_ms, chunk * FRAME_MS)
        timed.append((chunk, at_ms))
    return timed


def test_a_doubled_chunk_behind_a_hole() -> None:
    """The copy arrives while the first still waits."""
    buffer = JitterBuffer()

    assert [1, 2, 3] == received(buffer, [(1, 0), (3, 20), (3, 21), (2, 22)])
    assert 1 == buffer.counts.duplicated


def test_numbers_need_not_begin_at_1() -> None:
    """We may join late; waiting for 4,711 chunks that went before would mute the call."""
    buffer = JitterBuffer()

    assert [4712, 4713, 4714] == received(buffer, steady([4712, 4713, 4714]))
    assert 0 == buffer.counts.lost


def test_chunks_without_a_number_pass_as_they_come() -> None:
    """An absent `chunk` is no reason to lose audio."""
    buffer = JitterBuffer()

    assert [Payload(0, b"a")] == buffer.push(0, b"a", 0)
    assert [Payload(0, b"b")] == buffer.push(0, b"b", 20)


@pytest.mark.parametrize("first", [1, 5000])
def test_a_new_numbering_is_followed(first: int) -> None:
    """After Telnyx connects again it counts anew; taken for stragglers, the caller would be mute for ever."""
    buffer = JitterBuffer()
    old = list(range(200, 300))

    assert [*old, first, first + 1, first + 2] == received(buffer, steady([*old, first, first + 1, first + 2]))
    assert JitterCounts(resyncs=1) == buffer.counts


def delayed(chunks: range, delay_ms: float, every: int = 10) -> list[tuple[int, float]]:
    """One chunk each 20 ms, and every tenth by so much later."""
    timed = [(chunk * FRAME_MS + (0.0 if chunk % every else delay_ms), chunk) for chunk in chunks]
    return [(chunk, at_ms) for at_ms, chunk in sorted(timed)]


def test_the_wait_adapts_to_chunks_that_need_longer() -> None:
    """One way of two that is 110 ms longer would cost every tenth chunk for the whole call, though each of them comes."""
    buffer = JitterBuffer(wait_ms_max=60)
    out = received(buffer, delayed(range(1, 2000), 110))

    assert [Gap(10, 1)] == [arrival for arrival in out if isinstance(arrival, Gap)]
    assert (1, 1, 198) == (buffer.counts.lost, buffer.counts.late, buffer.counts.reordered)


def test_the_wait_is_short_again_when_nothing_needs_a_longer_one() -> None:
    """Every loss of the call would hold up the answer for the sake of one bad minute."""
    buffer = JitterBuffer(wait_ms_max=60)
    received(buffer, [*delayed(range(1, 100), 110), *steady_from(100, 2000, 2000)])
    buffer.push(2101, b"", 42_020)
    due_ms = buffer.next_due_ms()
    assert due_ms is not None
    buffer.due(42_020 + 60)

    assert None is buffer.next_due_ms()


def test_the_wait_has_an_end() -> None:
    """What comes after the pause would have been heard is no use; waiting for it makes a pause of every chunk."""
    buffer = JitterBuffer(wait_ms_max=60)
    received(buffer, delayed(range(1, 500), 210))

    assert (49, 49) == (buffer.counts.lost, buffer.counts.late)
    buffer.push(501, b"", 10_100)
    assert 10_160 == buffer.next_due_ms()


def test_a_new_numbering_with_one_chunk_only() -> None:
    """A last word must not wait for a second chunk that never comes."""
    buffer = JitterBuffer(wait_ms_max=60)
    received(buffer, steady(list(range(200, 300))))
    assert [] == buffer.push(1, b"1", 2000)
    assert 2060.0 == buffer.next_due_ms()

    assert [Payload(1, b"1")] == buffer.due(2060)


def test_one_stray_chunk_does_not_reset_the_numbering() -> None:
    """A chunk seconds late would make all the right ones look like strays."""
    buffer = JitterBuffer()
    old = list(range(200, 300))

    assert [*old, 300, 301] == received(buffer, steady([*old, 3, 300, 301]))
    assert JitterCounts(late=1) == buffer.counts


def test_flush_hands_out_the_rest() -> None:
    """The last word before `stop` may stand behind a hole."""
    buffer = JitterBuffer()
    received(buffer, [(1, 0), (3, 20), (6, 30)])

    assert [Gap(2, 1), Payload(3, b"3"), Gap(4, 2), Payload(6, b"6")] == buffer.flush()
    assert [] == buffer.flush()


def test_numbers_that_count_something_else_too_can_be_ignored() -> None:
    """A stream whose every second number is another track's loses no audio, and must not wait for what never comes."""
    buffer = JitterBuffer(wait_ms_max=60)
    assert [1] == received(buffer, [(1, 0), (3, 20), (5, 40)])
    held = buffer.ignore_numbers()
    passed = [buffer.push(chunk, b"", 60.0 + chunk) for chunk in (7, 9, 8, 8, 3000)]

    assert [3, 5] == [arrival.chunk for arrival in held if isinstance(arrival, Payload)]
    assert [[Payload(chunk, b"")] for chunk in (7, 9, 8, 8, 3000)] == passed
    assert None is buffer.next_due_ms()


@pytest.mark.parametrize("again", [1, 2, 40, 51, 700])
def test_a_restart_begins_a_new_numbering_with_whatever_comes(again: int) -> None:
    """A second start frame counts from 1 again; taken for copies, half of the caller's words would be dropped."""
    buffer = JitterBuffer()
    assert [1, 2, 3] == received(buffer, [(1, 0), (2, 20), (3, 40), (5, 60)])
    held = buffer.restart()
    after = received(buffer, steady([again, again + 1, again + 2]))

    assert [Gap(4, 1), Payload(5, b"5")] == held
    assert [again, again + 1, again + 2] == after
    assert JitterCounts(lost=1) == buffer.counts


def test_what_passed_the_quick_way_is_known_at_the_end() -> None:
    """The last number is only in `expected` then; forgotten, chunks after a flush would be called lost."""
    buffer = JitterBuffer()
    received(buffer, steady([1, 2, 3, 4]))
    assert [] == buffer.flush()

    assert [Payload(5, b"5")] == buffer.push(5, b"5", 100)
    assert JitterCounts() == buffer.counts


@pytest.mark.parametrize("loss", [0.02, 0.1, 0.2, 0.4])
def test_heavy_loss_is_counted_chunk_by_chunk(loss: float) -> None:
    """Else the doctor would miss the worst networks."""
    draw = random.Random(7)
    sent = range(1, 2001)
    kept = [chunk for chunk in sent if chunk in (1, 2000) or draw.random() >= loss]
    buffer = JitterBuffer()
    out = received(buffer, [(chunk, chunk * FRAME_MS + draw.uniform(0, 8)) for chunk in kept])
    out += [arrival.chunk if isinstance(arrival, Payload) else arrival for arrival in buffer.flush()]

    assert kept == [arrival for arrival in out if isinstance(arrival, int)]
    assert 2000 - len(kept) == buffer.counts.lost


def test_a_stalled_connection_that_empties_itself() -> None:
    """Hundreds of chunks in one instant, in order: nothing waits and nothing is lost."""
    buffer = JitterBuffer()
    burst = [(chunk, 5000.0) for chunk in range(11, 300)]

    assert list(range(1, 300)) == received(buffer, [*steady(list(range(1, 11))), *burst])


def test_memory_is_bounded() -> None:
    """Without calls of `due` (a stuck shell) a hole must not hold the rest of the call."""
    buffer = JitterBuffer()
    held_most = 0
    for chunk in [1, *range(9, 4000)]:
        buffer.push(chunk, b"x", 0.0)
        held_most = max(held_most, len(buffer._held))

    assert held_most <= HELD_MAX + 1


@st.composite
def disorder(draw: st.DrawFn) -> tuple[list[tuple[int, float]], set[int]]:
    """A track with chunks doubled, lost, and delayed by less than the wait."""
    kinds = draw(st.lists(st.sampled_from(["", "", "late", "later", "twice", "lost"]), max_size=40))
    lost: set[int] = set()
    arrivals = [(0.0, 1)]
    for chunk, kind in enumerate(kinds, start=2):
        at_ms = chunk * FRAME_MS + {"late": 25.0, "later": 45.0}.get(kind, 0.0)
        if kind == "lost":
            lost.add(chunk)
            continue
        arrivals.append((at_ms, chunk))
        if kind == "twice":
            arrivals.append((at_ms + 1, chunk))
    return [(chunk, at_ms) for at_ms, chunk in sorted(arrivals)], lost


@given(disorder())
def test_each_chunk_once_and_in_order(track: tuple[list[tuple[int, float]], set[int]]) -> None:
    """Whatever the network does within the wait, the ear hears every chunk once, and a gap for each that is lost."""
    arrivals, lost = track
    buffer = JitterBuffer(wait_ms_max=60)
    out = received(buffer, arrivals)
    out += [arrival.chunk if isinstance(arrival, Payload) else arrival for arrival in buffer.flush()]

    heard = [arrival for arrival in out if isinstance(arrival, int)]
    gone = {
        chunk for gap in out if isinstance(gap, Gap) for chunk in range(gap.first_chunk, gap.first_chunk + gap.count)
    }
    assert sorted({chunk for chunk, _ in arrivals}) == heard
    assert {chunk for chunk in lost if chunk < heard[-1]} == gone
    assert len(gone) == buffer.counts.lost
    assert len(arrivals) - len(heard) == buffer.counts.duplicated + buffer.counts.late


@given(st.lists(st.tuples(st.integers(-1, 400), st.floats(0, 100)), max_size=200))
def test_any_numbers_keep_the_books(steps: list[tuple[int, float]]) -> None:
    """Every push is handed out, dropped and counted, or still held; no sequence of numbers breaks that."""
    buffer = JitterBuffer()
    now_ms, out = 0.0, 0
    for chunk, step_ms in steps:
        now_ms += step_ms
        out += sum(isinstance(arrival, Payload) for arrival in buffer.push(chunk, b"", now_ms))
        if (due_ms := buffer.next_due_ms()) is not None:
            out += sum(isinstance(arrival, Payload) for arrival in buffer.due(due_ms))
    out += sum(isinstance(arrival, Payload) for arrival in buffer.flush())

    counts = buffer.counts
    assert len(steps) == out + counts.duplicated + counts.late
    assert buffer.next_due_ms() is None


# --- limits, to the number and the millisecond --------------------------------------------------------------------------


def after(last: int) -> JitterBuffer:
    """A buffer that has handed out the chunks up to `last`, the last of them at 0 ms."""
    buffer = JitterBuffer()
    for chunk in range(max(1, last - 5), last + 1):
        buffer.push(chunk, b"", 0)
    return buffer


def wait_ms(buffer: JitterBuffer, now_ms: float) -> float:
    """How long a hole that is found now would wait."""
    last = buffer._last if buffer.expected < 0 else buffer.expected - 1
    buffer.push(last + 2, b"", now_ms)
    due_ms = buffer.next_due_ms()
    assert due_ms is not None
    return due_ms - now_ms


def test_a_hole_waits_for_three_frames() -> None:
    """More would be added to the answer at each loss, and less would lose what is only late."""
    assert 60.0 == wait_ms(after(10), 500)


@pytest.mark.parametrize(
    ("needed_ms", "wait"),
    [
        (20, 60),
        (49.5, 60),
        (50, 60),
        (50.5, 60.5),
        (59, 69),
        (61, 71),
        (100, 110),
        (149.5, 159.5),
        (150, 160),
        (151, 60),
    ],
)
def test_the_wait_is_what_the_last_one_needed_and_half_a_frame(needed_ms: float, wait: float) -> None:
    """Counted from when it was first missed, whether it came in time or was given up."""
    buffer = after(1)
    out = received(buffer, [(3, 1000), (4, 1019), (2, 1000 + needed_ms)])

    assert ([2, 3, 4] if needed_ms < 60 else [Gap(2, 1), 3, 4]) == out
    assert wait == wait_ms(buffer, 2000)


def test_the_longest_wait_that_was_needed_counts() -> None:
    """A chunk that needs less does not make it shorter again."""
    buffer = after(1)
    received(buffer, [(3, 1000), (2, 1110), (5, 1200), (4, 1280)])

    assert 120.0 == wait_ms(buffer, 2000)


@pytest.mark.parametrize(("after_ms", "wait"), [(29_999, 120), (30_000, 60)])
def test_how_long_the_wait_stays_adapted(after_ms: float, wait: float) -> None:
    """Half a minute from the last chunk that needed it."""
    buffer = after(1)
    received(buffer, [(3, 1000), (2, 1110)])

    assert wait == wait_ms(buffer, 1110 + after_ms)


@pytest.mark.parametrize(("step", "out"), [(50, [Gap(101, 49), 150]), (51, [151])])
def test_how_far_a_step_is_a_hole(step: int, out: list[int | Gap]) -> None:
    """A second of audio; further, it is another numbering, and nothing is missing between."""
    buffer = after(100)
    first = received(buffer, [(100 + step, 20)])
    due_ms = buffer.next_due_ms()

    assert [] == first
    assert 80.0 == due_ms
    assert [] == buffer.due(79.9)
    assert out == [one.chunk if isinstance(one, Payload) else one for one in buffer.due(80)]
    assert JitterCounts(lost=49 if step == 50 else 0, resyncs=step - 50) == buffer.counts


@pytest.mark.parametrize(("step", "counts"), [(50, JitterCounts(duplicated=1)), (51, JitterCounts())])
def test_how_far_back_a_chunk_is_an_old_one(step: int, counts: JitterCounts) -> None:
    """It was heard a second ago. From further back, it may begin a new numbering."""
    buffer = JitterBuffer()
    received(buffer, steady(list(range(1, 201))))
    assert [] == buffer.push(200 - step, b"", 4000)

    assert counts == buffer.counts
    assert (step == 51) == (buffer.next_due_ms() is not None)


@pytest.mark.parametrize(
    ("second", "out", "counts"),
    [
        (7, [], JitterCounts(late=1)),
        (6, [], JitterCounts(late=1)),
        (8, [7, 8], JitterCounts(resyncs=1)),
        (57, [7, Gap(8, 49), 57], JitterCounts(lost=49, resyncs=1)),
        (58, [], JitterCounts(late=1)),
    ],
)
def test_what_makes_a_new_numbering(second: int, out: list[int | Gap], counts: JitterCounts) -> None:
    """A second chunk a little further on; two from anywhere are two that were lost in time."""
    buffer = JitterBuffer()
    received(buffer, steady(list(range(200, 301))))
    assert [] == buffer.push(7, b"7", 2100)
    assert -1 == buffer.expected
    heard = received(buffer, [(second, 2110)])
    if second == 57:  # behind a hole, it waits like any other
        heard += [one.chunk if isinstance(one, Payload) else one for one in buffer.flush()]

    assert out == heard
    assert counts == buffer.counts


@pytest.mark.parametrize(
    ("chunk", "counts"),
    [
        (1, JitterCounts(late=1)),
        (20, JitterCounts(late=1)),
        (39, JitterCounts(late=1)),
        (40, JitterCounts(duplicated=1)),
    ],
)
def test_what_went_before_the_first_is_late(chunk: int, counts: JitterCounts) -> None:
    """It was not handed out, so it is no copy; and how long it was away tells nothing about the wait."""
    buffer = JitterBuffer()
    assert -1 == buffer.expected
    assert [Payload(40, b"x")] == buffer.push(40, b"x", 0)
    assert [] == buffer.push(chunk, b"x", 10)

    assert counts == buffer.counts
    assert 60.0 == wait_ms(buffer, 20)


@pytest.mark.parametrize(
    ("chunk", "late", "duplicated"), [(1, 0, 1), (2, 1, 0), (3, 1, 0), (4, 1, 0), (5, 0, 1), (6, 0, 1)]
)
def test_only_what_was_given_up_is_late(chunk: int, late: int, duplicated: int) -> None:
    """At the edges of the hole, too."""
    buffer = after(1)
    received(buffer, [(5, 20), (6, 40)])
    buffer.due(80)
    assert [] == buffer.push(chunk, b"", 90)

    assert (late, duplicated) == (buffer.counts.late, buffer.counts.duplicated)


def test_what_passes_the_quick_way() -> None:
    """The next number and no other; nothing while something is held, or it is not clear which numbering goes on."""
    buffer = JitterBuffer()
    first = [buffer.passes(chunk) for chunk in (-1 + 2, 0, 2)]
    buffer.push(7, b"", 0)
    known = buffer.expected
    passed = [buffer.passes(chunk) for chunk in (7, 9, 8, 8, 9)]
    buffer.push(11, b"", 20)
    held = buffer.expected, buffer.passes(12)
    buffer.push(10, b"", 30)
    again = buffer.expected, buffer.passes(12)

    assert [False] * 3 == first
    assert 8 == known
    assert [False, False, True, False, True] == passed
    assert (-1, False) == held
    assert (12, True) == again


def test_a_chunk_without_a_number_among_numbered_ones() -> None:
    """It takes no place in the order, and moves none."""
    buffer = after(5)

    assert [Payload(0, b"a")] == buffer.push(0, b"a", 20)
    assert [Payload(6, b"b")] == buffer.push(6, b"b", 40)
    assert JitterCounts() == buffer.counts
