"""Faults on the way: each changes what it says, and the same seed gives the same call again."""

from __future__ import annotations

import json

import pytest

from callpath.errors import ConfigError
from callpath.simulator.link import (
    FAULTS,
    ConnectsElsewhere,
    Drops,
    Fault,
    Link,
    MediaStops,
    Parcel,
    Stalls,
    parse_fault,
)
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
    assert [] == link.breaks()
    assert link.next_at_ms() is None
    assert 0 == link.connect_delay_ms()


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_can_be_named(name: str) -> None:
    """A fault that the command line cannot name is not there for most users."""

    assert parse_fault(name).NAME == name
    assert Link([name]).faults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("media_stops=2000", MediaStops(2000.0)),
        ("drops=5", Drops(5.0)),
        ("stalls=after_ms:500,for_ms:300", Stalls(for_ms=300.0, after_ms=500.0)),
        ("connects_elsewhere=/a:b,c", ConnectsElsewhere("/a:b,c")),
    ],
)
def test_a_fault_takes_its_value(text: str, expected: Fault) -> None:
    """The time of a fault decides what it shows."""

    assert expected == parse_fault(text)


@pytest.mark.parametrize("text", ["typo", "drops=soon", "drops=-1", "drops=inf", "chunks_lost=1.5", "no_start=1"])
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


def arriving(fault: str, seed: int = 7) -> list[tuple[int, float]]:
    """Send a hundred chunks, one each 20 ms: which arrive, and when."""
    link = Link([fault], seed=seed)
    arrived: list[tuple[int, float]] = []
    for at_ms in range(0, 4000, 5):
        texts = [media(at_ms // 20 + 1)] if at_ms % 20 == 0 and at_ms < 2000 else []
        arrived += [(_chunk(text), at_ms) for text in link.carry(texts, at_ms)]
    assert link.next_at_ms() is None
    return arrived


@pytest.mark.parametrize(("fault", "least", "most"), [("chunks_lost=0.3", 50, 90), ("chunks_doubled=0.3", 110, 150)])
def test_chunks_lost_and_doubled(fault: str, least: int, most: int) -> None:
    """So many of a hundred, in order, and the others untouched."""
    chunks = [chunk for chunk, _ in arriving(fault)]

    assert least <= len(chunks) <= most
    assert chunks == sorted(chunks)


def test_delayed_chunks_keep_their_order() -> None:
    """TCP brings everything, in order, but not in time."""
    arrived = arriving("chunks_delayed=200")
    late_ms = [at_ms - 20 * (chunk - 1) for chunk, at_ms in arrived]

    assert list(range(1, 101)) == [chunk for chunk, _ in arrived]
    assert max(late_ms) > 100
    assert max(late_ms) < 210


def test_bursts_come_at_their_times() -> None:
    """A proxy that buffers: nothing, nothing, and then half a second of audio at once."""
    assert {500, 1000, 1500, 2000} == {at_ms for _, at_ms in arriving("chunks_bursty=500")}


def test_a_stall_holds_everything_and_loses_nothing() -> None:
    """Both ways: what the server sends is not read either."""
    arrived = arriving("stalls=after_ms:500,for_ms:300")

    assert list(range(1, 101)) == [chunk for chunk, _ in arrived]
    assert not [at_ms for _, at_ms in arrived if 500 <= at_ms < 800]
    assert 16 == len([at_ms for _, at_ms in arrived if at_ms == 800])
    assert 250.0 == Link(["stalls=after_ms:500,for_ms:300"]).read_pause_ms(550)
    assert 0.0 == Link(["stalls=after_ms:500,for_ms:300"]).read_pause_ms(900)


def test_what_happens_to_the_socket() -> None:
    """In the order of time, whatever the order in which they were named."""
    link = Link(["half_open=900", "second_connection=300", "reset=500"])

    assert [(300, "second_connection"), (500, "reset"), (900, "half_open")] == link.breaks()
    assert 0.0 == link.read_pause_ms(899)
    assert float("inf") == link.read_pause_ms(900)
    assert 100.0 == Link(["slow_reader=10"]).read_pause_ms(0)


def test_audio_in_another_encoding_than_start_says() -> None:
    """The frame's shape stays; only the sound tells."""
    assert "PCMA" == Link(["wrong_codec"]).encoding("PCMU")
    assert "PCMU" == Link(["drops"]).encoding("PCMU")


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_says_what_a_server_must_do(name: str) -> None:
    """`callpath simulate faults` is the table by which a server is judged."""
    fault = FAULTS[name]

    assert (fault.__doc__ or "").endswith(".")
    assert fault.MUST.endswith(".")
    assert fault.CAUSE


def test_a_webhook_does_not_change_what_happens_to_the_frames() -> None:
    """Which came first is decided by the machine's load: a replay must not depend on it."""
    faults = ["chunks_lost=0.5", "webhook_reordered"]
    alone, beside = Link(faults, seed=3), Link(faults, seed=3)
    for _ in range(5):
        beside.deliver("call.answered")
    texts = [media(chunk) for chunk in range(50)]

    assert alone.carry(texts, 0) == beside.carry(texts, 0)


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
