"""Calls that diagnose themselves: the stream does not come, the doctor says why, and the caller is not left alone."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callpath.api.app import App
from callpath.api.call import Call
from callpath.call.plan import StreamPlan
from callpath.cli.serve import _examine, _verdict
from callpath.clock import ManualClock, SystemClock
from callpath.doctor.engine import diagnose
from callpath.doctor.request import Request
from callpath.server.builtin import BUILTIN
from callpath.server.prober import PROBE_S_MAX, SHARED_MS, StreamProber, Verdict, probe_session
from callpath.timeline import (
    CallChecked,
    CallStuck,
    CommandSent,
    FirstOutbound,
    HandlerStarted,
    PolicyActed,
    SocketReceived,
    StreamMissing,
    StreamProbed,
    WebhookReceived,
    What,
    kind_of,
)
from callpath.wire.ids import SessionId
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.serving import serving

FAULT = Verdict(healthy=False, decided=True, summary="the proxy at t0k3n swallows it", code="HTTP001", fix="mend t0k3n")
PLAN = StreamPlan(public_url="https://calls.example.com")
e2e = pytest.mark.e2e


# --- the examiner ----------------------------------------------------------------------------------------------------


async def test_calls_that_fail_together_share_one_probe() -> None:
    """An edge that is down fails every call at once; a hundred probes would be an attack on it, and on our loop."""
    clock, urls = ManualClock(), list[str]()

    async def examine(url: str, token: str | None) -> Verdict:
        urls.append(url)
        return FAULT

    examiner = StreamProber(examine, clock, PLAN, None)
    first, second = await asyncio.gather(examiner.verdict("wss://a", None, "t0k3n"), examiner.verdict("wss://b", None))
    await clock.advance(SHARED_MS)
    third = await examiner.verdict("wss://c", None)

    assert urls == ["wss://a", "wss://c"]
    assert [first.shared, second.shared, third.shared] == [False, True, False]
    assert (first.summary, first.fix) == ("the proxy at *** swallows it", "mend ***")


async def test_a_doctor_that_fails_says_so() -> None:
    """Its fault must not become the call's, and the next examination must not wait for ever."""

    async def examine(url: str, token: str | None) -> Verdict:
        raise ZeroDivisionError("in a rule")

    verdict = await StreamProber(examine, ManualClock(), PLAN, None).verdict("wss://a", None)

    assert (verdict.healthy, verdict.decided, verdict.summary) == (
        None,
        False,
        "the doctor failed: ZeroDivisionError: in a rule",
    )
    assert PROBE_S_MAX > 27  # the doctor's own budget


# --- the whole way ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def forgetful_proxy(port: int) -> AsyncIterator[int]:
    """A reverse proxy before `port` as many are set up: HTTP/1.0 upstream and no Upgrade header. Gives its port."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            head = re.sub(rb"(?mi)^(upgrade|connection|sec-websocket-[^:]*):.*\r\n", b"", head)
            to_app = await asyncio.open_connection("127.0.0.1", port)
            to_app[1].write(head.replace(b"HTTP/1.1\r\n", b"HTTP/1.0\r\n", 1))
            while data := await to_app[0].read(65536):
                writer.write(data)
            to_app[1].close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@e2e
async def test_the_timeline_names_a_proxy_that_swallows_the_upgrade(tmp_path: Path) -> None:
    """The most frequent cause of all: webhooks come, the stream does not. The call itself tells which side to mend."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with (
            forgetful_proxy(listener.getsockname()[1]) as proxy,
            serving(
                BUILTIN["echo"](),
                tmp_path,
                listener=listener,
                examine=_examine,
                public_url=f"http://127.0.0.1:{proxy}",
                no_socket_then="nothing",
            ) as served,
        ):
            caller = await served.telnyx.call()
            entries = await served.until_kind(caller.call.leg.call_session_id, StreamProbed)
            metrics = served.context.metrics.text().decode()
            tokens = served.context.tokens

    kinds = [kind_of(entry.what) for entry in entries]
    (missing,) = (entry.what for entry in entries if isinstance(entry.what, StreamMissing))
    (probed,) = (entry.what for entry in entries if isinstance(entry.what, StreamProbed))
    assert (missing.seen, missing.reason) == ("nothing", "Telnyx reports streaming.failed (connection_failed)")
    assert (probed.code, probed.slug, probed.owner, probed.decided) == (
        "HTTP001",
        "proxy-upgrade-headers-stripped",
        "you",
        True,
    ), probed
    assert "socket.received" not in kinds  # the doctor's own requests are none of the call's
    assert f'callpath_probes_total{{code="{probed.code}"}} 1.0' in metrics
    assert tokens is not None
    assert tokens.of(probe_session(SessionId(entries[0].session))) not in repr(entries)


@e2e
@pytest.mark.parametrize(
    ("token_in", "path"),
    [("header", "{session}/audio"), ("path", "{session}/audio/***"), ("off", "test-connection/audio")],
)
async def test_a_healthy_url_is_said_to_be_healthy(tmp_path: Path, token_in: str, path: str) -> None:
    """Telnyx never tried: then the way is not to blame. The probe is echoed, and takes nobody's socket."""

    async def briefly(url: str, token: str | None) -> Verdict:
        return _verdict(await diagnose(Request(url=url, token=token, media_s=0.2, local=True), SystemClock()))

    async with serving(
        BUILTIN["tone"](),
        tmp_path,
        examine=briefly,
        socket_within_ms=100,
        no_socket_then="retry",
        token_in=token_in,
    ) as served:
        caller = await served.telnyx.call(faults=["connects_late=800"])
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, StreamProbed)
        await caller.stream_started()
        await caller.heard_for(100)

    (probed,) = (entry.what for entry in entries if isinstance(entry.what, StreamProbed))
    assert (probed.healthy, probed.code) == (True, None), probed
    assert probed.url == f"{served.socket_url}/api/calls/{path.format(session=session)}"


@e2e
async def test_the_caller_is_helped_step_by_step(tmp_path: Path) -> None:
    """The stream is asked for once more, then he is told, then the line is given back."""
    async with serving(
        BUILTIN["echo"](), tmp_path, socket_within_ms=150, no_socket_then="retry,speak:Sorry,hangup"
    ) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        entries = await served.until(session, lambda what: _is_event(what, "call.hangup"))

    sent = [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)]
    steps = [entry.what.step for entry in entries if isinstance(entry.what, PolicyActed)]
    ids = {entry.what.command_id for entry in entries if isinstance(entry.what, CommandSent)}
    assert sent == ["answer", "streaming_start", "streaming_start", "speak", "hangup"]
    assert steps == ["retry", "speak", "hangup"]
    assert len(ids) == 5
    assert any(_is_event(entry.what, "call.speak.ended") for entry in entries)


@e2e
async def test_a_late_stream_is_taken_and_the_help_ends(tmp_path: Path) -> None:
    """It came after our patience, but it came: the handler runs, once."""
    async with serving(
        BUILTIN["tone"](), tmp_path, socket_within_ms=100, no_socket_then="speak:One moment,hangup"
    ) as served:
        caller = await served.telnyx.call(faults=["connects_late=900"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, HandlerStarted)
        await caller.heard_for(100)
        entries = await served.until(session, lambda what: _is_event(what, "call.speak.ended"))

    assert [entry.what.step for entry in entries if isinstance(entry.what, PolicyActed)] == ["speak"]


@e2e
async def test_a_line_that_is_up_for_nothing_is_hung_up(tmp_path: Path) -> None:
    """No frame comes any more, though the socket is open."""
    app = App()

    @app.call
    async def wait(call: Call) -> None:
        async for _ in call.events:
            pass

    async with serving(app, tmp_path, media_idle_ms=300) as served:
        caller = await served.telnyx.call(faults=["media_stops=200"])
        session = caller.call.leg.call_session_id
        entries = await served.until(session, lambda what: _is_event(what, "call.hangup"))

    (stuck,) = (entry.what for entry in entries if isinstance(entry.what, CallStuck))
    (checked,) = (entry.what for entry in entries if isinstance(entry.what, CallChecked))
    assert (stuck.reason, checked.alive) == ("media_idle", True)


@e2e
async def test_a_probes_token_opens_no_call(tmp_path: Path) -> None:
    """Who has it is echoed, and hears nothing of the caller."""
    from websockets.asyncio.client import connect

    async with serving(BUILTIN["tone"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        assert served.context.tokens is not None
        token = served.context.tokens.of(probe_session(session))
        url = f"{served.socket_url}/api/calls/{session}/audio"
        async with connect(url, additional_headers={AUTH_TOKEN_HEADER: token}) as probe:
            greeting = await probe.recv()
        entries = await served.until_kind(session, FirstOutbound)

    assert '"event":"callpath"' in str(greeting)
    assert 1 == sum(isinstance(entry.what, SocketReceived) for entry in entries)


def _is_event(what: What, event_type: str) -> bool:
    return isinstance(what, WebhookReceived) and what.event_type == event_type
