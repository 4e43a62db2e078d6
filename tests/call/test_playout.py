"""Audio on its way to the ear, by literal times."""

from __future__ import annotations

from callpath.call.playout import Cleared, Playout


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


def test_silence_after_a_clear_is_no_underrun() -> None:
    """Every quick answer to a barge-in would be shown as a gap in our speech."""
    playout = filled(20)
    playout.take_due(0)
    playout.clear(100)
    for at_ms in (250, 330):
        playout.add(b"x", 20)
        playout.take_due(at_ms)

    assert playout.underruns == 1  # the second piece came late
