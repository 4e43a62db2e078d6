"""Audio on its way to the caller, by literal times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.call.playout import LEAD_MS_MAX, Cleared, Playout


def filled(frames: int) -> Playout:
    playout = Playout()
    for number in range(frames):
        playout.add(bytes([number]), 20)
    return playout


def test_the_lead_goes_out_at_once_and_then_one_frame_every_20_ms() -> None:
    """On absolute deadlines: a late wake-up is made good, not added up."""
    playout = filled(20)

    assert len(playout.take_due(0)) == 10
    assert playout.next_due_at_ms() == 20
    assert playout.take_due(19.9) == []
    assert playout.take_due(20) == [b"\x0a"]
    assert len(playout.take_due(75)) == 2  # two deadlines, 40 and 60, have passed
    assert playout.next_due_at_ms() == 80


def test_marks_keep_their_place() -> None:
    """A mark goes out right behind the audio that it is about."""
    playout = filled(1)
    playout.add_mark("a")
    playout.add(b"\x01", 20)

    assert playout.take_due(0) == [b"\x00", "a", b"\x01"]


def test_what_was_heard_is_what_was_sent_less_the_lead() -> None:
    """By arithmetic, at any time."""
    playout = filled(10)
    playout.take_due(0)

    assert playout.played_ms(0) == 0
    assert playout.played_ms(50) == 50
    assert playout.played_ms(1000) == 200
    assert playout.unheard_ms(50) == 150


def test_clear_tells_heard_from_dropped() -> None:
    """What is queued here and over there is dropped alike."""
    playout = filled(20)
    playout.take_due(0)

    assert playout.clear(100) == Cleared(heard_ms=100, dropped_ms=300)
    assert playout.take_due(100) == []
    assert playout.clear(200) == Cleared(heard_ms=0, dropped_ms=0)


def test_after_a_clear_playing_starts_anew() -> None:
    """With its full lead, at once."""
    playout = filled(20)
    playout.take_due(0)
    playout.clear(100)
    for _ in range(20):
        playout.add(b"x", 20)

    assert len(playout.take_due(100)) == 10


def test_marks_taken_back_by_clear_were_not_heard() -> None:
    """The same name may be used again, and then it counts."""
    playout = filled(1)
    playout.add_mark("a")
    playout.take_due(0)
    playout.clear(5)
    playout.add_mark("a")
    playout.take_due(5)

    assert [playout.take_back_mark("a"), playout.take_back_mark("a")] == [False, True]


def test_a_short_dry_spell_is_an_underrun() -> None:
    """The caller heard a gap within speech; a pause between sentences is none."""
    playout = Playout()
    for at_ms in (0, 60, 2000):
        playout.add(b"x", 20)
        playout.take_due(at_ms)

    assert playout.underruns == 1


def test_what_was_sent_does_not_wait_any_more() -> None:
    """Raw L16 at 24 kHz, in pieces of any length: a residue of 1e-15 ms was waited for without an end."""
    playout = Playout()
    for samples in (361, 362, 345):
        playout.add(b"x", 2 * samples / 48)
    sent = playout.take_due(0)

    assert len(sent) == 3
    assert playout.unheard_ms(1000) == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "mark", "clear", "wait"]), st.floats(1, 200), st.integers(1, 12)), max_size=60
)


@given(steps=STEPS)
def test_the_books_of_playout_balance(steps: list[tuple[str, float, int]]) -> None:
    """However pieces, clears and wake-ups follow each other: the lead is kept, and what was played is what was added less
    what was cleared."""
    playout = Playout()
    now_ms = added_ms = dropped_ms = heard_ms = 0.0
    for kind, ms, pieces in steps:
        match kind:
            case "add":
                for _ in range(pieces):
                    playout.add(b"x", ms)
                    added_ms += ms
            case "mark":
                playout.add_mark("m")
            case "clear":
                cleared = playout.clear(now_ms)
                heard_ms += cleared.heard_ms
                dropped_ms += cleared.dropped_ms
            case _:
                now_ms += ms
        playout.take_due(now_ms)

        assert playout.lead_ms(now_ms) <= LEAD_MS_MAX + 1e-6
        assert added_ms - dropped_ms == pytest.approx(playout.played_ms(now_ms) + playout.unheard_ms(now_ms), abs=1e-6)
    heard_ms += playout.clear(now_ms).heard_ms

    assert heard_ms == pytest.approx(playout.played_ms(now_ms), abs=1e-6)


def test_silence_after_a_clear_is_no_underrun() -> None:
    """Every quick answer to a barge-in would be shown as a gap in our speech."""
    playout = filled(20)
    playout.take_due(0)
    playout.clear(100)
    for at_ms in (250, 330):
        playout.add(b"x", 20)
        playout.take_due(at_ms)

    assert playout.underruns == 1  # the second piece came late


def test_a_frame_that_need_not_wait() -> None:
    """The quick way of a frame: only up to the lead, to the last millisecond, and never past one that waits."""
    playout = Playout()
    alone = [playout.may_send_at_once(ms, 0) for ms in (200, 201)]
    for _ in range(9):
        playout.send_at_once(b"x", 20, 1000)
    with_lead = [playout.may_send_at_once(ms, 1000) for ms in (20, 21)]
    later = [playout.may_send_at_once(ms, 1050) for ms in (70, 71)]
    playout.add(b"y", 20)

    assert [True, False] == alone == with_lead == later
    assert not playout.may_send_at_once(20, 5000)


def test_what_went_out_is_counted() -> None:
    """By frames, whichever way they went; and whether it was more than silence."""
    playout = Playout()
    before = playout.frames_sent, playout.sounded
    playout.send_at_once(b"\xff" * 160, 20, 0)
    playout.add(b"\xff" * 160, 20)
    playout.take_due(0)
    silent = playout.frames_sent, playout.sounded
    playout.send_at_once(bytes(range(160)), 20, 0)
    playout.send_at_once(b"\xff" * 160, 20, 0)

    assert (0, False) == before
    assert (2, False) == silent
    assert (4, True) == (playout.frames_sent, playout.sounded)


@pytest.mark.parametrize(
    ("dry_ms", "underruns"), [(0, 0), (1, 0), (19.75, 0), (20, 1), (250, 1), (499.75, 1), (500, 0), (3000, 0)]
)
@pytest.mark.parametrize("length_ms", [1.0, 20.0])
def test_how_long_a_gap_is_one(dry_ms: float, underruns: int, length_ms: float) -> None:
    """Less is not heard; more is a pause between sentences. What comes first of all follows no gap."""
    playout = Playout()
    playout.send_at_once(b"x", length_ms, 0)
    playout.send_at_once(b"x", 20, length_ms + dry_ms)

    assert underruns == playout.underruns


@pytest.mark.parametrize("begins_at_ms", [0, 30, 300])
def test_the_first_frame_is_no_underrun(begins_at_ms: float) -> None:
    """There was nothing to run dry."""
    playout = Playout()
    playout.send_at_once(b"x", 20, begins_at_ms)

    assert 0 == playout.underruns


def test_a_mark_that_came_back_is_not_waited_for() -> None:
    """With the socket lost, it would be handed to the handler a second time. A mark of nobody's harms nothing."""
    playout = filled(1)
    playout.add_mark("a")
    playout.add_mark("b")
    playout.take_due(0)

    assert playout.take_back_mark("a")
    assert playout.take_back_mark("unknown")
    assert ["b"] == playout.take_marks()
    assert [] == playout.take_marks()


def test_after_a_clear_nothing_is_left_to_be_heard() -> None:
    """`finished()` waits for this figure to reach zero."""
    playout = filled(20)
    playout.take_due(0)
    playout.clear(100)

    assert 0.0 == playout.unheard_ms(100) == playout.queued_ms


def test_when_there_is_something_to_send_next() -> None:
    """By the first in the queue, whatever is behind it; a mark at the head goes at once."""
    playout = Playout()
    nothing = playout.next_due_at_ms()
    playout.add(b"x", 20)
    first = playout.next_due_at_ms()
    playout.add(b"y", 190)
    playout.take_due(0)
    playout.add(b"z", 50)
    second = playout.next_due_at_ms()
    marked = Playout()
    marked.add_mark("a")
    marked.add(b"x", 20)

    assert (None, -180, 10, 0.0) == (nothing, first, second, marked.next_due_at_ms())


def test_what_waits_can_be_given_another_form() -> None:
    """L16 whose byte order turned out to be the other one: payloads change, and their times and the marks do not."""
    playout = Playout()
    for number in range(1, 13):
        playout.add(bytes([number, 0]), 20.0)
        if number == 11:
            playout.add_mark("between")
    sent = playout.take_due(0)
    queued_ms = playout.queued_ms
    playout.recode(lambda payload: payload[::-1])

    assert [bytes([number, 0]) for number in range(1, 11)] == sent
    assert 40.0 == queued_ms == playout.queued_ms
    assert [] == playout.take_due(19.9)
    assert [bytes([0, 11]), "between"] == playout.take_due(20.0)
    assert [bytes([0, 12])] == playout.take_due(40.0)


def test_a_playout_begins_at_any_time_without_an_underrun() -> None:
    """A clock begins anywhere: the first frame of a call follows nothing."""
    for began_ms in (0.0, 1.0, 100.0):
        playout = Playout()
        playout.send_at_once(bytes(160), 20.0, began_ms)

        assert 0 == playout.underruns
        assert 20.0 == playout.lead_ms(began_ms)
