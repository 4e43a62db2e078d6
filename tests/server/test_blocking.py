"""What blocks the event loop is named: the handler's own function, file and line."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs

from callpath import App, Call
from callpath.clock import ManualClock, SystemClock
from callpath.config import Settings
from callpath.server import blocking
from callpath.server.blocking import AGAIN_MS, CURRENT_CALL, HANDLER_TASK, BlockWatch, Sample
from callpath.timeline import LoopBlocked, describe, encode_what, parse_what
from callpath.wire.ids import SessionId
from tests.serving import serving

BLOCKED_MS = 60.0
SESSION = SessionId("s1")
HERE = "tests/server/test_blocking.py"


class Notes:
    """The timelines of calls: `s1` is the only one that is here."""

    def __init__(self) -> None:
        self.entries: list[tuple[SessionId, LoopBlocked]] = []
        self.came = asyncio.Event()

    def note(self, session: SessionId, what: LoopBlocked) -> bool:
        self.entries.append((session, what))
        self.came.set()
        return session == SESSION


def watched(
    handler: Callable[[], Coroutine[Any, Any, None]],
    session: SessionId = SESSION,
    runner: Callable[..., Any] = asyncio.run,
    **given: Any,
) -> list[tuple[SessionId, LoopBlocked]]:
    """The entries that came while `handler` ran in a task, and until the loop had answered again."""

    async def run() -> list[tuple[SessionId, LoopBlocked]]:
        notes = Notes()
        watch = BlockWatch(blocked_ms=BLOCKED_MS, note=notes.note, clock=SystemClock(), **given)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch.run())
            await asyncio.sleep(0)

            async def handle() -> None:
                CURRENT_CALL.set(session)
                await handler()

            await tasks.create_task(handle(), name=f"{HANDLER_TASK}{session}")
            with_answer = asyncio.Event()  # after a whole round of the watch nothing more can come of what was before
            asyncio.get_running_loop().call_later(3 * blocking.ASK_EVERY_MS / 1000, with_answer.set)
            await with_answer.wait()
            watching.cancel()
        return notes.entries

    return runner(run())  # type: ignore[no-any-return]


def busy(ms: float) -> None:
    """A CPU loop, of the application's own."""
    until = time.perf_counter() + ms / 1000
    while time.perf_counter() < until:
        pass


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_sleep_is_named_with_its_line(runner: Callable[..., Any]) -> None:
    """`time.sleep` has no frame of its own: the line and its source name it."""

    async def handler() -> None:
        time.sleep(0.4)

    ((session, what),) = watched(handler, runner=runner)

    assert (session, what.file, what.code) == (SESSION, HERE, "time.sleep(0.4)")
    assert what.function.endswith("handler")
    assert what.line == handler.__code__.co_firstlineno + 1
    assert what.inside is None and what.times == 1
    assert 250 < what.blocked_ms


def test_a_loop_is_named_where_it_runs() -> None:
    """The innermost function of the application, and not the handler that called it."""

    async def handler() -> None:
        busy(400)

    ((_, what),) = watched(handler)

    assert (what.function, what.file) == ("busy", HERE)


def test_a_wait_inside_the_standard_library_has_both() -> None:
    """As `requests.get` does: the socket's read is where it stands, the handler's line is what to change."""

    async def handler() -> None:
        threading.Event().wait(0.4)

    ((_, what),) = watched(handler)

    assert (what.file, what.code) == (HERE, "threading.Event().wait(0.4)")
    assert what.inside is not None and what.inside.startswith("Condition.wait (threading.py:")


def test_a_task_of_a_handler_is_the_same_calls() -> None:
    """Bots run their pipelines in tasks of their own. Before Python 3.12 a task does not tell its context: logged only."""

    async def handler() -> None:
        async def pipeline() -> None:
            time.sleep(0.4)

        await asyncio.create_task(pipeline(), name="pipeline")

    with capture_logs() as logs:
        entries = watched(handler)
    told = hasattr(asyncio.Task, "get_context")

    assert [session for session, _ in entries] == ([SESSION] if told else [])
    assert told or [line["event_name"] for line in logs] == ["loop.blocked"]


def test_what_belongs_to_no_call_is_logged() -> None:
    """A callback, or a call that is over."""

    async def handler() -> None:
        asyncio.get_running_loop().call_soon(time.sleep, 0.4)

    async def of_a_call_that_is_gone() -> None:
        time.sleep(0.4)

    with capture_logs() as logs:
        callback = watched(handler)
        gone = watched(of_a_call_that_is_gone, session=SessionId("s2"))

    assert [session for session, _ in callback] == []
    assert [session for session, _ in gone] == ["s2"]
    assert {"event_name": "loop.blocked", "call_session_id": "s2"}.items() <= logs[-1].items()
    assert "time.sleep(0.4)" in logs[-1]["event"]


def test_nothing_is_said_of_a_loop_that_turns() -> None:
    """Waiting is not blocking."""

    async def handler() -> None:
        for _ in range(20):
            await asyncio.sleep(0.02)

    with capture_logs() as logs:
        entries = watched(handler)

    assert (entries, logs) == ([], [])


async def test_a_place_is_reported_once_and_then_counted() -> None:
    """A handler that blocks with each frame would else fill its own timeline."""
    clock, notes = ManualClock(), Notes()
    watch = BlockWatch(blocked_ms=BLOCKED_MS, note=notes.note, clock=clock)
    here, other = (Sample(busy.__code__, line, 0, None, SESSION) for line in (1, 2))
    for sample, pause_ms in ((here, 10), (here, 5_000), (other, 10), (here, AGAIN_MS), (here, 0)):
        watch._report(sample, 300.0)
        await clock.advance(pause_ms)

    assert [(what.line, what.times) for _, what in notes.entries] == [(1, 1), (2, 1), (1, 3)]


def test_a_long_blockage_is_logged_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that never goes on again has nobody else to say so."""
    monkeypatch.setattr(blocking, "LONG_MS", 100.0)
    seen: list[str] = []

    async def handler() -> None:
        time.sleep(0.5)
        seen.extend(line["event"] for line in logs)

    with capture_logs() as logs:
        watched(handler)

    assert len(seen) == 1
    assert "time.sleep(0.5)" in seen[0] and seen[0].endswith("it is still blocked")


async def test_a_call_has_it_in_its_timeline(tmp_path: Path) -> None:
    """Over real sockets, with the setting as it is: whoever asks why a call went silent reads the line to change."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        time.sleep(0.6)
        await call.finished()

    async with serving(app, tmp_path, blocked_ms=Settings().blocked_ms) as served:
        caller = await served.telnyx.call()
        session = caller.call.leg.call_session_id
        entries = await served.until_kind(session, LoopBlocked)
        await caller.hangup()
        await caller.ended()
    (what,) = (entry.what for entry in entries if isinstance(entry.what, LoopBlocked))

    assert (what.file, what.code) == (HERE, "time.sleep(0.6)")
    assert what.function.endswith("handle")


def test_the_watch_ends_with_its_task() -> None:
    """One thread for each server that a test starts would add up."""

    async def handler() -> None:
        await asyncio.sleep(0)

    watched(handler)
    for thread in threading.enumerate():
        if thread.name == "watch for a blocked event loop":
            thread.join(10)

    assert "watch for a blocked event loop" not in {thread.name for thread in threading.enumerate()}


def test_the_entry_in_plain_words() -> None:
    """It is read by whoever asks why the call went silent; and it is stored."""
    what = LoopBlocked(
        blocked_ms=3004.2,
        function="answer",
        file="mybot.py",
        line=12,
        code="requests.get(url)",
        inside="SSLSocket.read (ssl.py:1103)",
        times=4,
    )

    assert describe(what) == (
        "The event loop was blocked for 3004 ms, 4 times by requests.get(url) in answer (mybot.py:12), which was in "
        "SSLSocket.read (ssl.py:1103): all calls stood still"
    )
    assert parse_what(encode_what(what)) == what
