"""Work on files never waits on the event loop, and comes back to it."""

from __future__ import annotations

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from callpath.api.file_threads import FileThreads, InlineFiles


async def test_work_is_done_in_a_thread_and_told_on_the_loop() -> None:
    """Entries of a timeline are written by the loop alone."""
    threads = FileThreads("files")
    told: list[tuple[str, str]] = []
    done = asyncio.Event()

    def back(where: str) -> None:
        told.append((where, threading.current_thread().name))
        done.set()

    threads.submit(lambda: threads.reply(back, threading.current_thread().name))
    await asyncio.wait_for(done.wait(), 20)
    threads.close()

    assert [("files 1", "MainThread")] == told


async def test_a_job_that_hangs_holds_up_neither_the_loop_nor_the_other_threads() -> None:
    """One file on a network disk that is away must not keep the greeting from being read."""
    threads = FileThreads("files", count=2)
    released = threading.Event()
    hanging = threads.start(lambda: released.wait(20))
    other = await asyncio.wait_for(threads.start(lambda: 7), 20)
    waits = not hanging.done()
    released.set()
    await hanging
    threads.close()

    assert (7, True) == (other, waits)


async def test_what_a_job_raises_is_raised_where_it_is_awaited() -> None:
    """And the thread goes on."""
    threads = FileThreads("files")
    with pytest.raises(ZeroDivisionError):
        await threads.start(lambda: 1 // 0)
    after = await asyncio.wait_for(threads.start(lambda: 1), 20)
    threads.close()

    assert 1 == after


async def test_a_job_that_fails_keeps_no_other_from_being_done() -> None:
    """With its only thread gone, nothing of any call would be recorded any more."""
    threads = FileThreads("files")

    def fail() -> None:
        raise ValueError("ours")

    with capture_logs() as said:
        threads.submit(fail)
        after = await asyncio.wait_for(threads.start(lambda: 1), 20)
    threads.close()

    assert 1 == after
    assert ["files.failed"] == [line["event_name"] for line in said]


async def test_an_answer_that_nobody_waits_for_any_more() -> None:
    """The handler was cancelled; the job cannot be."""
    threads = FileThreads("files")
    released = threading.Event()
    future = threads.start(lambda: released.wait(20))
    future.cancel()
    released.set()
    await asyncio.wait_for(threads.start(lambda: 1), 20)
    threads.close()

    assert future.cancelled()


async def test_threads_end_when_they_are_closed_and_after_their_work() -> None:
    """What was handed over before the server stopped is still written."""
    threads = FileThreads("files")
    done: list[int] = []
    released = threading.Event()
    hanging = threads.start(lambda: released.wait(20))
    threads.submit(lambda: done.append(1))
    (thread,) = threads._threads
    threads.close()
    released.set()
    await hanging
    await asyncio.to_thread(thread.join, 20)

    assert ([1], False) == (done, thread.is_alive())
    assert thread.daemon  # one that hangs does not keep the process


def test_a_loop_that_is_gone_is_told_nothing() -> None:
    """A thread that comes back from a slow disk when the server has ended."""
    threads = FileThreads("files")
    released = threading.Event()

    def come_late() -> None:
        released.wait(20)
        threads.reply(print, "late")

    async def leave() -> None:
        threads.submit(come_late)

    asyncio.run(leave())
    (thread,) = threads._threads
    with capture_logs() as said:
        released.set()
        threads.close()
        thread.join(20)

    assert not thread.is_alive()
    assert [] == said


async def test_inline_it_is_done_where_it_is_submitted() -> None:
    """On a manual clock no thread would be in time."""
    inline = InlineFiles()
    where: list[str] = []
    inline.submit(lambda: inline.reply(where.append, threading.current_thread().name))

    assert ["MainThread"] == where
    assert 3 == await inline.start(lambda: 3)
