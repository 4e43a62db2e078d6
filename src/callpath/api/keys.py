"""Keys that a handler gathers from its own stream, with a prompt that any key interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from callpath.api.results import Gathered, GatherStatus
from callpath.call.numbers import check_keys
from callpath.clock import Clock
from callpath.errors import InvalidRequestError

DIGITS_MAX, TRIES_MAX, TIMEOUT_S_MAX = 128, 128, 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """The keys that a gather wants. Raises InvalidRequestError for what no phone can give."""

    max_digits: int
    min_digits: int
    timeout_s: float
    terminators: str
    valid_digits: str
    tries: int

    def __post_init__(self) -> None:
        check_keys(self.terminators, "terminators")
        check_keys(self.valid_digits, "valid_digits")
        if not 1 <= self.min_digits <= self.max_digits <= DIGITS_MAX:
            raise InvalidRequestError(
                "out_of_range",
                f"a gather takes 1 to {DIGITS_MAX} digits, min_digits at most max_digits; not {self.min_digits} to "
                f"{self.max_digits}",
            )
        if not 1 <= self.tries <= TRIES_MAX:
            raise InvalidRequestError("out_of_range", f"a gather has 1 to {TRIES_MAX} tries, not {self.tries}")
        if not 0 < self.timeout_s <= TIMEOUT_S_MAX:
            raise InvalidRequestError(
                "out_of_range", f"timeout_s of a gather is at most {TIMEOUT_S_MAX:.0f} s, and more than 0"
            )


class KeyPad:
    """The keys that come while a gather runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pressed: list[str] = []
        self._news = asyncio.Event()
        self.closed = False
        """The call is over."""

    def press(self, digit: str) -> None:
        """A key came."""
        self._pressed.append(digit)
        self._news.set()

    def close(self) -> None:
        """No more keys come."""
        self.closed = True
        self._news.set()

    async def key(self, within_s: float | None) -> str | None:
        """The next key; None: none within `within_s` (None: however long it takes), or the call is over."""
        until_ms = None if within_s is None else self._clock.now_ms() + within_s * 1000
        while not self._pressed and not self.closed:
            if not await self._clock.wait(self._news, until_ms):
                return None
        return self._pressed.pop(0) if self._pressed else None

    async def gather(
        self, wanted: Wanted, prompt: Callable[[], Awaitable[object]] | None, interrupt: Callable[[], Awaitable[object]]
    ) -> Gathered:
        """Collect what is wanted, with `prompt` before each try. `interrupt` ends a prompt in which a key came."""
        told = Gathered("", "timeout")
        for _ in range(wanted.tries):
            self._pressed.clear()
            first = await self._prompted(prompt, interrupt) if prompt is not None else None
            told = await self._collect(wanted, first)
            if told or self.closed:
                break
        return told

    async def _prompted(
        self, prompt: Callable[[], Awaitable[object]], interrupt: Callable[[], Awaitable[object]]
    ) -> str | None:
        """Play the prompt to its end, or to the first key, which is returned."""
        failures: list[Exception] = []
        first = None
        async with asyncio.TaskGroup() as group:

            async def run() -> None:
                try:
                    await prompt()
                except Exception as error:  # raised below as it is: a group would wrap it
                    failures.append(error)

            prompting = group.create_task(run(), name="prompt")
            waiting = group.create_task(self.key(None), name="first key")
            await asyncio.wait((prompting, waiting), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                first = waiting.result()
            else:
                waiting.cancel()
            if not prompting.done():
                prompting.cancel()
                await interrupt()
        if failures:
            raise failures[0]
        return first

    async def _collect(self, wanted: Wanted, first: str | None) -> Gathered:
        digits = ""
        key = first
        while len(digits) < wanted.max_digits:
            if key is None:
                key = await self.key(wanted.timeout_s)
            if key is None:
                status: GatherStatus = "hung_up" if self.closed else "timeout"
                if status == "timeout" and len(digits) >= wanted.min_digits:
                    status = "valid"
                return Gathered(digits, status)
            if key in wanted.terminators:
                return Gathered(digits, "valid" if len(digits) >= wanted.min_digits else "timeout", key)
            if key not in wanted.valid_digits:
                return Gathered(digits + key, "invalid")
            digits, key = digits + key, None
        return Gathered(digits, "valid")
