"""Whole calls over real sockets: the server, the simulator, and sound."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import struct
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from callpath.api.app import App
from callpath.api.call import Call
from callpath.audio.tone import dominant_frequency_hz, find_delay_ms, tone
from callpath.call.session import Stage, fold
from callpath.call.stream import DtmfPressed, MediaStream
from callpath.clock import SystemClock
from callpath.config import Settings, read_settings
from callpath.errors import ConfigError
from callpath.server import line
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.live import LiveCall
from callpath.server.media import StreamDriver
from callpath.server.socket import FrameSocket, MediaSockets
from callpath.simulator.options import CarrierOptions
from callpath.store.port import CallQuery
from callpath.timeline import (
    CommandAnswered,
    DtmfReceived,
    Entry,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    MediaCounted,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    kind_of,
)
from callpath.wire.ids import SessionId, StreamId
from callpath.wire.media import AUTH_TOKEN_HEADER, Media, encode_message
from tests.serving import WAIT_S_MAX, Served, serving
from tests.telnyx import sample_text, start_text

pytestmark = pytest.mark.e2e


async def test_a_call_the_whole_way(tmp_path: Path) -> None:
    """Webhook, answer, stream, sound both ways, hang-up: and each of it stands in the timeline."""
    speech = tone(700, duration_ms=600)
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(say=speech)
        await caller.stream_started()
        await caller.heard_for(1000)
        await caller.hangup()
        await caller.ended()
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, HandlerEnded)

    match = find_delay_ms(speech, caller.heard, 8000)
    state = fold(session, entries)
    assert match.correlation > 0.99
    assert state.missing_stage() is None
    assert state.state == "ended"
    assert [kind_of(entry.what) for entry in entries if kind_of(entry.what) in MARKERS] == MARKERS


MARKERS = [
    "stream.starting",
    "stream.url",
    "socket.received",
    "stream.started",
    "media.first_inbound",
    "media.first_outbound",
    "stream.stopped",
]
"""In the order in which operators look for them. `stream.accepted` stands apart: Telnyx's answer may come before the
socket or after it."""


async def test_both_orders_of_answer_and_socket(tmp_path: Path) -> None:
    """Telnyx's socket can be there before the command's answer (observed), or after it."""
    for socket_first in (True, False):
        async with serving(
            BUILTIN["tone"](), tmp_path / str(socket_first), options=CarrierOptions(socket_before_reply=socket_first)
        ) as served:
            caller = await served.telnyx.call()
            await caller.stream_started()
            await caller.heard_for(300)
            session = caller.call.leg.call_session_id
            entries = await served.until_kind(session, StreamAccepted)

        assert any(isinstance(entry.what, StreamStarted) for entry in entries)
        assert abs(dominant_frequency_hz(caller.heard, 8000) - 440) < 20


async def test_stream_asked_for_within_answer(tmp_path: Path) -> None:
    """Answer takes no token, so it goes in the path, where the log must not show it."""
    async with serving(BUILTIN["tone"](), tmp_path, stream_with_answer=True) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        await caller.heard_for(300)
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, StreamStarted)

    (url,) = (entry.what.url for entry in entries if isinstance(entry.what, StreamUrl))
    assert [command.name for command in caller.commands] == ["answer"]
    assert url == f"{served.socket_url}/api/calls/{session}/audio/***"
    assert all("***" in entry.what.path for entry in entries if isinstance(entry.what, SocketReceived))


async def test_a_pcma_leg_is_heard_right(tmp_path: Path) -> None:
    """Outside North America the caller's audio is A-law, if we let the leg decide."""
    speech = tone(700, duration_ms=600)
    options = CarrierOptions(leg_codec="PCMA")
    async with serving(BUILTIN["echo"](), tmp_path, options=options, stream_codec="default") as served:
        caller = await served.telnyx.call(say=speech)
        await caller.stream_started()
        await caller.heard_for(900)
        entries = await served.until_kind(caller.call.leg.call_session_id, StreamStarted)

    (started,) = (entry.what for entry in entries if isinstance(entry.what, StreamStarted))
    assert started.encoding == "PCMA"
    assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.98


async def test_keys_reach_the_handler(tmp_path: Path) -> None:
    """And stand in the timeline."""
    app = App()
    pressed: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        async for event in call.events:
            if isinstance(event, DtmfPressed):
                pressed.append(event.digit)

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        await caller.press("42#")
        session = caller.call.leg.call_session_id
        await served.until(session, lambda what: isinstance(what, DtmfReceived) and what.digit == "#")

    assert pressed == ["4", "2", "#"]


async def test_a_handler_that_raises_ends_the_call(tmp_path: Path) -> None:
    """The caller must not sit in silence, and the error must be found in the timeline."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        raise ValueError("no such model")

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.ended()
        session = caller.call.leg.call_session_id
        entries = await served.until(
            session, lambda what: isinstance(what, WebhookReceived) and what.event_type == "call.hangup"
        )

    (failed,) = (entry.what for entry in entries if isinstance(entry.what, HandlerFailed))
    assert failed.error == "ValueError: no such model"
    assert "raise ValueError" in failed.traceback
    assert "hangup" in [command.name for command in caller.commands]


async def test_a_handler_that_returns_ends_the_call_after_its_last_word(tmp_path: Path) -> None:
    """What it played is heard to the end."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await call.play(tone(440, duration_ms=500))

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.ended()

    assert caller.stream.packets_played == 25


async def test_a_lost_socket_comes_back_and_nobody_is_greeted_twice(tmp_path: Path) -> None:
    """Telnyx may connect again on the same call; the handler carries on where it was."""
    app = App()
    entered: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        entered.append(call.session_id)
        async for chunk in call.audio:
            await call.play(chunk)

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        for number in (1, 2):
            async with _dial_in(served, session) as socket:
                await socket.send(sample_text("ws/t-connected.json"))
                await socket.send(start_text(session).replace("005a", f"00{number}a"))
                await socket.send(sample_text("ws/t-media-inbound.json"))
                echoed = json.loads(await asyncio.wait_for(socket.recv(), 10))
                socket.transport.abort()
            assert echoed["event"] == "media"
            stream_id = f"00{number}a"
            await served.until(session, partial(_stopped, stream_id))
        entries = await served.until_kind(session, SocketClosed, times=2)

    started = [entry.what for entry in entries if isinstance(entry.what, StreamStarted)]
    closed = [entry.what for entry in entries if isinstance(entry.what, SocketClosed)]
    assert entered == [session]
    assert [what.again for what in started] == [False, True]
    assert [what.code for what in closed] == [1006, 1006]


# --- who may not come in ---------------------------------------------------------------------------------------------


async def test_an_unknown_session_is_refused_before_101(tmp_path: Path) -> None:
    """Nothing of it may fill the call log, but the owner must be able to see that somebody knocked."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.socket_url}/api/calls/nobody/audio")
        count, (latest,) = await served.context.log.rejected(10)

        assert refused.value.response.status_code == 404
        assert refused.value.response.headers["x-callpath"]
        assert json.loads(refused.value.response.body or b"")["error"] == "unknown_session"
        assert (count, latest.what, latest.reason) == (1, "upgrade", "unknown_session")
        assert await served.context.log.overviews(CallQuery(limit=10)) == []


async def test_a_stray_upgrade_is_told_where_audio_goes(tmp_path: Path) -> None:
    """An empty 403, as Starlette gives it, is taken for a firewall."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.socket_url}/media-stream")

    told = json.loads(refused.value.response.body or b"")
    assert (refused.value.response.status_code, told["error"]) == (404, "no_such_path")
    assert "/api/calls/{call_session_id}/audio" in told["detail"]
    assert refused.value.response.headers["x-callpath"]


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [({}, 401, "no_token"), ({AUTH_TOKEN_HEADER: "guess"}, 403, "wrong_token")],
)
async def test_without_its_token_no_socket_opens(
    tmp_path: Path, headers: dict[str, str], status: int, reason: str
) -> None:
    """Whoever guesses a session id must not hear the call. The refusal stands on the call it names."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{served.socket_url}/api/calls/{session}/audio", additional_headers=headers)
        entries = await served.until_kind(session, SocketRejected)

    (entry,) = (entry.what for entry in entries if isinstance(entry.what, SocketRejected))
    assert refused.value.response.status_code == status
    assert (entry.status, entry.reason) == (status, reason)
    assert "guess" not in entry.detail


async def test_a_second_socket_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """Two sockets would share one caller's audio at random."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        with pytest.raises(InvalidStatus) as refused:
            async with _dial_in(served, session):
                pass
        await caller.heard_for(200)

        assert refused.value.response.status_code == 409
        assert caller.failure is None


async def test_a_socket_that_was_given_up_is_closed_and_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it held back would be heard between the words that come on the newer one; open, it would count as the call's."""
    monkeypatch.setattr(line, "SILENT_SOCKET_MS", 0)
    app = App()
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    @app.call(raw=True)
    async def handle(call: Call) -> None:
        async for payload in call.audio:
            heard.put_nowait(payload)

    async with serving(app, tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as old:
            await _say(old, 1, 2, starts=session)
            async with _dial_in(served, session) as new:
                await _say(new, 101, 102, starts=session)
                with pytest.raises(ConnectionClosed) as closed:
                    await _say(old, 3, 4)
                await _say(new, 103)
                payloads = [heard.get_nowait()[0] for _ in range(heard.qsize())]
                entries = await served.until_kind(session, SocketClosed)

    assert [1, 2, 101, 102, 103] == payloads
    assert closed.value.rcvd is not None and closed.value.rcvd.reason == "replaced by a newer socket of this call"
    assert fold(session, entries).state == "streaming"  # the new one is open


async def _say(socket: ClientConnection, *numbers: int, starts: str | None = None) -> None:
    """A frame for each number, which fills it, after the start frame of the call `starts`; return when they were taken."""
    if starts is not None:
        await socket.send(start_text(starts))
    for number in numbers:
        media = Media(payload=bytes([number]) * 160, chunk=number, stream_id=StreamId("s"))
        await socket.send(encode_message(media))
    await (await socket.ping())


async def test_after_the_call_no_socket_opens(tmp_path: Path) -> None:
    """Gone, not unknown: the operator must see the difference."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        await caller.hangup()
        await caller.ended()
        session = caller.call.leg.call_session_id
        await served.until_kind(session, HandlerEnded)
        with pytest.raises(InvalidStatus) as refused:
            async with _dial_in(served, session):
                pass

    assert refused.value.response.status_code == 410


async def test_a_token_is_of_no_use_when_its_stream_is_long_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may stand in a proxy's log. While the stream is asked for or alive it is good, for a reconnect, too."""
    async with serving(BUILTIN["echo"](), tmp_path, no_socket_then="nothing", reconnect_ms=30_000) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session):
            pass
        await served.until_kind(session, SocketClosed)
        async with _dial_in(served, session):
            pass
        await served.until_kind(session, SocketClosed, times=2)
        monkeypatch.setattr("callpath.server.admission.TOKEN_MS_MAX", -60_000)
        with pytest.raises(InvalidStatus) as refused:
            async with _dial_in(served, session):
                pass
        entries = await served.until_kind(session, SocketRejected)

    (said,) = (entry.what for entry in entries if isinstance(entry.what, SocketRejected))
    assert (410, "token_expired") == (refused.value.response.status_code, said.reason)


def test_refused_upgrades_do_not_keep_a_token_good() -> None:
    """Else whoever tries it again and again could wait for as long as he likes."""
    asked, later = (
        Entry(session=SessionId("s"), at_unix_ms=at, what=what)
        for at, what in (
            (1_000, StreamStarting(within="streaming_start")),
            (9_000, SocketRejected(status=410, reason="token_expired", detail="", path="", client=None)),
        )
    )
    alive = Entry(session=SessionId("s"), at_unix_ms=5_000, what=MediaCounted(stream_id=StreamId("1")))

    assert 1_000 == fold(SessionId("s"), [asked, later]).stream_unix_ms
    assert 5_000 == fold(SessionId("s"), [asked, alive, later]).stream_unix_ms


async def test_a_silent_socket_does_not_outlive_its_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers pings, so nothing else would ever end it, and the call would stay in memory with it."""
    monkeypatch.setattr("callpath.server.media.CLOSE_AFTER_STOP_MS", 0.0)
    async with serving(BUILTIN["echo"](), tmp_path, no_socket_then="nothing") as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await caller.hangup()
            with pytest.raises(ConnectionClosed) as closed:
                async with asyncio.timeout(WAIT_S_MAX):
                    await socket.recv()

    assert closed.value.rcvd is not None
    assert (1000, "the call is over") == (closed.value.rcvd.code, closed.value.rcvd.reason)


# --- frames that are wrong -------------------------------------------------------------------------------------------


async def test_garbage_and_binary_frames_are_skipped_and_the_call_goes_on(tmp_path: Path) -> None:
    """One entry a reason, however many come."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session))
            for _ in range(3):
                await socket.send(b"\x00\x01")
                await socket.send("garbage")
            await socket.send(sample_text("ws/t-media-inbound.json"))
            echoed = json.loads(await asyncio.wait_for(socket.recv(), 10))
        entries = await served.until_kind(session, SocketClosed)

    rejected = [entry.what.reason for entry in entries if isinstance(entry.what, FrameRejected)]
    assert echoed["event"] == "media"
    assert sorted(rejected) == ["binary", "not_json"]


async def test_an_oversized_frame_closes_with_1009(tmp_path: Path) -> None:
    """It cannot be read past; the code says why, and the call itself is still up."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session))
            await socket.send("x" * (1 << 21))
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
        entries = await served.until_kind(session, SocketClosed)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert [entry.what.code for entry in entries if isinstance(entry.what, SocketClosed)] == [1009]
    assert fold(session, entries).state == "answered"


async def test_endless_garbage_closes_with_1008(tmp_path: Path) -> None:
    """Whoever sends a hundred frames that mean nothing is not Telnyx."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            for _ in range(100):
                await socket.send("garbage")
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
        entries = await served.until_kind(session, SocketClosed)

    (entry,) = (entry.what for entry in entries if isinstance(entry.what, SocketClosed))
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert (entry.code, entry.by) == (1008, "us")


async def test_endless_frames_that_cannot_be_decoded_close_with_1008(tmp_path: Path) -> None:
    """What stands in for each of them is no sign of life: the handler would hear silence for as long as they come."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session, "ws/t-start-l16.json"))
            frame = json.loads(sample_text("ws/t-media-inbound.json"))
            frame["media"]["payload"] = base64.b64encode(bytes(639)).decode()
            for chunk in range(1, 101):
                frame["media"]["chunk"] = str(chunk)
                await socket.send(json.dumps(frame))
            async with asyncio.timeout(10):
                await socket.wait_closed()

        assert socket.close_code == 1008


async def test_an_encoding_that_we_cannot_decode_is_the_reason_to_close(tmp_path: Path) -> None:
    """ "Frames that mean nothing" sends whoever reads it to look for a stranger; it was Telnyx, and a codec."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session).replace("PCMU", "G729"))
            for _ in range(100):
                await socket.send(sample_text("ws/t-media-inbound.json"))
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 10)
        entries = await served.until_kind(session, SocketClosed)

    (entry,) = (entry.what for entry in entries if isinstance(entry.what, SocketClosed))
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, entry.code) == (1008, 1008)
    assert "G729" in closed.value.rcvd.reason
    assert "G729" in entry.reason


# --- when Telnyx says no ---------------------------------------------------------------------------------------------


async def test_a_stream_that_never_connects_is_told_apart(tmp_path: Path) -> None:
    """The originating fault: streaming_start accepted, and nothing comes."""
    options = CarrierOptions(connect_ms_max=100)
    async with serving(BUILTIN["echo"](), tmp_path, options=options) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        entries = await served.until(
            session, lambda what: isinstance(what, WebhookReceived) and what.event_type == "streaming.failed"
        )
        entries = await served.until_kind(session, StreamAccepted)

    state = fold(session, entries)
    assert state.missing_stage() is Stage.SOCKET_RECEIVED
    assert [failed.failure_reason for failed in state.streaming_failures] == ["connection_failed"]


async def test_a_wrong_api_key_is_named(tmp_path: Path) -> None:
    """The caller hears it ring; the timeline says 401."""
    async with serving(BUILTIN["echo"](), tmp_path, telnyx_api_key="KEY-wrong") as served:
        caller = await served.telnyx.call()
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, CommandAnswered)

    (answered,) = (entry.what for entry in entries if isinstance(entry.what, CommandAnswered))
    assert (answered.command, answered.status, answered.error_code) == ("answer", 401, "10009")


def _stopped(stream_id: str, what: What) -> bool:
    return isinstance(what, StreamStopped) and stream_id in str(what.stream_id)


def _dial_in(served: Served, session: SessionId) -> connect:
    assert served.context.tokens is not None
    token = served.context.tokens.of(session)
    return connect(
        f"{served.socket_url}/api/calls/{session}/audio",
        additional_headers={AUTH_TOKEN_HEADER: token},
        compression=None,
    )


# --- the two makes of socket -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ws", [MediaSockets, "websockets-sansio"])
async def test_any_asgi_server_will_do(tmp_path: Path, ws: object) -> None:
    """Mounted under another server there is no short way past ASGI: slower, and the same in all else."""
    speech = tone(700, duration_ms=600)
    async with serving(BUILTIN["echo"](), tmp_path, ws=ws) as served:
        caller = await served.telnyx.call(say=speech)
        await caller.stream_started()
        await caller.heard_for(1000)
        await caller.hangup()
        await caller.ended()
        entries = await served.until_kind(caller.call.leg.call_session_id, SocketClosed)

    (closed,) = (entry.what for entry in entries if isinstance(entry.what, SocketClosed))
    assert find_delay_ms(speech, caller.heard, 8000).correlation > 0.9  # in real time, on a machine that may be busy
    assert (closed.code, closed.by) == (1000, "peer")


@pytest.mark.parametrize(
    ("harm", "code", "by"),
    [
        (lambda socket: socket.close(4000, "enough"), 4000, "peer"),
        (lambda socket: socket.close(1011), 1011, "peer"),
        (lambda socket: socket.send("x" * (1 << 21)), 1009, "us"),
        (lambda socket: _abort(socket), 1006, "peer"),
    ],
)
async def test_the_timeline_tells_who_closed(tmp_path: Path, harm: Any, code: int, by: str) -> None:
    """1011 from Telnyx and 1011 from us have different owners."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session))
            await harm(socket)
            await socket.wait_closed()
        entries = await served.until_kind(session, SocketClosed)

    (closed,) = (entry.what for entry in entries if isinstance(entry.what, SocketClosed))
    assert (closed.code, closed.by) == (code, by)


async def _abort(socket: ClientConnection) -> None:
    socket.transport.abort()


async def test_a_ping_is_answered_and_long_messages_are_put_together(tmp_path: Path) -> None:
    """Whatever a proxy does with frames that the RFC allows, it stays one message."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        async with _dial_in(served, session) as socket:
            await asyncio.wait_for(await socket.ping(b"there?"), 10)
            start, frame = start_text(session), sample_text("ws/t-media-inbound.json")
            await socket.send([start[:40], start[40:]])
            await socket.send(frame)
            echoed = json.loads(await asyncio.wait_for(socket.recv(), 10))

    assert echoed["event"] == "media"


# --- codecs, each way ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leg_codec", "play_codec", "rate_hz"),
    [
        ("PCMA", "PCMU", 8000),
        ("PCMU", "PCMA", 8000),
        ("PCMU", "L16", 16000),
        ("PCMU", "L16", 48000),
        ("PCMU", "G722", 8000),
        ("PCMU", "OPUS", 16000),
    ],
)
async def test_directions_are_independent(tmp_path: Path, leg_codec: str, play_codec: str, rate_hz: int) -> None:
    """What comes is what the start frame says, what goes is what we asked for; by sound, over real sockets."""
    if play_codec in ("G722", "OPUS"):
        pytest.importorskip("av")
    speech = tone(700, duration_ms=600)
    options = CarrierOptions(leg_codec=leg_codec)  # type: ignore[arg-type]
    async with serving(
        BUILTIN["echo"](),
        tmp_path,
        options=options,
        stream_codec="default",
        play_codec=play_codec,
        play_rate_hz=rate_hz,
    ) as served:
        caller = await served.telnyx.call(say=speech)
        await caller.stream_started()
        await caller.heard_for(1000)
        heard = caller.heard

    assert abs(dominant_frequency_hz(heard, 8000) - 700) < 5


CONFIGURED = Settings(
    telnyx_api_key="KEY",
    telnyx_public_key="e7BjKz0s8kBzbbSmGhbCg8bSGPOYQ9y0sQH5mSO1Hk0=",
    public_url="https://calls.example.com",
)


def test_a_codec_that_cannot_be_made_is_refused_at_start(tmp_path: Path) -> None:
    """And not in the first call, as an exception nobody sees."""
    settings = replace(
        CONFIGURED,
        play_rate_hz=16000,
    )
    with pytest.raises(ConfigError, match="CALLPATH_PLAY_CODEC"):
        create_asgi(BUILTIN["echo"](), settings)
    with pytest.raises(ConfigError, match="CALLPATH_PLAY_CODEC"):
        read_settings({"CALLPATH_PLAY_CODEC": "AMR-WB"})


def test_a_codec_that_cannot_be_heard_is_refused_at_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its extra every call would be answered, stay silent, and be hung up after two tries."""
    monkeypatch.setitem(sys.modules, "av", None)
    settings = replace(
        CONFIGURED,
        data_dir=tmp_path,
        stream_codec="G722",
    )
    raw = App()
    raw.call(raw=True)(BUILTIN["echo"]().handler)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"CALLPATH_STREAM_CODEC.*callpath\[codecs\]"):
        create_asgi(BUILTIN["echo"](), settings)
    create_asgi(raw, settings)  # it decodes nothing


def test_a_raw_call_needs_no_codec_to_play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge of payloads was refused for an encoder that it never uses; a rate that the codec lacks is still refused."""
    monkeypatch.setitem(sys.modules, "av", None)
    settings = replace(
        CONFIGURED,
        data_dir=tmp_path,
        play_codec="G722",
    )
    raw = App()
    raw.call(raw=True)(BUILTIN["echo"]().handler)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"CALLPATH_PLAY_CODEC.*callpath\[codecs\]"):
        create_asgi(BUILTIN["echo"](), settings)
    with pytest.raises(ConfigError, match=r"CALLPATH_PLAY_CODEC.*24000 Hz"):
        create_asgi(raw, replace(settings, play_rate_hz=24000))
    create_asgi(raw, settings)


def test_a_rate_that_answer_cannot_ask_for_is_refused_at_start() -> None:
    """It was passed over in silence; and where the stream was asked for again, with the rate, all was twice as high."""
    settings = replace(
        CONFIGURED,
        stream_with_answer=True,
        play_codec="L16",
        play_rate_hz=16000,
    )
    with pytest.raises(ConfigError, match=r"CALLPATH_PLAY_RATE_HZ is 16000.*CALLPATH_STREAM_WITH_ANSWER off"):
        create_asgi(BUILTIN["echo"](), settings)


async def test_a_call_that_is_over_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    """A full collection holds all other calls up, and what holds itself in a circle stays in memory until there is one."""
    before = _parts_of_calls()
    gc.disable()
    try:
        async with serving(BUILTIN["echo"](), tmp_path) as served:
            caller = await served.telnyx.call(say=tone(700, duration_ms=200))
            await caller.heard_for(100)
            await caller.hangup()
            await caller.ended()
            async with asyncio.timeout(WAIT_S_MAX):  # until the last of its tasks has ended
                while any(all(part is not other for other in before) for part in _parts_of_calls()):
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()


def _parts_of_calls() -> list[object]:
    kinds = (Call, FrameSocket, LiveCall, MediaStream, StreamDriver)
    return [item for item in gc.get_objects() if type(item) in kinds]


# --- many calls ------------------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.timeout(120)
async def test_fifty_calls_lose_nothing(tmp_path: Path) -> None:
    """Numbered frames of fifty calls at once: each comes back on its own call, once, in order."""
    frames, calls = 200, 50

    async def talk(served: Served, session: SessionId, number: int) -> list[tuple[int, int]]:
        async with _dial_in(served, session) as socket:
            await socket.send(start_text(session))

            async def speak() -> None:
                clock = SystemClock()
                began_ms = clock.now_ms()
                for chunk in range(1, frames + 1):
                    payload = struct.pack("!HH", number, chunk) * 40
                    media = {"track": "inbound", "chunk": str(chunk), "timestamp": str(20 * chunk)}
                    media["payload"] = base64.b64encode(payload).decode()
                    message = {"event": "media", "sequence_number": str(chunk), "media": media, "stream_id": "s"}
                    await socket.send(json.dumps(message))
                    await clock.sleep_ms(began_ms + 20 * chunk - clock.now_ms())

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(speak())
                heard = [(number, 0)]
                while heard[-1][1] < frames:  # up to the last one: one too few shows as soon as one too many
                    payload = base64.b64decode(json.loads(await socket.recv())["media"]["payload"])
                    heard.append(struct.unpack_from("!HH", payload))
            return heard

    app = App()

    @app.call(raw=True)
    async def echo(call: Call) -> None:
        async for payload in call.audio:
            await call.play(payload)

    async with serving(app, tmp_path) as served:
        sessions = []
        for _ in range(calls):
            caller = await served.telnyx.call(faults=["never_connects"])
            sessions.append(SessionId(caller.call.leg.call_session_id))
        for session in sessions:
            await served.until_kind(session, StreamAccepted)
        heard = await asyncio.gather(*[talk(served, session, number) for number, session in enumerate(sessions)])

    assert heard == [[(number, chunk) for chunk in range(frames + 1)] for number in range(calls)]
