"""What the driver of a stream does when many frames come, and when its peer does not read: hard to bring about with
whole calls, so here by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import numpy as np
import pytest

from callpath.api.feed import CallFacts, CallFeed
from callpath.api.files import Files
from callpath.call.leg import Leg
from callpath.call.session import CallSession
from callpath.call.stream import DtmfPressed, MediaStream
from callpath.clock import ManualClock
from callpath.server.media import BAD_FRAMES_MAX, COUNTED_EVERY_MS, SECOND_MS, StreamDriver, names_another_call
from callpath.server.pacer import Pacer
from callpath.server.read_coalescer import AT_ONCE_MAX, ReadCoalescer
from callpath.timeline import (
    DtmfReceived,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    MediaCounted,
    MediaSymptom,
    StreamStopped,
    What,
)
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.media import Media, Start, encode_message

START: dict[str, Any] = {
    "event": "start",
    "stream_id": "s",
    "start": {
        "call_control_id": "c",
        "media_format": {"encoding": "PCMU", "sample_rate": 8000, "channels": 1},
    },
}


class Live:
    """The call around it, without a handler: what is played is put into the stream by the test."""

    feed: CallFeed | None = None
    acts = True

    def __init__(self, stream: MediaStream) -> None:
        self.stream = stream
        self.noted: list[tuple[What, int | None]] = []
        self.session = CallSession(SessionId("s"))
        self.started: list[Start] = []

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        self.noted.append((what, at_unix_ms))

    def stream_started(self, start: Start, *_: object) -> None:
        self.started.append(start)

    def socket_opened(self, *_: object) -> None: ...

    def socket_closed(self, stream: MediaStream) -> None: ...


class Peer:
    """A socket that can be full."""

    def __init__(self) -> None:
        self.writable = True
        self.sent: list[bytes] = []
        self.closed: list[tuple[int, str]] = []

    def send(self, text: bytes) -> None:
        self.sent.append(text)

    def close(self, code: int, reason: str) -> None:
        self.closed.append((code, reason))

    def on_second(self, now_ms: float) -> None: ...


def driven(
    clock: ManualClock, coalescer: ReadCoalescer, pacer: Pacer | None = None
) -> tuple[StreamDriver, MediaStream, Live, Peer]:
    stream, peer = MediaStream(), Peer()
    live: Any = Live(stream)
    driver = StreamDriver(live, stream, clock, pacer or Pacer(clock), coalescer)
    driver.begin(peer)
    driver.receive_text(json.dumps(START).encode())
    return driver, stream, live, peer


async def test_first_frames_of_many_calls_are_noted_a_little_later_with_their_own_time() -> None:
    """A log line and a commit for each, at the moment when hundreds begin to talk, would be heard by all."""
    clock = ManualClock()
    coalescer = ReadCoalescer(clock)
    coalescer.busy = True
    driver, stream, live, _ = driven(clock, coalescer)
    began_unix_ms = clock.now_unix_ms()
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    stream.play_payload(bytes(160))
    driver.flush()
    noted_at_once = list(live.noted)
    await clock.advance(2 * SECOND_MS)
    driver.wake(clock.now_ms())

    assert [] == noted_at_once
    assert [(FirstInbound, began_unix_ms), (FirstOutbound, began_unix_ms)] == [
        (type(what), at) for what, at in live.noted if isinstance(what, FirstInbound | FirstOutbound)
    ]


async def test_those_of_too_many_wait_for_their_first_count() -> None:
    """A thousand calls that begin together would spend a fifth of the core on these entries while all of them talk."""
    clock = ManualClock()
    coalescer, pacer = ReadCoalescer(clock), Pacer(clock)
    coalescer.busy = True
    calls = [driven(clock, coalescer, pacer) for _ in range(AT_ONCE_MAX + 2)]
    for driver, *_ in calls:
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    await clock.advance(2 * SECOND_MS)
    coalescer.frame_came()
    await clock.advance(1)  # what is done at once is counted anew
    coalescer.busy = True
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
    coalescer = ReadCoalescer(clock)
    coalescer.busy = True
    driver, _, live, _ = driven(clock, coalescer)
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    driver.receive_text(b'{"event":"stop","stream_id":"s","stop":{}}')
    kinds = [type(what) for what, _ in live.noted]

    assert kinds.index(FirstInbound) < kinds.index(StreamStopped)


async def test_a_peer_that_does_not_read_makes_playout_wait_and_is_counted() -> None:
    """What waits here can still be cleared; and who reads the counters sees whose fault the silence is."""
    clock = ManualClock()
    driver, stream, live, peer = driven(clock, ReadCoalescer(clock))
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
    driver, _, live, _ = driven(clock, ReadCoalescer(clock), HeldUp(clock))
    for chunk, wait_ms in enumerate((0.0, 20.0, 55.0, 20.0), 1):
        await clock.advance(wait_ms)
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=chunk)).encode())
    for _ in range(20):
        await clock.advance(SECOND_MS)
        driver.wake(clock.now_ms())
    counts = [what for what, _ in live.noted if isinstance(what, MediaCounted)]

    assert [(35.0, 80.0), (0.0, 0.0)] == [(counted.jitter_ms, counted.loop_lag_ms) for counted in counts]


async def test_a_lag_has_one_entry_and_stands_in_the_counts_of_all() -> None:
    """Hundreds of entries at the moment when the loop was held up would hold it up once more."""
    clock = ManualClock()
    pacer = HeldUp(clock, 180.0)
    them = [driven(clock, ReadCoalescer(clock), pacer) for _ in range(3)]
    for driver, _, _, _ in them:
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    for _ in range(20):
        await clock.advance(SECOND_MS)
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
    driver, stream, _, _ = driven(clock, ReadCoalescer(clock))
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


# --- start frames ----------------------------------------------------------------------------------------------------

OURS = {"call_control_id": "v3:ours", "call_session_id": "s"}


@pytest.mark.parametrize(
    ("named", "legs", "another"),
    [
        (OURS, ["v3:ours"], False),
        (OURS, [], False),
        ({**OURS, "call_control_id": "v3:the-other-leg"}, ["v3:ours"], False),  # a session has several legs
        ({"call_control_id": "v3:ours"}, ["v3:ours"], False),
        ({"call_control_id": "v3:other"}, [], False),  # nothing is known that would contradict it
        ({"call_control_id": "v3:other"}, ["v3:ours"], True),
        ({**OURS, "call_session_id": "t"}, ["v3:ours"], True),
        ({**OURS, "call_session_id": "t"}, [], True),
        ({"call_control_id": "v3:other", "call_session_id": "t"}, ["v3:ours"], True),
    ],
)
async def test_a_start_frame_of_another_call_is_told_by_its_ids(
    named: dict[str, str], legs: list[str], another: bool
) -> None:
    """Refused wrongly, a caller is left in silence; taken wrongly, he hears another."""
    session = CallSession(SessionId("s"))
    for number, leg in enumerate(legs):
        session.legs[LegId(f"leg-{number}")] = Leg(LegId(f"leg-{number}"), CallControlId(leg), (0, ""))
    start = msgspec.convert({"stream_id": "x", "media_format": START["start"]["media_format"], **named}, Start)

    assert another is (names_another_call(session, start) is not None)


@pytest.mark.parametrize("later", [False, True])
async def test_a_start_frame_of_another_call_has_one_entry_and_closes_the_socket(later: bool) -> None:
    """Each of the frames behind it would be one more; and who opened the socket must be told why it closes."""
    clock = ManualClock()
    stream = MediaStream()
    peer: Any = Peer()
    live: Any = Live(stream)
    driver = StreamDriver(live, stream, clock, Pacer(clock), ReadCoalescer(clock))
    driver.begin(peer)
    if later:
        driver.receive_text(json.dumps(START).encode())
    other = {**START, "start": {**START["start"], "call_session_id": "t"}}
    driver.receive_text(json.dumps(other).encode())
    for chunk in (1, 2, 3):
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=chunk)).encode())
    rejected = [what for what, _ in live.noted if isinstance(what, FrameRejected)]
    said = "the start frame names another call_session_id than the URL of this socket"

    assert [FrameRejected(reason="other_call", detail=said)] == rejected
    assert (1008, said) == peer.closed[0]
    assert int(later) == len(live.started)
    assert [] == [what for what, _ in live.noted if isinstance(what, FirstInbound)]


async def test_a_late_start_frame_of_a_replaced_socket_attaches_to_nothing() -> None:
    """The handler would play to a dead socket from then on."""
    clock = ManualClock()
    driver, stream, live, _ = driven(clock, ReadCoalescer(clock))
    stream.replaced = True
    live.stream = MediaStream()
    driver.receive_text(json.dumps(START).encode())

    assert 1 == len(live.started)


async def test_a_second_start_keeps_the_name_under_which_the_stream_is_counted() -> None:
    """Counters of one socket under two names would be added up."""
    clock = ManualClock()
    driver, _, live, _ = driven(clock, ReadCoalescer(clock))
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    driver.receive_text(json.dumps({**START, "stream_id": "t"}).encode())
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    driver.receive_text(b'{"event":"stop","stream_id":"t","stop":{}}')
    names = {what.stream_id for what, _ in live.noted if isinstance(what, MediaCounted | StreamStopped | FirstInbound)}
    (counted,) = (what for what, _ in live.noted if isinstance(what, MediaCounted))

    assert {"s"} == names
    assert (2, 0) == (counted.frames_in, counted.duplicated)
    assert ["s", "s"] == [start.stream_id for start in live.started]


async def test_an_unusable_start_is_the_reason_to_close() -> None:
    """ "100 unusable frames" sends people to look for a stranger; the field that is missing is what they need."""
    clock = ManualClock()
    stream = MediaStream()
    peer: Any = Peer()
    live: Any = Live(stream)
    driver = StreamDriver(live, stream, clock, Pacer(clock), ReadCoalescer(clock))
    driver.begin(peer)
    driver.receive_text(b'{"event":"start","start":{"call_control_id":"c","media_format":{"encoding":"PCMU"}}}')
    for chunk in range(1, BAD_FRAMES_MAX):
        assert [] == peer.closed
        driver.receive_text(encode_message(Media(payload=bytes(160), chunk=chunk)).encode())
    rejected = [what.reason for what, _ in live.noted if isinstance(what, FrameRejected)]

    assert [(1008, "start frame has no usable start.media_format.sample_rate")] == peer.closed
    assert ["unusable_start"] == rejected


# --- counters and keys -----------------------------------------------------------------------------------------------


async def test_a_stream_is_counted_for_the_last_time_when_it_stops() -> None:
    """A count between the stop frame and the close would be added to /metrics once more, and be kept for ever."""
    clock = ManualClock()
    driver, _, live, _ = driven(clock, ReadCoalescer(clock))
    driver.receive_text(encode_message(Media(payload=bytes(160), chunk=1)).encode())
    driver.receive_text(b'{"event":"stop","stream_id":"s","stop":{}}')
    for _ in range(30):
        await clock.advance(SECOND_MS)
        driver.wake(clock.now_ms())
    kinds = [type(what) for what, _ in live.noted if isinstance(what, MediaCounted | StreamStopped)]

    assert [MediaCounted, StreamStopped] == kinds


async def test_keys_reach_the_timeline_and_the_handler_in_the_order_of_the_fingers() -> None:
    """With no frame after them: the pacer wakes the driver when they were held long enough."""
    clock = ManualClock()
    pacer = Pacer(clock)
    driver, stream, live, _ = driven(clock, ReadCoalescer(clock), pacer)
    feed = live.feed = a_call(clock, 8000)
    for digit, ms in (("2", 200), ("1", 100), ("1", 100)):
        key = {"event": "dtmf", "dtmf": {"digit": digit}, "occurred_at": f"2026-01-02T03:04:05.{ms}001Z"}
        driver.receive_text(json.dumps(key).encode())
    at_once = [what for what, _ in live.noted if isinstance(what, DtmfReceived)]
    due_ms = stream.next_event_at_ms()
    assert due_ms is not None
    await clock.advance(due_ms - clock.now_ms())
    driver.wake(clock.now_ms())
    feed.events.close()

    assert [] == at_once
    assert due_ms - 40.0 == 0.0
    assert ["1", "2"] == [what.digit for what, _ in live.noted if isinstance(what, DtmfReceived)]
    assert ["1", "2"] == [event.digit async for event in feed.events if isinstance(event, DtmfPressed)]


class NoLine:
    """A line that leads nowhere."""

    session = CallSession(SessionId("s"))
    stopping = False

    async def send(self, command: object, leg: object = None, *, conference: str | None = None) -> str:
        return ""

    def note(self, what: What) -> None: ...


def a_call(clock: ManualClock, rate_hz: int) -> CallFeed:
    facts = CallFacts(SessionId("s"), CallControlId("c"), None, None, None, None, None)
    return CallFeed(facts, sample_rate_hz=rate_hz, backend=NoLine(), clock=clock, files=Files.inline())


# --- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000, 48000])
@pytest.mark.parametrize(("encoding", "wire_rate_hz"), [("PCMU", 8000), ("L16", 22050), ("L16", 24000)])
async def test_every_chunk_is_20_ms_at_the_rate_of_the_handler(encoding: str, wire_rate_hz: int, rate_hz: int) -> None:
    """Whatever the phone sends at a time, where it changes, behind a loss and behind a second start frame."""
    clock = ManualClock()
    stream = MediaStream()
    peer: Any = Peer()
    live: Any = Live(stream)
    live.feed = a_call(clock, rate_hz)
    live.feed.audio.resume()  # somebody reads
    live.stream_started = lambda _start, stream, driver: live.feed.attach(stream, driver)
    driver = StreamDriver(live, stream, clock, Pacer(clock), ReadCoalescer(clock))
    driver.begin(peer)
    per_20_ms = 160 if encoding == "PCMU" else 2 * wire_rate_hz // 50
    form = {"encoding": encoding, "sample_rate": wire_rate_hz, "channels": 1}
    start = json.dumps({**START, "start": {**START["start"], "media_format": form}}).encode()
    sent_ms = 0
    for ms, count in ((20, 5), (60, 3), (40, 5), (100, 1), (20, 5)):
        driver.receive_text(start)
        for chunk in range(1, count + 1):
            if (ms, chunk) == (40, 3):
                sent_ms += ms
                continue
            await clock.advance(ms)
            payload = base64.b64encode(bytes(per_20_ms * ms // 20)).decode()
            media = {"payload": payload, "chunk": str(chunk), "track": "inbound", "timestamp": "0"}
            driver.receive_text(json.dumps({"event": "media", "media": media}).encode())
            driver.wake(clock.now_ms())
            sent_ms += ms
    driver.receive_text(b'{"event":"stop","stream_id":"s","stop":{}}')
    live.feed.audio.close()
    sizes = [len(chunk) async for chunk in live.feed.audio]

    assert {2 * rate_hz // 50} == set(sizes)
    assert sent_ms // 20 == len(sizes)


@pytest.mark.parametrize(("payload_bytes", "ms"), [(80, 10), (160, 20), (480, 60)])
async def test_what_waits_of_a_raw_call_is_as_long_as_its_payloads(payload_bytes: int, ms: int) -> None:
    """A phone that sends 10 ms would be late twice as soon, and one that sends 60 three times as late."""
    clock = ManualClock()
    stream = MediaStream(raw=True)
    peer: Any = Peer()
    live: Any = Live(stream)
    facts = CallFacts(SessionId("s"), CallControlId("c"), None, None, None, None, None)
    live.feed = CallFeed(facts, sample_rate_hz=8000, backend=NoLine(), clock=clock, files=Files.inline(), raw=True)
    live.feed.audio.resume()  # somebody reads, and then no more
    driver = StreamDriver(live, stream, clock, Pacer(clock), ReadCoalescer(clock))
    driver.begin(peer)
    driver.receive_text(json.dumps(START).encode())
    late_ms = None
    for number in range(1, 201):
        await clock.advance(ms)
        driver.receive_text(encode_message(Media(payload=bytes(payload_bytes), chunk=number)).encode())
        driver.wake(clock.now_ms())
        if late_ms is None and any(getattr(what, "code", "") == "SYM012" for what, _ in live.noted):
            late_ms = number * ms

    assert late_ms is not None
    assert 1_000 <= late_ms <= 2_000 + ms


async def test_a_fault_of_ours_in_one_second_does_not_stop_what_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream was never woken again: the caller heard the 200 ms that were sent already, and then nothing."""
    clock = ManualClock()
    stream = MediaStream()
    peer: Any = Peer()
    live: Any = Live(stream)
    live.feed = a_call(clock, 8000)
    pacer = Pacer(clock)
    driver = StreamDriver(live, stream, clock, pacer, ReadCoalescer(clock))
    driver.begin(peer)
    driver.receive_text(json.dumps(START).encode())

    def fail(feed: CallFeed, now_ms: float) -> None:
        raise TypeError("ours")

    monkeypatch.setattr(CallFeed, "on_second", fail)
    stream.play(np.full(16_000, 1000, np.int16))
    failed = 0
    for _ in range(120):
        await clock.advance(20)
        if pacer._tick_of.get(driver) is None:
            break
        pacer.forget(driver)
        try:
            driver.wake(clock.now_ms())
        except TypeError:
            failed += 1

    assert failed >= 2
    assert 100 == stream.playout.frames_sent
