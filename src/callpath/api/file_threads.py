"""Threads that work on files, so that the event loop never waits for a disk.

A disk can take minutes to answer: a network volume, a bucket mounted as a folder, a disk under load. On the event loop
that would stop the audio of every call. The threads are daemons, so the process can end while one hangs in the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

import structlog

R = TypeVar("R")
Job = Callable[[], None]

logger = structlog.get_logger("callpath")


class FileThreads:
    """Up to `count` threads, started when there is work. Used from one event loop."""

    def __init__(self, name: str, count: int = 1) -> None:
        self._name = name
        self._count = count
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def submit(self, job: Job) -> None:
        """Have `job` done in a thread, in its turn. Called on the event loop; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._jobs.put(job)
        if len(self._threads) < self._count:
            thread = threading.Thread(target=self._work, name=f"{self._name} {len(self._threads) + 1}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def reply(self, callback: Callable[[R], None], result: R) -> None:
        """Called in a job: have `callback(result)` called on the event loop."""
        assert self._loop is not None, "a job was submitted"
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left who would want to know
            self._loop.call_soon_threadsafe(callback, result)

    def start(self, job: Callable[[], R]) -> asyncio.Future[R]:
        """Have `job` done in a thread; what it returns or raises."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def told(outcome: R | Exception) -> None:
            if future.done():
                return  # cancelled
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        def run() -> None:
            outcome: R | Exception
            try:
                outcome = job()
            except Exception as error:
                outcome = error
            self.reply(told, outcome)

        self.submit(run)
        return future

    def close(self) -> None:
        """End the threads once they have done what was submitted so far."""
        for _ in self._threads:
            self._jobs.put(None)
        self._threads = []

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # a mistake of ours with one file keeps no other from being written
                logger.exception("Work on a file failed", event_name="files.failed", error=str(error))


class InlineFiles(FileThreads):
    """Does all work at once, where it is submitted: for tests on a manual clock, which no thread follows."""

    def __init__(self) -> None:
        super().__init__("inline", 0)

    def submit(self, job: Job) -> None:
        job()

    def reply(self, callback: Callable[[R], None], result: R) -> None:
        callback(result)
