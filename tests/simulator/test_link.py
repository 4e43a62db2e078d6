"""Faults on the way: each changes what it says, and the same seed gives the same call again."""

from __future__ import annotations

import json

import pytest

from callpath.errors import ConfigError
from callpath.simulator.link import FAULTS, Drops, Fault, Link, MediaStops, Parcel, parse_fault
from tests.telnyx import sample_text

START = json.dumps(json.loads(sample_text("ws/t-start-pcmu.json")), separators=(",", ":"))


def media(chunk: int) -> str:
    return f'{{"event":"media","media":{{"chunk":"{chunk}"}}}}'


def test_no_fault_changes_nothing() -> None:
    """A clean call must be clean."""
    link = Link()

    assert "wss://e.com/x?y=1" == link.stream_url("wss://e.com/x?y=1")
    assert [START, media(1)] == link.carry([START, media(1)], 0)
    assert [Parcel()] == link.deliver("call.initiated")
    assert link.drops_after_ms() is None
    assert 0 == link.connect_delay_ms()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_named(name: str) -> None:
    """A fault that the command line cannot name is not there for most users."""

    assert parse_fault(name).NAME == name
    assert Link([name]).faults


@pytest.mark.parametrize(
    ("text", "expected"),
    [("media_stops=2000", MediaStops(2000.0)), ("drops=5", Drops(5.0))],
)
def test_a_fault_takes_its_value(text: str, expected: Fault) -> None:
    """The time of a fault decides what it shows."""

    assert expected == parse_fault(text)


@pytest.mark.parametrize("text", ["typo", "drops=soon", "no_start=1"])
def test_a_fault_that_makes_no_sense(text: str) -> None:
    """A slip must not quietly run a clean call."""
    with pytest.raises(ConfigError):
        parse_fault(text)


def test_never_connects() -> None:
    """Telnyx's side cannot reach the host at all."""

    assert Link(["never_connects"]).stream_url("wss://e.com/x") is None


def test_connects_elsewhere() -> None:
    """As a proxy that rewrites paths; the host stays."""

    assert "wss://e.com:444/wrong?a=b" == Link(["connects_elsewhere=/wrong?a=b"]).stream_url(
        "wss://e.com:444/right?t=1"
    )


def test_connects_late() -> None:
    """A server's watchdog must wait long enough, and not too long."""

    assert 300.0 == Link(["connects_late=300"]).connect_delay_ms()


def test_frames_that_do_not_arrive() -> None:
    """Each missing kind is another symptom at the server."""

    assert [media(1)] == Link(["no_start"]).carry([START, media(1)], 0)
    assert [START] == Link(["no_media"]).carry([START, media(1)], 0)
    assert [media(1)] == Link(["media_stops=100"]).carry([media(1)], 99)
    assert [] == Link(["media_stops=100"]).carry([media(1)], 100)


def test_swapped_chunks_are_all_there() -> None:
    """Out of order, but none lost or doubled: that is what Telnyx promises."""
    link = Link(["chunks_swapped=0.5"], seed=7)
    arrived = [text for chunk in range(1, 101) for text in link.carry([media(chunk)], 20 * chunk)]

    assert arrived != sorted(arrived, key=_chunk)
    assert [media(chunk) for chunk in range(1, len(arrived) + 1)] == sorted(arrived, key=_chunk)
    assert len(arrived) >= 99
    assert 1 == max(abs(_chunk(text) - place) for place, text in enumerate(arrived, 1))


def _chunk(text: str) -> int:
    return int(json.loads(text)["media"]["chunk"])


def test_a_stop_does_not_overtake_a_held_chunk() -> None:
    """The last word of a caller must not be lost in the fault."""
    link = Link(["chunks_swapped=1.0"])
    stop = '{"event":"stop"}'

    assert [media(1), stop] == link.carry([media(1), stop], 0)


def test_webhooks_twice_late_or_badly_signed() -> None:
    """Three things that a server must bear or refuse."""

    assert [Parcel(), Parcel(delay_ms=50.0)] == Link(["webhook_duplicated"]).deliver("call.answered")
    assert [Parcel(bad_signature=True)] == Link(["bad_signature"]).deliver("call.answered")
    reordered = Link(["webhook_reordered"], seed=1)
    assert [Parcel()] == reordered.deliver("call.initiated")
    delays = {reordered.deliver("streaming.started")[0].delay_ms for _ in range(50)}
    assert {0.0, 200.0} == delays


def test_the_same_seed_gives_the_same_call() -> None:
    """A failure that cannot be replayed cannot be repaired."""
    runs = [[Link(["chunks_swapped"], seed=seed).carry([media(chunk) for chunk in range(50)], 0)] for seed in (3, 3, 4)]

    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_two_calls_do_not_share_a_fault() -> None:
    """A chunk held back on one call must not come out on another."""
    fault = parse_fault("chunks_swapped=1.0")
    Link([fault]).carry([media(1)], 0)

    assert [] == Link([fault]).carry([media(2)], 0)
