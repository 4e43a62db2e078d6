"""The actor of a call: races, a failing store, restarts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from callpath.errors import LocalProtocolError, StoreError
from callpath.server.app import create_asgi
from callpath.server.builtin import BUILTIN
from callpath.server.events import store_webhook
from callpath.server.leases import STEADY_MS
from callpath.simulator.options import CarrierOptions
from callpath.store.sql import open_call_log
from callpath.timeline import (
    CommandAnswered,
    CommandRetried,
    CommandSent,
    Entry,
    FirstOutbound,
    HandlerEnded,
    LoopBlocked,
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
from callpath.wire.webhook import Webhook, read_webhook
from tests.server.manual import SESSION, Node, event, one_node, two_nodes
from tests.serving import Served, serving, upgraded

e2e = pytest.mark.e2e

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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


@e2e
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


# --- all calls of a process, on a manual clock -----------------------------------------------------------------------


async def ringing(node: Node, session: str = SESSION) -> None:
    await node.webhook("call.initiated", session=session, leg=f"leg of {session}", direction="incoming", state="parked")


def gauge(node: Node, name: str) -> float:
    (value,) = re.findall(rf"^{name} (\S+)$", node.context.metrics.text().decode(), re.MULTILINE)
    return float(value)


async def test_an_event_that_comes_twice_is_stored_once_and_wakes_its_call_again() -> None:
    """Of the first, the commit may have been all that whoever stored it came to: the process died right after it."""
    async with one_node() as node:
        document = event("call.initiated", event_id="e1", direction="incoming", state="parked")
        webhook = read_webhook(document)
        assert isinstance(webhook, Webhook)
        stored = await store_webhook(node.context, webhook, document)
        before = list(node.telnyx.sent)
        again = await node.webhook("call.initiated", event_id="e1", direction="incoming", state="parked")

        assert (True, False) == (stored, again)
        assert ([], ["answer"]) == (before, node.telnyx.sent)
        assert 1 == len(node.log.whats(WebhookReceived))


async def test_a_call_has_one_actor_until_it_is_over() -> None:
    """Two would send each command twice."""
    async with one_node() as node:
        await ringing(node)
        call = node.calls.load(SESSION)
        same = node.calls.load(SESSION) is call
        await node.webhook("call.hangup", leg=f"leg of {SESSION}", hangup_cause="normal_clearing")
        await node.clock.advance(1_000)
        gone = SESSION not in node.calls.live
        another = node.calls.load(SESSION) is not call

        assert (True, True, True) == (same, gone, another)


async def test_the_end_of_an_old_actor_does_not_end_its_successor() -> None:
    """It was forgotten while its last entry was being stored, and the next event came."""
    async with one_node() as node:
        await ringing(node)
        old = node.calls.live.pop(SESSION)
        new = node.calls.load(SESSION)
        old.stop()
        await node.clock.advance(100)

        assert node.calls.live[SESSION] is new


async def test_a_timeline_that_was_just_read_is_not_read_again() -> None:
    """Each upgrade of a call that is not in memory would cost a second query."""
    async with one_node() as node:
        await ringing(node)
        timeline = await node.log.read(SESSION)
        node.calls.live.pop(SESSION).stop()
        await node.clock.advance(100)
        reads = node.log.reads
        call = node.calls.load(SESSION, timeline)
        known = call.session.leg is not None
        await call.until_ready()

        assert known
        assert reads == node.log.reads


async def test_no_call_is_begun_when_the_server_has_stopped() -> None:
    """Nobody would end it."""
    async with one_node() as node:
        before = node.calls.is_running, node.calls.ready, node.calls.started
        node.calls.capacity.draining = True
        draining = node.calls.is_running, node.calls.ready
        node.context.tasks.stop()
        with pytest.raises(LocalProtocolError, match="the server is not running"):
            node.calls.load(SESSION)

        assert (True, True, True) == before
        assert (True, False) == draining
        assert (False, False) == (node.calls.is_running, node.calls.ready)
        assert {} == node.calls.live


async def test_a_blockage_stands_in_the_timeline_of_its_call() -> None:
    """That of a call which is over has none, and is logged by whoever saw it."""
    blocked = LoopBlocked(function="f", file="bot.py", line=1, code="time.sleep(3)", blocked_ms=3_000.0)
    async with one_node() as node:
        await ringing(node)
        noted = [node.calls.note_blockage(session, blocked) for session in (SESSION, SessionId("gone"))]
        await node.clock.advance(1)

        assert [True, False] == noted
        assert [blocked] == node.log.whats(LoopBlocked)


async def test_only_calls_that_were_held_before_a_renewal_are_lost_by_it() -> None:
    """The renewal says what this node held when it asked. A call claimed while the answer was on its way is not among
    them, and is ours."""
    async with two_nodes() as (a, _):
        for session in ("one", "two"):
            await ringing(a, session)
        await a.clock.advance(1_000)
        await ringing(a, "three")
        a.calls._held({SessionId("one")}, at_ms=1_000)

        assert {"one": True, "two": False, "three": True} == {
            session: call.acts for session, call in a.calls.live.items()
        }


async def test_a_notice_of_another_node_wakes_its_call_or_all_of_them() -> None:
    """All, where it is not known what was missed; and none that is not here."""
    async with two_nodes() as (a, _):
        for session in ("one", "two"):
            await ringing(a, session)
        woken: list[list[str]] = []
        for told in (SessionId("two"), SessionId("nobody"), None):
            a.calls._changed(told)
            woken.append([session for session, call in a.calls.live.items() if call._journal.has_news])
            await a.clock.advance(0)

        assert [["two"], [], ["one", "two"]] == woken


async def test_an_orphan_is_handed_to_the_recovery() -> None:
    """The scan for leases finds it; the calls of a dead node are recovered a few at a time."""
    async with two_nodes() as (a, _):
        await a.clock.advance(STEADY_MS)
        await a.log.claim(SESSION, "dead", 0)
        await a.clock.advance(2_000)

        assert {SESSION} == set(a.orphans)


async def test_the_figures_of_a_server_with_calls() -> None:
    """What an alert is set on: calls, sockets, and a command that Telnyx does not answer, with its age."""
    async with one_node(calls_max=7) as node:
        driver = await node.talk()
        node.telnyx.answers.clear()
        await ringing(node, "two")
        await node.clock.advance(1_500)
        await ringing(node, "three")
        await node.clock.advance(500)
        busy = {
            name: gauge(node, f"callpath_{name}")
            for name in ("calls", "calls_max", "sockets", "outbox_commands", "outbox_age_seconds", "draining")
        }
        node.telnyx.answers.set()
        node.calls.capacity.draining = True
        await node.lose(driver)
        await node.clock.advance(100)
        quiet = {
            name: gauge(node, f"callpath_{name}")
            for name in ("sockets", "outbox_commands", "outbox_age_seconds", "draining", "probes_running")
        }

        assert busy == {
            "calls": 3,
            "calls_max": 7,
            "sockets": 1,
            "outbox_commands": 2,
            "outbox_age_seconds": 2.0,
            "draining": 0,
        }
        assert quiet == {
            "sockets": 0,
            "outbox_commands": 0,
            "outbox_age_seconds": 0,
            "draining": 1,
            "probes_running": 0,
        }


async def test_the_lag_of_the_loop_is_known_without_a_stream() -> None:
    """New calls are refused by it: it must not be 0 for want of somebody who looks."""
    async with one_node() as node:
        await node.clock.advance(1_000)
        before = gauge(node, "callpath_loop_lag_seconds")
        node.clock._now_ms += 700  # the loop stood still
        await node.clock.advance(1)
        after = gauge(node, "callpath_loop_lag_seconds")

        assert 0 == before
        assert 0.45 <= after <= 0.7
