"""Audio on its way to the ear, by literal times."""

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
