"""Keys in the order of the fingers, whatever order the frames come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.call.keys import KEY_HOLD_MS, KEYS_REMEMBERED_MAX, DtmfPressed, KeyOrder
from callpath.wire.media import Dtmf

SECOND_UNIX_MS = 1_767_323_045_000


def key(digit: str, ms: int | None = None, number: int = 0) -> Dtmf:
    """Pressed `ms` after the second, by Telnyx's clock."""
    at = None if ms is None else f"2026-01-02T03:04:{5 + ms // 1000:02}.{ms % 1000:03}001Z"
    return Dtmf(digit=digit, occurred_at=at, sequence_number=number)


def digits(keys: list[DtmfPressed]) -> str:
    return "".join(pressed.digit for pressed in keys)


def handed_out(arrivals: list[tuple[float, Dtmf]]) -> list[DtmfPressed]:
    """Push each key at its time and call `due` whenever it was asked for, as a shell does."""
    order, out = KeyOrder(), []
    for at_ms, frame in arrivals:
        while (due_ms := order.next_due_ms()) is not None and due_ms <= at_ms:
            out += order.due(due_ms)
        order.push(frame, at_ms)
    return out + order.flush()


def test_a_lone_key_is_held_for_two_frames_and_no_longer() -> None:
    """A menu that waits longer feels broken."""
    order = KeyOrder()
    order.push(key("5", 250), 1000.0)

    assert 1000.0 + KEY_HOLD_MS == order.next_due_ms() == 1040.0
    assert [] == order.due(1039.9)
    assert [DtmfPressed("5", SECOND_UNIX_MS + 250)] == order.due(1040.0)
    assert order.next_due_ms() is None
    assert [] == order.due(2000.0)


@pytest.mark.parametrize(
    "frames",
    [
        [key("2", 200, 9), key("1", 100, 8)],
        [key("2", 200), key("1", 100)],
        [key("2", None, 9), key("1", None, 8)],
        [key("2", 200, 8), key("1", 100, 9)],  # the time decides
        [key("2", 100, 9), key("1", 100, 8)],
    ],
    ids=["both", "time", "number", "time before number", "number at one time"],
)
def test_two_keys_that_come_reversed_are_put_right(frames: list[Dtmf]) -> None:
    """A PIN with two digits swapped is a wrong PIN."""
    assert "12" == digits(handed_out([(0.0, frames[0]), (15.0, frames[1])]))


def test_without_evidence_keys_stay_as_they_came() -> None:
    """Neither time nor number: the order of arrival is all there is."""
    assert "2113" == digits(handed_out([(0.0, key("2")), (1.0, key("1")), (2.0, key("1")), (3.0, key("3"))]))


def test_a_key_that_waits_is_not_let_out_before_an_earlier_one() -> None:
    """The earlier one came later, so its own wait is not over; out of turn it would be of no use."""
    order = KeyOrder()
    order.push(key("2", 200), 0.0)
    order.push(key("1", 100), 30.0)
    order.push(key("3", 300), 35.0)

    assert "12" == digits(order.due(40.0))
    assert 75.0 == order.next_due_ms()
    assert "3" == digits(order.due(75.0))


def test_a_key_that_comes_after_the_hold_is_not_lost() -> None:
    """It is out of turn, and its time says so."""
    pressed = handed_out([(0.0, key("2", 200)), (300.0, key("1", 100))])

    assert "21" == digits(pressed)
    assert [SECOND_UNIX_MS + 200, SECOND_UNIX_MS + 100] == [one.occurred_at_unix_ms for one in pressed]


@pytest.mark.parametrize(
    "frames",
    [
        [key("1", 100, 8), key("1", 100, 8)],
        [key("1", 100, 8), key("1", 100, 9)],  # to the microsecond: nobody presses that fast
        [key("1", 100), key("1", 100)],
        [key("1", None, 8), key("1", None, 8)],
        [Dtmf(digit="1", occurred_at="2026-01-02T03:04:05Z", sequence_number=8)] * 2,
    ],
)
@pytest.mark.parametrize("later_ms", [1.0, 5000.0])
def test_a_copy_is_dropped_and_counted(frames: list[Dtmf], later_ms: float) -> None:
    """A menu that takes one key for two skips a question."""
    order = KeyOrder()
    order.push(frames[0], 0.0)
    first = order.due(later_ms) if later_ms > KEY_HOLD_MS else []
    order.push(frames[1], later_ms)

    assert "1" == digits(first + order.flush())
    assert 1 == order.duplicated


@pytest.mark.parametrize(
    "frames",
    [
        [key("1", 100, 8), key("1", 180, 9)],
        [key("1", None, 8), key("1", None, 9)],
        [key("1"), key("1")],
        [Dtmf(digit="1", occurred_at="2026-01-02T03:04:05Z", sequence_number=number) for number in (8, 9)],
        [key("1", 100, 8), key("2", 100, 8)],
    ],
)
def test_a_key_pressed_twice_comes_twice(frames: list[Dtmf]) -> None:
    """11 is a number like any other."""
    order = KeyOrder()
    for frame in frames:
        order.push(frame, 0.0)

    assert [frame.digit for frame in frames] == [pressed.digit for pressed in order.flush()]
    assert 0 == order.duplicated


def test_what_is_remembered_is_bounded() -> None:
    """A caller who leans on a key for an hour fills no memory; a copy is told from the last few dozen."""
    order = KeyOrder()
    for number in range(1, KEYS_REMEMBERED_MAX + 2):
        order.push(key("1", None, number), 0.0)
    order.push(key("1", None, 2), 0.0)  # the oldest that is still known
    order.push(key("1", None, 1), 0.0)

    assert 1 == order.duplicated
    assert KEYS_REMEMBERED_MAX + 2 == len(order.flush())
    assert 32 == KEYS_REMEMBERED_MAX == len(order._known)


@pytest.mark.parametrize(
    ("occurred_at", "unix_ms"),
    [
        ("2026-01-02T03:04:05.678901Z", SECOND_UNIX_MS + 678),
        ("2026-01-02T03:04:05.678901+00:00", SECOND_UNIX_MS + 678),
        ("2026-01-02T05:04:05+02:00", SECOND_UNIX_MS),
        ("2026-01-02T03:04:05", SECOND_UNIX_MS),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_when_a_key_was_pressed(occurred_at: str | None, unix_ms: int | None) -> None:
    """Handlers measure pauses between keys by it; what is no time must not end the call."""
    order = KeyOrder()
    order.push(Dtmf(digit="1", occurred_at=occurred_at), 0.0)

    assert [DtmfPressed("1", unix_ms)] == order.flush()


@given(presses=st.lists(st.tuples(st.floats(0, KEY_HOLD_MS / 2), st.booleans()), max_size=12))
def test_keys_within_the_hold_always_come_sorted(presses: list[tuple[float, bool]]) -> None:
    """Whatever the disorder, as long as no frame is later than the hold, and whatever comes twice."""
    arrivals: list[tuple[float, Dtmf]] = []
    for number, (late_ms, twice) in enumerate(presses, 1):
        frame = key(str(number % 10), 50 * number, number)
        arrivals += [(10.0 * number + late_ms, frame)] * (2 if twice else 1)
    arrivals.sort(key=lambda arrival: arrival[0])

    assert [str(number % 10) for number in range(1, len(presses) + 1)] == list(digits(handed_out(arrivals)))


def test_where_nothing_is_missing_a_key_is_not_held() -> None:
    """The numbers of the frames prove it; with one missing it is held."""
    order = KeyOrder()
    order.push(key("1", 100), 1_000.0, complete=True)
    at_once = order.next_due_ms(), digits(order.due(1_000.0))
    order.push(key("2", 200), 1_000.0)

    assert (1_000.0, "1") == at_once
    assert 1_040.0 == order.next_due_ms()


def test_a_number_of_one_is_a_number() -> None:
    """The first frame of all has it."""
    assert "12" == digits(handed_out([(0.0, key("2", None, 2)), (10.0, key("1", None, 1))]))


def test_numbers_begin_again_with_a_new_start_frame() -> None:
    """What is held is handed out, and an equal number is no copy any more."""
    order = KeyOrder()
    order.push(key("1", None, 5), 0.0)
    handed = digits(order.restart())
    order.push(key("1", None, 5), 1.0)

    assert ("1", "1", 0) == (handed, digits(order.flush()), order.duplicated)
