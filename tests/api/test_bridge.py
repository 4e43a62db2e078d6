"""Two callers who hear each other, in whatever encodings they came."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from callpath import App, Call, bridge
from callpath.api.bridge import _Crossing
from callpath.api.queue import AudioQueue
from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.call.stream import MediaStream, PayloadReceived
from callpath.testing import HandlerUnderTest, place_call
from callpath.wire.ids import StreamId
from callpath.wire.media import Media, encode_message
from tests.telnyx import sample

SPEECH = tone(700, duration_ms=1500)
ANSWER = tone(1100, duration_ms=1500)


class Two:
    """A first caller, who waits, and a second one, who is put through to him."""

    def __init__(self, first: HandlerUnderTest, second: HandlerUnderTest) -> None:
        self.first, self.second = first, second

    async def run(self, ms: int) -> None:
        for _ in range(ms // 20):
            await self.first.run(ms=20)
            await self.second.run(ms=20)


@asynccontextmanager
async def put_through(first: dict[str, Any], second: dict[str, Any], *, raw: tuple[bool, bool]) -> AsyncIterator[Two]:
    calls: list[Call] = []
    ended: list[str] = []
    lobby, desk = App(), App()

    @lobby.call(raw=raw[0])
    async def wait(call: Call) -> None:
        calls.append(call)
        await asyncio.Event().wait()

    @desk.call(raw=raw[1])
    async def answer(call: Call) -> None:
        await bridge(call, calls[0])
        ended.append("bridge")

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(place_call(lobby, **first))
        await one.run(ms=20)
        two = await stack.enter_async_context(place_call(desk, **second))
        both = Two(one, two)
        yield both
        await one.hang_up()
        await two.run(ms=400)

        assert ended == ["bridge"]  # it is over when one of them is


async def test_payloads_cross_as_they_are() -> None:
    """No codec between two raw calls: the very object that one socket brought goes out on the other."""
    async with put_through({"say": SPEECH}, {"say": ANSWER}, raw=(True, True)) as both:
        received: list[bytes] = []
        source = both.first.call
        assert source is not None
        put = source.audio.put
        source.audio.put = lambda item: (received.append(item), put(item))[1]  # type: ignore[method-assign, func-returns-value]
        assert both.first._driver is not None
        both.first._driver.serve(source._feed)  # which holds on to how audio is handed over
        await both.run(ms=500)
        target = both.second.call
        assert target is not None and target.stream is not None
        sent: list[bytes] = []
        target.stream.playout.on_sent = lambda payload, _at_ms: sent.append(payload)
        await both.run(ms=500)

        assert any(sent[-1] is payload for payload in received[-20:])


@pytest.mark.parametrize(
    ("first", "second", "raw"),
    [
        ({}, {}, (True, True)),
        ({"encoding": "PCMA"}, {}, (True, True)),
        ({"encoding": "L16"}, {}, (True, True)),
        ({}, {}, (False, False)),
        ({"encoding": "PCMA"}, {}, (True, False)),
        ({"encoding": "PCMA"}, {}, (False, True)),
    ],
)
async def test_each_hears_the_other(first: dict[str, Any], second: dict[str, Any], raw: tuple[bool, bool]) -> None:
    """Payloads of another encoding, handed through as they are, would be static."""
    async with put_through(first, second, raw=raw) as both:
        both.first.say(tone(700, duration_ms=1500))
        both.second.say(ANSWER)
        await both.run(ms=1500)
        heard_by_second, heard_by_first = both.second.heard, both.first.heard

    assert dominant_frequency_hz(heard_by_second[4000:8000], 8000) == pytest.approx(700, abs=5)
    assert dominant_frequency_hz(heard_by_first[4000:8000], 8000) == pytest.approx(1100, abs=5)


class End:
    """One of two calls, as far as a bridge needs it."""

    sample_rate_hz = 8000

    def __init__(self, encoding: str, *, raw: bool = True) -> None:
        self.raw = raw
        self.stream = MediaStream(play_encoding=encoding, raw=raw)
        self.audio = AudioQueue(limit=250)
        self.played: list[bytes] = []
        self.start(encoding)

    def start(self, encoding: str) -> None:
        self.stream.receive_text(json.dumps(sample("ws/t-start-pcmu.json")).replace("PCMU", encoding), 0)

    def say(self, payload: bytes) -> None:
        """One packet, the same again and again."""
        message = encode_message(Media(payload=payload, stream_id=StreamId("s"), sequence_number=2))
        for event in self.stream.receive_text(message, 0):
            assert isinstance(event, PayloadReceived)
            self.audio.put(event.payload)

    async def play(self, audio: bytes, **_: object) -> bool:
        self.played.append(audio)
        return True


async def test_a_second_start_in_another_encoding_is_followed() -> None:
    """The socket stays, so nothing but the start frame shows that payloads are static from there on."""
    source, target = End("PCMU"), End("PCMU")
    crossing: Any = _Crossing(source, target)  # type: ignore[arg-type]
    carrying = asyncio.create_task(crossing.carry())
    for encoding in ("PCMU", "PCMA", "PCMU"):
        source.start(encoding)
        source.say(open_encoder(encoding, 8000).encode(np.full(160, 1000, np.int16)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    source.audio.close()
    await carrying
    heard = [int(open_decoder("PCMU", 8000).decode(payload).max()) for payload in target.played]

    assert [160, 160, 160] == [len(payload) for payload in target.played]
    assert heard == pytest.approx([1000] * 3, abs=40)


@pytest.mark.parametrize(("payload_bytes", "kept"), [(80, 19), (160, 9), (480, 3), (800, 1)])
async def test_a_bridge_is_late_by_the_time_that_waits_and_not_by_packets(payload_bytes: int, kept: int) -> None:
    """Ten packets of 100 ms are a second: the two would talk past each other."""
    source, target = End("PCMU"), End("PCMU")
    crossing: Any = _Crossing(source, target)  # type: ignore[arg-type]
    carrying = asyncio.create_task(crossing.carry())
    await asyncio.sleep(0)
    for _ in range(40):
        source.say(bytes(payload_bytes))
    source.audio.close()
    await carrying

    assert kept + 1 >= len(target.played) >= kept
    assert 40 == len(target.played) + source.audio.dropped


async def test_a_bridge_that_was_held_up_catches_up() -> None:
    """Otherwise the two would talk past each other by that much for the rest of the call."""
    async with put_through({}, {}, raw=(True, True)) as both:
        both.first.say(SPEECH)
        await both.first.run(ms=1000)  # a second of audio, before the other side takes any
        await both.run(ms=1000)
        assert both.first.call is not None
        delay = find_delay_ms(SPEECH, both.second.heard, 8000)

        assert len(both.first.call.audio) <= 10
        assert both.first.call.audio.dropped > 20
        assert delay.correlation > 0.5
