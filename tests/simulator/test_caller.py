"""The person at the phone: what is said and heard on one clock, the socket's TLS, and the sentences about failures."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.audio.wav import read_wav
from callpath.clock import SystemClock
from callpath.errors import AudioError
from callpath.simulator.call import CarrierCall, Effect, OpenStream
from callpath.simulator.caller import Caller, CallFailed, _mixed
from callpath.simulator.link import Link
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import accept_command
from callpath.wire.document import Json
from callpath.wire.media import encode_media
from tests.simulator.test_call import leg


class Phone:
    """A caller on an answered call whose stream goes to `url`; webhooks go nowhere."""

    def __init__(self, *, options: CarrierOptions | None = None, faults: list[str] | None = None) -> None:
        self.options = options or CarrierOptions(answer_ms=0)
        self.effects: list[Effect] = []
        clock = SystemClock()
        self.call = CarrierCall(leg(), self.options, new_id=lambda: f"id-{len(self.effects)}-{clock.now_ms()}")
        self.caller = Caller(
            self.call,
            options=self.options,
            link=Link(faults or []),
            clock=clock,
            carry_out=lambda caller, effects: self.effects.extend(effects),
        )
        self.now_ms = clock.now_ms
        self.call.begin(self.now_ms())
        self.call.receive_command(accept_command("answer", {}), self.now_ms())
        self.call.effects_due(self.now_ms())

    def start(self, url: str, **changes: Any) -> OpenStream:
        body: Json = {
            "stream_url": url,
            "stream_bidirectional_mode": "rtp",
            "stream_bidirectional_target_legs": "self",
        }
        (effect,) = self.call.receive_command(accept_command("streaming_start", body | changes), self.now_ms())
        assert isinstance(effect, OpenStream)
        return effect


async def echo(socket: ServerConnection) -> None:
    """Send every chunk back."""
    async for text in socket:
        frame = json.loads(text)
        if frame["event"] == "media":
            with contextlib.suppress(ConnectionClosed):
                await socket.send(json.dumps({"event": "media", "media": {"payload": frame["media"]["payload"]}}))


@contextlib.asynccontextmanager
async def talking(phone: Phone, handle: Any = echo, **changes: Any) -> AsyncIterator[Caller]:
    """A stream to a server with that handler, open until the block is left."""
    async with serve(handle, "127.0.0.1", 0) as server, asyncio.TaskGroup() as tasks:
        port = next(iter(server.sockets)).getsockname()[1]
        effect = phone.start(f"ws://127.0.0.1:{port}/", **changes)
        tasks.create_task(phone.caller.run_stream(effect.stream))
        assert await phone.caller.until(lambda: effect.stream.opened, 5_000)
        yield phone.caller
        await phone.caller.hangup()
        phone.caller.wake_stream(effect.stream)


async def test_what_is_said_later_stands_at_its_time() -> None:
    """`said` and `heard` share index 0 also when the caller first listens and then talks."""
    async with talking(Phone()) as caller:
        caller.say(tone(600, duration_ms=100))
        await caller.heard_for(80)
        caller.say(tone(900, duration_ms=200))
        await caller.heard_for(400)

    said = caller.said
    assert said.size > 1600
    assert abs(dominant_frequency_hz(said[-1600:], 8000) - 900) < 5
    assert caller.heard.size >= said.size


async def test_the_recording_has_the_caller_left_and_the_server_right(tmp_path: Path) -> None:
    """Swapped or shifted sides would make every later judgement wrong."""

    async def hum(socket: ServerConnection) -> None:
        await socket.send(encode_media(b"\x00" * 800))
        await echo_nothing(socket)

    async def echo_nothing(socket: ServerConnection) -> None:
        async for _ in socket:
            pass

    async with talking(Phone(), hum) as caller:
        await caller.heard_for(100)
    caller.write_recording(tmp_path / "call.wav")
    content = np.frombuffer((tmp_path / "call.wav").read_bytes()[44:], "<i2").reshape(-1, 2)

    assert not content[:, 0].any()
    assert content[:, 1].any()
    assert 8000 == read_wav(tmp_path / "call.wav")[1]


async def test_bytes_that_are_no_audio_are_a_gap() -> None:
    """A server that sends half a sample must not break the report of its call."""

    async def garbage(socket: ServerConnection) -> None:
        await socket.send(encode_media(b"\x01"))
        async for _ in socket:
            pass

    async with talking(Phone(), garbage, stream_bidirectional_codec="L16") as caller:
        await caller.heard_for(20)

    assert caller.heard.size
    assert 20 == caller.report()["stream"]["heard_ms"]


async def test_the_outbound_track_comes_in_the_codec_of_start() -> None:
    """Both tracks of one stream have one media_format, whatever the server sends."""
    sizes: set[tuple[str, int]] = set()

    async def collect(socket: ServerConnection) -> None:
        await socket.send(encode_media(b"\x00" * 800))
        async for text in socket:
            frame = json.loads(text)
            if frame["event"] == "media":
                sizes.add((frame["media"]["track"], len(frame["media"]["payload"])))

    options = {"stream_track": "both_tracks", "stream_codec": "L16", "stream_bidirectional_sampling_rate": 16000}
    async with talking(Phone(), collect, **options) as caller:
        await caller.heard_for(100)

    assert {("inbound", 856), ("outbound", 856)} == sizes


@pytest.mark.parametrize("trusted", [True, False])
async def test_certificates_are_checked(trusted: bool) -> None:
    """Assumed of Telnyx: a self-made certificate must fail here, unless the test names its authority."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(theirs)
    if trusted:
        authority.configure_trust(ours)
    phone = Phone()
    phone.caller._tls = ours
    async with serve(echo, "127.0.0.1", 0, ssl=theirs) as server, asyncio.TaskGroup() as tasks:
        port = next(iter(server.sockets)).getsockname()[1]
        effect = phone.start(f"wss://localhost:{port}/?token=secret")
        tasks.create_task(phone.caller.run_stream(effect.stream))
        opened = await phone.caller.stream_decided(effect.stream, 5_000)
        await phone.caller.hangup()
        phone.caller.wake_stream(effect.stream)

    assert opened is trusted
    if not trusted:
        assert "TLS with wss://localhost" in (phone.caller.failure or "")
        assert "secret" not in (phone.caller.failure or "")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ws://127.0.0.1:9/", "could not be reached"),
        ("ws://nobody.invalid/", "could not be reached"),
    ],
)
async def test_why_a_socket_was_not_opened(url: str, problem: str) -> None:
    """The reason that Telnyx never tells is what a developer needs most."""
    phone = Phone()
    await phone.caller.run_stream(phone.start(url).stream)

    assert problem in (phone.caller.failure or "")
    with pytest.raises(CallFailed, match=problem):
        await phone.caller.stream_started()


async def test_a_codec_that_cannot_be_made_is_named() -> None:
    """Better no stream and a reason than a stream of nothing."""
    phone = Phone()
    await phone.caller.run_stream(phone.start("ws://127.0.0.1:9/", stream_codec="AMR-WB").stream)

    assert "cannot make the caller's audio: AMR-WB" in (phone.caller.failure or "")


async def test_binary_audio_is_named() -> None:
    """Telnyx says nothing about it; the simulator's report must."""

    async def binary(socket: ServerConnection) -> None:
        await socket.send(b"\x00" * 160)
        async for _ in socket:
            pass

    async with talking(Phone(), binary) as caller:
        await caller.until(lambda: caller.stream.binary_in > 0, 5_000)

    assert "binary messages" in (caller.failure or "")


async def test_only_keys_can_be_pressed() -> None:
    """A letter has no tone."""
    with pytest.raises(ValueError, match="not a key of a phone: x"):
        await Phone().caller.press("1x")


def test_only_audio_can_be_said(tmp_path: Path) -> None:
    """A wrong file must be named before the call, not silently unsaid."""
    (tmp_path / "no.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"no.wav is not a WAV file"):
        Phone().caller.say(tmp_path / "no.wav")


async def test_a_program_whose_tls_proxy_is_not_here_is_reached_all_the_same() -> None:
    """It names wss:// and speaks plain ws on a laptop; path and Host must arrive as if the proxy had passed them on."""
    arrived: list[tuple[str, str | None]] = []

    async def note(socket: ServerConnection) -> None:
        assert socket.request is not None
        arrived.append((socket.request.path, socket.request.headers.get("host")))
        await echo(socket)

    async with serve(note, "127.0.0.1", 0) as server, asyncio.TaskGroup() as tasks:
        port = next(iter(server.sockets)).getsockname()[1]
        phone = Phone(options=CarrierOptions(answer_ms=0, reach_at=f"ws://127.0.0.1:{port}"))
        effect = phone.start("wss://voice.example.com/media?call=1")
        tasks.create_task(phone.caller.run_stream(effect.stream))
        opened = await phone.caller.stream_decided(effect.stream, 5_000)
        await phone.caller.hangup()
        phone.caller.wake_stream(effect.stream)

    assert opened
    assert arrived == [("/media?call=1", "voice.example.com")]


# --- turns ------------------------------------------------------------------------------------------------------------


async def reached(ready: Callable[[], bool]) -> None:
    """Return when a counter is there; frames wake nobody, so it is looked at."""
    while not ready():
        await SystemClock().sleep_ms(10)


async def babble(socket: ServerConnection) -> None:
    """Speak as long as frames come, 20 ms for 20 ms; fall silent for good once the caller is loud."""
    async for text in socket:
        frame = json.loads(text)
        if frame["event"] == "media":
            if base64.b64decode(frame["media"]["payload"]) != b"\xff" * 160:
                break
            await socket.send(encode_media(b"\x20\xa0" * 80))
    await socket.wait_closed()


async def test_the_caller_waits_interrupts_and_listens() -> None:
    """A conversation as a test writes it; each step returns when it is true."""
    async with talking(Phone(), babble) as caller:
        await caller.wait_for_speech()
        before_ms = caller.stream.packets_played * 20
        await caller.barge_in(tone(600, duration_ms=100), after_ms=200)
        after_ms = caller.stream.packets_played * 20
        assert caller.hearing.heard_ms >= 200

    assert after_ms - before_ms >= 100
    assert caller.said.any()


async def test_waiting_for_an_answer_that_does_not_come_says_so() -> None:
    """Not a time-out without a word."""

    async def mute(socket: ServerConnection) -> None:
        async for _ in socket:
            pass

    async with talking(Phone(), mute) as caller:
        caller.say(tone(600, duration_ms=100))
        await caller.spoken()
        with pytest.raises(CallFailed, match="Nothing was heard in time"):
            await caller.wait_for_speech(100)
        with pytest.raises(CallFailed, match="There was nothing to interrupt in time"):
            await caller.barge_in(tone(600, duration_ms=40), timeout_ms=100)
        silence = await caller.listen(60)

    assert silence.size >= 480
    assert not silence.any()
    assert caller.hearing.one_way


# --- faults of the socket ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "code"), [("drops=100", 1006), ("reset=100", 1006), ("closes_mid_word=100", 1000)])
async def test_the_stream_ends_in_mid_word(fault: str, code: int) -> None:
    """Three ends that a server sees differently, and none of them with a stop frame."""
    ends: list[tuple[int, list[str]]] = []
    over = asyncio.Event()

    async def watch(socket: ServerConnection) -> None:
        events = []
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                events.append(json.loads(text)["event"])
        await socket.wait_closed()
        ends.append((socket.close_code or 0, events))
        over.set()

    async with talking(Phone(faults=[fault]), watch) as caller:
        await over.wait()
        await caller.until(lambda: caller.failure is not None, 5_000)

    ((seen, events),) = ends
    assert code == seen
    assert "media" in events
    assert "stop" not in events
    assert "was lost" in (caller.failure or "")


async def test_a_second_connection_takes_over() -> None:
    """The old socket stays open and silent; the new one begins with connected and start, and carries the rest."""
    sockets: list[list[str]] = []

    async def note(socket: ServerConnection) -> None:
        seen: list[str] = []
        sockets.append(seen)
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                seen.append(json.loads(text)["event"])
                if seen.count("media") == 3:
                    await socket.send(encode_media(b"\x20\xa0" * 80))

    async with talking(Phone(faults=["second_connection=100"]), note) as caller:
        await reached(lambda: caller.stream.packets_played >= 2)

    first, second = sockets
    assert ["connected", "start", "media"] == first[:3] == second[:3]
    assert "stop" not in first
    assert "stop" == second[-1]


async def test_a_half_open_line_carries_nothing_any_more() -> None:
    """Neither way, and nobody closes, until the call is over."""
    arrived: list[str] = []
    over = asyncio.Event()

    async def note(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in socket:
                arrived.append(json.loads(text)["event"])
                await socket.send(encode_media(b"\x20\xa0" * 80))
        over.set()

    async with talking(Phone(faults=["half_open=100"]), note) as caller:
        await reached(lambda: caller.stream.frames_out >= 15)
        frames_in = caller.stream.frames_in
        assert not over.is_set()
    await over.wait()

    assert "stop" not in arrived
    assert frames_in < 15
    assert arrived.count("media") < 15


async def test_a_slow_reader_leaves_frames_where_they_are() -> None:
    """What the server sent at once is read one by one."""

    async def burst(socket: ServerConnection) -> None:
        for _ in range(100):
            await socket.send(encode_media(b"\x20\xa0" * 80))
        await socket.wait_closed()

    async with talking(Phone(faults=["slow_reader=20"]), burst) as caller:
        await reached(lambda: caller.stream.frames_in >= 3)
        assert caller.stream.frames_in < 100


def test_two_loud_sounds_clip_and_do_not_wrap_around() -> None:
    """20,000 and 20,000 made -25,536: a burst of square waves in the recording that everything is measured by."""
    loud = np.full(4, 20_000, np.int16)

    assert [32_767, 32_767, 20_000, 20_000] == _mixed(loud, loud[:2]).tolist()
    assert [-32_768, -32_768] == _mixed(-loud[:2], -loud[:2]).tolist()
