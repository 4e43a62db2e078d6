"""The actor of a call: races, a failing store, restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from callpath.errors import StoreError
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.simulator.options import CarrierOptions
from callpath.store.sql import open_call_log
from callpath.timeline import (
    CommandAnswered,
    CommandRetried,
    CommandSent,
    Entry,
    FirstOutbound,
    HandlerEnded,
    MediaCounted,
    Noted,
    SocketReceived,
    StreamAccepted,
    StreamStarted,
    WebhookReceived,
    What,
    kind_of,
)
from callpath.wire.ids import SessionId, StreamId
from callpath.wire.media import AUTH_TOKEN_HEADER
from tests.serving import Served, serving, upgraded

pytestmark = pytest.mark.e2e

COUNTED = StreamId("counted by a test")


async def _idle_call(served: Served) -> SessionId:
    """A call that talks, and of which nothing waits to be stored."""
    caller = await served.telnyx.call()
    await caller.stream_started()
    session = SessionId(caller.call.leg.call_session_id)
    await served.until_kind(session, FirstOutbound)
    while served.calls.live[session]._journal._storing.locked():
        await asyncio.sleep(0)
    return session


def _is_counter(what: What) -> bool:
    """One that the test wrote, not the stream itself."""
    return isinstance(what, MediaCounted) and what.stream_id == COUNTED


async def test_webhooks_in_the_wrong_order_and_twice(tmp_path: Path) -> None:
    """Answered before initiated, everything doubled: one answer at most, one stream."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        caller = await served.telnyx.call(faults=["webhook_duplicated", "webhook_reordered"])
        await caller.stream_started()
        await caller.heard_for(200)
        session = caller.call.leg.call_session_id
        entries = await served.timeline(session)

    sent = [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)]
    events = [entry.what.event_id for entry in entries if isinstance(entry.what, WebhookReceived)]
    assert sent == ["answer", "streaming_start"]
    assert len(events) == len(set(events))


async def test_the_command_is_on_disk_before_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash in between, nobody may believe that it was never sent."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        on_disk: list[list[str]] = []
        send = served.context.control.send

        async def watched(command: Any, leg: Any, **more: Any) -> Any:
            entries = await served.timeline(session)
            on_disk.append([entry.what.command for entry in entries if isinstance(entry.what, CommandSent)])
            return await send(command, leg, **more)

        monkeypatch.setattr(served.context.control, "send", watched)
        caller = await served.telnyx.call()
        session = caller.call.leg.call_session_id
        await caller.stream_started()

    assert on_disk == [["answer"], ["answer", "streaming_start"]]


async def test_answers_that_get_lost_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Telnyx has carried the command out, and its answer is cut off on the way: the caller must not hear it twice."""
    async with serving(BUILTIN["tone"](), tmp_path) as served:
        request, lost = served.context.control._http.request, set[str]()

        async def cut_off(method: str, path: str, **more: Any) -> Any:
            answer = await request(method, path, **more)
            if path not in lost:
                lost.add(path)
                raise httpx2.ReadError("reset by peer")
            return answer

        monkeypatch.setattr(served.context.control._http, "request", cut_off)
        caller = await served.telnyx.call()
        await caller.heard_for(200)
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, StreamAccepted)

    sent = [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)]
    tried = [(entry.what.command, entry.what.status) for entry in entries if isinstance(entry.what, CommandRetried)]
    answered = [entry.what.attempts for entry in entries if isinstance(entry.what, CommandAnswered)]
    assert sent == ["answer", "streaming_start"]
    assert tried == [("answer", None), ("streaming_start", None)]
    assert answered == [2, 2]
    assert len(caller.call.streams) == 1


async def test_a_failing_store_does_not_end_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Media goes on; what waited is stored once the disk is back, in order."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        append = served.context.log.append
        refused = 0

        async def full(*_entries: Entry) -> bool:
            nonlocal refused
            refused += 1
            raise StoreError("the disk is full")

        monkeypatch.setattr(served.context.log, "append", full)
        await caller.press("1")
        await caller.heard_for(300)
        monkeypatch.setattr(served.context.log, "append", append)
        await caller.press("2")
        entries = await served.until(session, lambda what: kind_of(what) == "dtmf.received" and what.digit == "2")  # type: ignore[attr-defined]

    assert refused > 0
    assert [entry.what.digit for entry in entries if kind_of(entry.what) == "dtmf.received"] == ["1", "2"]  # type: ignore[attr-defined]
    assert caller.failure is None or "lost" in caller.failure


async def test_what_can_be_stored_does_not_wait_for_what_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that wait are stored together; one that the log will not take must not keep those before it out."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        append = served.context.log.append
        together = []

        async def picky(*entries: Entry) -> bool:
            together.append(len(entries))
            if any(isinstance(entry.what, Noted) and entry.what.text == "2" for entry in entries):
                raise StoreError("this one cannot be written")
            return await append(*entries)

        monkeypatch.setattr(served.context.log, "append", picky)
        live = served.calls.live[session]
        for text in "123":
            live.note(Noted(text=text))
        entries = await served.until(session, lambda what: isinstance(what, Noted) and what.text == "1")

    assert ["1"] == [entry.what.text for entry in entries if isinstance(entry.what, Noted)]
    assert max(together) >= 3


async def test_counters_of_many_calls_are_stored_by_one_append_each_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand calls count at once; a commit and a task for each would hold up their audio."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        one, two = [await _idle_call(served) for _ in range(2)]
        append = served.context.log.append
        together: list[set[SessionId]] = []

        async def watched(*entries: Entry) -> bool:
            if any(_is_counter(entry.what) for entry in entries):
                together.append({entry.session for entry in entries})
            return await append(*entries)

        monkeypatch.setattr(served.context.log, "append", watched)
        for session in (one, two):
            served.calls.live[session].note(MediaCounted(stream_id=COUNTED, frames_in=1))
        served.calls.live[one].note(Noted(text="after it"))
        served.calls.live[one].note(MediaCounted(stream_id=COUNTED, frames_in=2))
        await served.until(two, _is_counter)
        first = await served.until(one, _is_counter, times=2)

    kinds = [kind_of(entry.what) for entry in first if _is_counter(entry.what) or isinstance(entry.what, Noted)]
    assert {one, two} in together
    assert ["media.counted", "note", "media.counted"] == kinds


async def test_a_call_whose_entries_cannot_be_written_costs_the_others_no_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored together is all refused together: then each call stores its own."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        one, two = [await _idle_call(served) for _ in range(2)]
        append = served.context.log.append
        refused: list[int] = []

        async def picky(*entries: Entry) -> bool:
            if any(entry.session == one and _is_counter(entry.what) for entry in entries):
                refused.append(len(entries))
                raise StoreError("this call cannot be written")
            return await append(*entries)

        monkeypatch.setattr(served.context.log, "append", picky)
        for session in (one, two):
            served.calls.live[session].note(MediaCounted(stream_id=COUNTED, frames_in=1))
        await served.until(two, _is_counter)
        monkeypatch.setattr(served.context.log, "append", append)
        first = await served.until(one, _is_counter)
        second = await served.timeline(two)

    assert refused
    assert [1, 1] == [sum(_is_counter(entry.what) for entry in entries) for entries in (first, second)]


async def test_a_socket_while_the_log_cannot_be_read_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known of the call then: 410 token_expired would blame a token that is good."""
    options = CarrierOptions(connect_ms_max=20_000)
    async with serving(BUILTIN["echo"](), tmp_path, options=options) as served:
        caller = await served.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamAccepted)
        read, reads = served.context.log.read, asyncio.Event()

        async def failing(*_: Any, **__: Any) -> list[Entry]:
            reads.set()
            raise StoreError("the database is down")

        monkeypatch.setattr(served.context.log, "read", failing)
        served.calls.live.pop(session).stop()
        served.calls.load(session).wake()  # a webhook came, and there is no actor any more
        await reads.wait()
        assert served.context.tokens is not None
        headers = {AUTH_TOKEN_HEADER.replace("-", "_"): served.context.tokens.of(session)}
        down = await upgraded(served, session, **headers)
        monkeypatch.setattr(served.context.log, "read", read)

    assert down == 503


async def test_a_call_from_before_a_restart_is_picked_up_from_its_timeline(tmp_path: Path) -> None:
    """The process that answered is gone; the socket comes to the new one, and is let in."""
    database = f"sqlite:///{tmp_path / 'shared.db'}"
    secret = "same-on-both"
    options = CarrierOptions(connect_ms_max=20_000)
    async with serving(BUILTIN["echo"](), tmp_path, options=options, database_url=database, secret=secret) as first:
        caller = await first.telnyx.call(faults=["never_connects"])
        session = caller.call.leg.call_session_id
        await first.until_kind(session, CommandSent)
        await first.until_kind(session, StreamAccepted)
    async with serving(BUILTIN["echo"](), tmp_path, database_url=database, secret=secret) as second:
        from websockets.asyncio.client import connect

        from tests.telnyx import sample_text, start_text

        assert second.context.tokens is not None
        headers = {AUTH_TOKEN_HEADER: second.context.tokens.of(session)}
        url = f"{second.socket_url}/api/calls/{session}/audio"
        async with connect(url, additional_headers=headers) as socket:
            await socket.send(start_text(session))
            await socket.send(sample_text("ws/t-media-inbound.json"))
            await asyncio.wait_for(socket.recv(), 10)
        entries = await second.until_kind(session, StreamStarted)

    kinds = [kind_of(entry.what) for entry in entries]
    assert kinds.index("stream.accepted") < kinds.index("socket.received") < kinds.index("stream.started")


async def test_stopping_the_server_stores_what_happened(tmp_path: Path) -> None:
    """The last entries are what one looks for after a deploy that cut calls."""
    async with serving(BUILTIN["echo"](), tmp_path) as served:
        caller = await served.telnyx.call()
        await caller.stream_started()
        session = caller.call.leg.call_session_id
        await served.until_kind(session, StreamStarted)
    async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
        entries = await log.read(session)

    (ended,) = (entry.what for entry in entries if isinstance(entry.what, HandlerEnded))
    assert ended.cancelled
    assert any(isinstance(entry.what, SocketReceived) for entry in entries)
    assert "socket.closed" in [kind_of(entry.what) for entry in entries]


async def test_a_stop_between_writing_a_command_down_and_sending_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy may come at any moment. The next process finds the command unanswered and sends it; this one must not fall
    over it, and leave a traceback that looks like a fault."""
    written = asyncio.Event()
    with capture_logs() as lines:
        async with serving(BUILTIN["echo"](), tmp_path) as served:
            append = served.context.log.append

            async def slow(entry: Entry) -> bool:
                if isinstance(entry.what, CommandSent):
                    written.set()
                    while served.calls.ready:
                        await asyncio.sleep(0.01)
                return await append(entry)

            monkeypatch.setattr(served.context.log, "append", slow)
            await served.telnyx.call()
            await written.wait()

    assert [] == [line for line in lines if line.get("event_name") == "task.failed"]


async def test_a_server_without_what_it_needs_does_not_start() -> None:
    """It would answer webhooks and lose the calls."""
    from callpath.config import Settings
    from callpath.errors import ConfigError

    for settings, names in (
        (Settings(), "PUBLIC_URL"),
        (Settings(public_url="https://h"), "TELNYX_API_KEY"),
        (Settings(public_url="https://h", telnyx_api_key="KEY1"), "TELNYX_PUBLIC_KEY"),
    ):
        with pytest.raises(ConfigError, match=names):
            create_asgi(BUILTIN["echo"](), settings)
