"""Items on their way to a handler: a bounded queue that is read with `async for`.

    async for chunk in call.audio: ...

An asyncio.Queue would cost two coroutines for each chunk, 50 times a second on every call; here a chunk costs one future,
and none when items are waiting already (docs/decisions/0010).
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


class DropOldestQueue(Generic[Item]):
    """An async iterator for one reader. When `limit` items wait, the oldest is dropped, and counted."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self._items: list[Item] = []  # a deque takes 760 bytes when empty, and there are two a call
        self._limit = limit
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None
        """The reader's, while it waits."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> None:
        """Add an item. A reader that waits runs in the next turn of the event loop."""
        if len(self._items) >= self._limit:
            self._items.pop(0)
            self.dropped += 1
        self._items.append(item)
        self._wake()

    def close(self) -> None:
        """End the iteration once the waiting items have been read."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> DropOldestQueue[Item]:
        return self

    def __anext__(self) -> DropOldestQueue[Item]:
        return self

    def __await__(self) -> Generator[Any, None, Item]:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._waiter is not None and not self._waiter.done():
                raise RuntimeError("only one task can read this at a time")
            # One that is done belongs to a reader that was cancelled, or has not had its turn yet.
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                yield from waiter
            finally:
                if self._waiter is waiter:
                    self._waiter = None
        return self._items.pop(0)
