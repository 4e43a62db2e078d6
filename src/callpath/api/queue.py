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


FIRST_MS_MAX = 200
"""How long a handler may take to its first read without losing audio."""

PAUSE_MS_MAX = 500
"""How long the reader of a call's audio may pause in `play` before the audio of that time is discarded."""

UNREAD_MS_MAX = 40
"""How much is kept of audio that nobody reads: the newest."""

_CHUNK_MS = 20


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


class AudioQueue(DropOldestQueue[bytes]):
    """A call's audio on its way to the handler, in chunks of 20 ms.

    A first read within FIRST_MS_MAX gets all of it; after that only the newest UNREAD_MS_MAX are kept until it comes. From
    then on at most `limit` chunks wait, and the oldest is dropped and counted. While the task that reads waits in `play` or
    `finished`, it does not fall behind: if that takes longer than PAUSE_MS_MAX, only the newest UNREAD_MS_MAX are kept.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.discarded = 0
        """Chunks that came while nobody read."""
        self._unread = True
        """Nobody reads: there was no read yet, or the reader pauses."""
        self._reader: asyncio.Task[Any] | None = None
        self._paused_chunks = 0

    @property
    def behind(self) -> int:
        """Chunks by which a reader is behind; 0 while nobody reads."""
        return 0 if self._unread else len(self._items)

    def skip(self) -> int:
        """Forget what waits, so that the next read gets what the caller says now; how many chunks that was."""
        skipped = len(self._items)
        self._items.clear()
        return skipped

    def put(self, item: bytes) -> None:
        """Add a chunk. A reader that waits runs at once, unless a task is running now: then it is next."""
        if self._unread:
            self._put_unread(item)
        else:
            super().put(item)

    def pause(self) -> bool:
        """The current task is going to wait for something else. True: it is the reader, and `resume` has to follow."""
        if self._unread or self._reader is None or self._reader is not asyncio.current_task():
            return False
        self._unread, self._paused_chunks = True, 0
        return True

    def resume(self) -> None:
        """The reader may read again."""
        self._unread = False

    def __await__(self) -> Generator[Any, None, bytes]:
        self._unread = False
        if not self._items:
            self._reader = asyncio.current_task()
        return super().__await__()

    def _put_unread(self, item: bytes) -> None:
        self._paused_chunks += 1
        self._items.append(item)
        short_ms = FIRST_MS_MAX if self._reader is None else PAUSE_MS_MAX
        kept = self._limit if self._paused_chunks * _CHUNK_MS <= short_ms else UNREAD_MS_MAX // _CHUNK_MS
        over = len(self._items) - kept
        if over > 0:
            del self._items[:over]
            self.discarded += over
