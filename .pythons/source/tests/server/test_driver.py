"""What the driver of a stream does when many frames come, and when its peer does not read: hard to bring about with
whole calls, so here by hand."""

from __future__ import annotations

import json
from typing import Any

from callpath.call.session import CallSession
from callpath.call.stream import MediaStream
from callpath.clock import ManualClock
from callpath.server.gathering import AT_ONCE_MAX, Gathering
from callpath.server.media import COUNTED_EVERY_MS, LOOK_EVERY_MS, StreamDriver
from callpath.server.pacer import Pacer
from callpath.timeline import FirstInbound, FirstOutbound, MediaCounted, MediaSymptom, StreamStopped, What
from callpath.wire.ids import SessionId
from callpath.wire.media import Media, encode_message

START = {
    "event": "start",
    "stream_id": "s",
    "start": {
        "call_control_id": "c",
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    },
}


class Live:
    """The call around it, without a handler: what is played is put into the stream by the test."""

    call = None
    acts = True

    def __init__(self, stream: MediaStream) -> None:
        self.stream = stream
        self.noted: list[tuple[What, int | None]] = []
        self.session = CallSession(SessionId("s"))

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        self.noted.append((what, at_unix_ms))

    def stream_started(self, *_: object) -> None: ...

    def socket_closed(self, stream: MediaStream) -> None: ...


class Peer:
    """A socket that can be full."""

    def __init__(self) -> None:
        self.writable = True
        self.sent: list[bytes] = []

    def send(self, text: bytes) -> None:
        self.sent.append(text)

    def look(self, now_ms: float) -> None: ...


def driven(
    clock: ManualClock, gathering: Gathering, pacer: Pacer | None = None
) -> tuple[StreamDriver, MediaStream, Live, Peer]:
    stream, peer = MediaStream(), Peer()
    live: Any = Live(stream)
    driver = StreamDriver(live, stream, clock, pacer or Pacer(clock), gathering)
    driver.begin(peer)  # type: ignore[arg-type]
    driver.receive_text(json.dumps(START).encode())
    return driver, stream, live, peer


async def test_first_frames_of_many_calls_are_noted_a_little_later_with_their_own_time() -> None:
    """A log line and a commit for each, at the moment when hundreds begin to talk, would be heard by all."""
    clock = ManualClock()
    gathering = Gathering(clock)
    gathering.busy = True
    driver, stream, live, _ = driven(clock, gathering)
    began_unix_ms = clock.now_unix_ms()
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    stream.play_payload(bytes(160))
    driver.flush()
    noted_at_once = list(live.noted)
    await clock.advance(2 * LOOK_EVERY_MS)
    driver.wake(clock.now_ms())

    assert [] == noted_at_once
    assert [(FirstInbound, began_unix_ms), (FirstOutbound, began_unix_ms)] == [
        (type(what), at) for what, at in live.noted if isinstance(what, FirstInbound | FirstOutbound)
    ]


async def test_those_of_too_many_wait_for_their_first_count() -> None:
    """A thousand calls that begin together would spend a fifth of the core on these entries while all of them talk."""
    clock = ManualClock()
    gathering, pacer = Gathering(clock), Pacer(clock)
    gathering.busy = True
    calls = [driven(clock, gathering, pacer) for _ in range(AT_ONCE_MAX + 2)]
    for driver, *_ in calls:
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    await clock.advance(2 * LOOK_EVERY_MS)
    gathering.frame_came()
    await clock.advance(1)  # what is done at once is counted anew
    gathering.busy = True
    by_looks = [entries_after_waking(*call, clock) for call in calls]
    await clock.advance(2 * COUNTED_EVERY_MS)
    in_the_end = [entries_after_waking(*call, clock) for call in calls]

    assert [[FirstInbound]] * AT_ONCE_MAX + [[]] * 2 == by_looks
    assert [[FirstInbound, MediaCounted]] * (AT_ONCE_MAX + 2) == in_the_end


def entries_after_waking(
    driver: StreamDriver, _stream: MediaStream, live: Live, _peer: Peer, clock: ManualClock
) -> list[type[What]]:
    driver.wake(clock.now_ms())
    return [type(what) for what, _ in live.noted if isinstance(what, FirstInbound | MediaCounted)]


async def test_they_stand_before_the_end_of_a_call_that_ends_sooner() -> None:
    """A timeline that tells of the end before the beginning misleads."""
    clock = ManualClock()
    gathering = Gathering(clock)
    gathering.busy = True
    driver, _, live, _ = driven(clock, gathering)
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    driver.receive_text(b'{"event":"stop","stream_id":"s","stop":{}}')
    kinds = [type(what) for what, _ in live.noted]

    assert kinds.index(FirstInbound) < kinds.index(StreamStopped)


async def test_a_peer_that_does_not_read_makes_playout_wait_and_is_counted() -> None:
    """What waits here can still be cleared; and who reads the counters sees whose fault the silence is."""
    clock = ManualClock()
    driver, stream, live, peer = driven(clock, Gathering(clock))
    peer.writable = False
    for _ in range(3):
        stream.play_payload(bytes(160))
        driver.flush()
    waited = list(peer.sent)
    peer.writable = True
    driver.room()
    driver.receive_text(b'{"event":"stop","stream_id":"s","stop":{}}')
    (counted,) = (what for what, _ in live.noted if isinstance(what, MediaCounted))

    assert [] == waited
    assert 3 == len(peer.sent)
    assert 1 == counted.write_stalls


class HeldUp(Pacer):
    """Of an event loop that was held up in the first three seconds."""

    def __init__(self, clock: ManualClock, lag_ms: float = 80.0) -> None:
        super().__init__(clock)
        self._lag_ms = lag_ms

    def lag_ms_lately(self, now_ms: float) -> float:
        return self._lag_ms if now_ms < 3_000 else 0.0


async def test_a_count_tells_how_late_all_was_since_the_one_before() -> None:
    """The page plots both: whether the network was late, or the server."""
    clock = ManualClock()
    driver, _, live, _ = driven(clock, Gathering(clock), HeldUp(clock))
    for chunk, wait_ms in enumerate((0.0, 20.0, 55.0, 20.0), 1):
        await clock.advance(wait_ms)
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=chunk)).encode())
    for _ in range(20):
        await clock.advance(LOOK_EVERY_MS)
        driver.wake(clock.now_ms())
    counts = [what for what, _ in live.noted if isinstance(what, MediaCounted)]

    assert [(35.0, 80.0), (0.0, 0.0)] == [(counted.jitter_ms, counted.loop_lag_ms) for counted in counts]


async def test_a_lag_has_one_entry_and_stands_in_the_counts_of_all() -> None:
    """Hundreds of entries at the moment when the loop was held up would hold it up once more."""
    clock = ManualClock()
    pacer = HeldUp(clock, 180.0)
    them = [driven(clock, Gathering(clock), pacer) for _ in range(3)]
    for driver, _, _, _ in them:
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    for _ in range(20):
        await clock.advance(LOOK_EVERY_MS)
        for driver, _, _, _ in them:
            driver.wake(clock.now_ms())
    noted = [[what for what, _ in live.noted] for _, _, live, _ in them]
    counts = [max(what.loop_lag_ms for what in whats if isinstance(what, MediaCounted)) for whats in noted]
    told = [what.code for whats in noted for what in whats if isinstance(what, MediaSymptom)]

    assert [180.0] * 3 == counts
    assert 1 == told.count("SYM013")


async def test_whatever_comes_shows_that_the_socket_lives() -> None:
    """A socket that is silent for two seconds may be replaced by another; one that talks may not."""
    clock = ManualClock()
    driver, stream, _, _ = driven(clock, Gathering(clock))
    media = encode_message(Media(payload=bytes(160), chunk=1)).encode()
    seen: list[float] = []
    for text in (media, None, b"{"):
        await clock.advance(1_000)
        if text is None:
            driver.receive_binary()
        else:
            driver.receive_text(text)
        seen.append(clock.now_ms() - stream.last_frame_ms)

    assert [0.0, 0.0, 0.0] == seen
