"""Waits for something that a call's timeline will tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from callpath.clock import Clock

Found = TypeVar("Found")


class News:
    """The tasks that wait for news of one call."""

    __slots__ = ("_clock", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[asyncio.Event] = []

    def tell(self) -> None:
        """Something new is known of the call."""
        for news in self._waiting:
            news.set()

    async def until(
        self,
        find: Callable[[int], tuple[Found | None, int | None]],
        within_ms: float,
        is_over: Callable[[], bool] = lambda: False,
    ) -> Found | None:
        """Ask `find`, with the time (Unix ms), at each news and at the time that it names, until it has found something.
        None: nothing within `within_ms`, or before `is_over`."""
        news = asyncio.Event()
        self._waiting.append(news)
        deadline_ms = self._clock.now_ms() + within_ms
        try:
            while True:
                now_unix_ms = self._clock.now_unix_ms()
                found, again_unix_ms = find(now_unix_ms)
                if found is not None or is_over() or self._clock.now_ms() >= deadline_ms:
                    return found
                at_ms = deadline_ms
                if again_unix_ms is not None:
                    at_ms = min(at_ms, self._clock.now_ms() + max(1, again_unix_ms - now_unix_ms))
                await self._clock.wait(news, at_ms)
        finally:
            self._waiting.remove(news)
