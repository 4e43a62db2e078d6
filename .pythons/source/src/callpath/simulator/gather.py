"""One gather: which keys came, and when it is over. Pure.

Telnyx documents the parameters, their defaults and the list of results, not each corner. Believed here: keys are taken
until the terminating one, the maximum or a time-out; then they are valid if enough came and all were valid ones. A
prompted gather that is not valid asks again, `maximum_tries` times in all.
"""

from __future__ import annotations

from typing import Literal

from callpath.wire.command import Gather, GatherUsingAudio, GatherUsingSpeak

MINIMUM, MAXIMUM = 1, 128
TRIES = 3
TIMEOUT_MS = 60_000
INTER_DIGIT_MS = INITIAL_MS = 5_000
TERMINATING, VALID = "#", "0123456789#*"
"""All defaults as documented."""

Result = Literal["valid", "invalid", "timeout"]


class Gathering:
    """Feed it keys with `press`, come back at `due_at_ms`; both return the result once there is one."""

    def __init__(self, command: Gather | GatherUsingAudio | GatherUsingSpeak, gather_id: str) -> None:
        self.command = command
        self.gather_id = gather_id
        self.digits = ""
        self.tries = 1
        self.due_at_ms: float | None = None
        """When `expire` must be called; None while a prompt plays."""
        self._over_at_ms = float("inf")

    def listen(self, now_ms: float) -> None:
        """The prompt is over, or there was none: the time for the first key begins."""
        command = self.command
        whole_ms = _or(command.timeout_millis, TIMEOUT_MS)
        if isinstance(command, Gather):
            self._over_at_ms = now_ms + whole_ms
            whole_ms = _or(command.initial_timeout_millis, INITIAL_MS)
        self.due_at_ms = min(now_ms + whole_ms, self._over_at_ms)

    def press(self, digit: str, now_ms: float) -> Result | None:
        terminating = TERMINATING if self.command.terminating_digit is None else self.command.terminating_digit
        if digit == terminating:
            return self._result()
        self.digits += digit
        if len(self.digits) >= _or(self.command.maximum_digits, MAXIMUM):
            return self._result()
        self.due_at_ms = min(now_ms + _or(self.command.inter_digit_timeout_millis, INTER_DIGIT_MS), self._over_at_ms)
        return None

    def expire(self) -> Result:
        """No more keys came in time."""
        return self._result() if self.digits else "timeout"

    def asks_again(self, result: Result) -> bool:
        """Whether `result` is not the end: the prompt is played once more, and keys are taken from nothing."""
        if result == "valid" or isinstance(self.command, Gather):
            return False
        if self.tries >= _or(self.command.maximum_tries, TRIES):
            return False
        self.tries += 1
        self.digits = ""
        self.due_at_ms = None
        return True

    def _result(self) -> Result:
        allowed = VALID if self.command.valid_digits is None else self.command.valid_digits
        enough = len(self.digits) >= _or(self.command.minimum_digits, MINIMUM)
        return "valid" if enough and set(self.digits) <= set(allowed) else "invalid"


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
