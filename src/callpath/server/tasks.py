"""The tasks of a process that serves calls. None of them is lost, and one that fails harms no other call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

import structlog

from callpath.errors import LocalProtocolError

logger = structlog.get_logger("callpath")

Result = TypeVar("Result")


class Tasks:
    """One task group for everything that runs beside the requests."""

    def __init__(self) -> None:
        self._group: asyncio.TaskGroup | None = None
        self._accepting = False
        self._work: set[asyncio.Task[None]] = set()
        """Tasks that are cancelled when the server stops."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Accept tasks while this is entered. On leaving, work is cancelled, and what was kept is waited for."""
        async with asyncio.TaskGroup() as group:
            self._group, self._accepting = group, True
            try:
                yield
            finally:
                self.stop()

    def stop(self) -> None:
        """Cancel all work, and accept no more."""
        self._accepting = False
        for task in tuple(self._work):
            task.cancel()

    @property
    def is_running(self) -> bool:
        """Work is accepted. If not any more, the server stops, or a task failed that all calls need."""
        return self._accepting

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends or the server stops; what it raises is logged. Raises LocalProtocolError."""
        if not self._accepting or self._group is None:
            work.close()
            raise LocalProtocolError("the server is not running")
        task = self._group.create_task(_log_exceptions(work, name), name=name)
        self._work.add(task)
        task.add_done_callback(partial(self._ended, work))
        return task

    def _ended(self, work: Coroutine[Any, Any, None], task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        work.close()  # cancelled before its first step, it was never awaited

    def keep(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` until it ends by itself, also while the server stops. Raises RuntimeError after that."""
        guarded = _log_exceptions(work, name)
        try:
            if self._group is None:
                raise RuntimeError("the server is not running")
            return self._group.create_task(guarded, name=name)
        except RuntimeError:
            guarded.close()
            work.close()
            raise

    async def within(self, seconds: float, work: Coroutine[Any, Any, Result], name: str) -> Result:
        """What `work` returns or raises. It goes on by itself where that takes longer (TimeoutError), or the caller is
        cancelled; what it raises then is logged. Raises RuntimeError as `keep`."""
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        async def tell() -> None:
            try:
                result = await work
            except Exception as error:
                if answer.done():
                    raise
                answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(result)

        try:
            self.keep(tell(), name)
        except RuntimeError:
            work.close()
            raise
        return await asyncio.wait_for(answer, seconds)

    def run_critical(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Run what no call can do without: if it fails, everything ends."""
        assert self._group is not None, "entered `running` first"
        task = self._group.create_task(_critical(work, name), name=name)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


async def _log_exceptions(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception as error:
        logger.exception("A task failed", event_name="task.failed", task=name, error=str(error))


async def _critical(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    try:
        await work()
    except Exception as error:
        logger.exception("A task failed that all calls need", event_name="task.failed", task=name, error=str(error))
        raise
