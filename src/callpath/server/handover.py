"""Items on their way to a handler: a bounded queue that is read with `async for`.

    async for chunk in call.audio: ...

An asyncio.Queue would cost a future, a callback and a turn of the event loop for each chunk, 50 times a second on every
call. Here the one waiting task is resumed by `put` itself, in the same turn: a third less work per frame
(docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class Waiting(Generic[Item]):
    """An async iterator for one reader. When `limit` items wait, the oldest is dropped, and counted."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._items: list[Item] = []  # a deque takes 760 bytes when empty, and there are two a call
        self._limit = limit
        self._closed = False
        self._turnstile: _Turnstile | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item. A reader that waits runs at once, unless a task is running now: then it is next."""
        if len(self._items) >= self._limit:
            self._items.pop(0)
            self.dropped += 1
        self._items.append(item)
        if self._turnstile is not None:
            self._turnstile.open()

    def close(self) -> None:
        """The iteration ends once what waits has been read."""
        self._closed = True
        if self._turnstile is not None:
            self._turnstile.open()

    def __aiter__(self) -> Waiting[Item]:
        return self

    def __anext__(self) -> Waiting[Item]:
        return self

    def __await__(self) -> Generator[Any, None, Item]:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._turnstile is None:
                self._turnstile = _Turnstile()
            elif self._turnstile.resume is not None:
                raise RuntimeError("only one task can read this at a time")
            yield self._turnstile.waited_for()
        return self._items.pop(0)


class _Turnstile:
    """What a task awaits: the part of asyncio's Future protocol that a Task uses, resumed without the loop's queue."""

    _asyncio_future_blocking = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.resume: Callable[[_Turnstile], None] | None = None
        """How to go on with the task that waits here; None while nobody does."""
        self._context: contextvars.Context

    def waited_for(self) -> _Turnstile:
        """This, marked as a Task wants it marked where somebody awaits it."""
        self._asyncio_future_blocking = True
        return self

    def open(self) -> None:
        resume = self.resume
        if resume is None:
            return  # nobody waits
        self.resume = None
        if asyncio.current_task(self._loop) is None:
            self._context.run(resume, self)
        else:
            self._loop.call_soon(resume, self, context=self._context)

    # --- what a Task asks of a Future --------------------------------------------------------------------------------

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def add_done_callback(
        self, resume: Callable[[_Turnstile], None], *, context: contextvars.Context | None = None
    ) -> None:
        self.resume, self._context = resume, contextvars.copy_context() if context is None else context

    def result(self) -> None:
        return

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002 (part of the protocol)
        if self.resume is None:
            return False
        resume, self.resume = self.resume, None
        # Said to this task only: by the time it runs, another may wait here.
        self._loop.call_soon(resume, _Cancelled(), context=self._context)
        return True


class _Cancelled(_Turnstile):
    """What a cancelled task is resumed with."""

    def result(self) -> None:
        raise asyncio.CancelledError
